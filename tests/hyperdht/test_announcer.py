"""A listening server stays announced: cycles, pings, lost relays, moves, and the end."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from holepunch.address import Address
from holepunch.core import CLIENT
from holepunch.keys import hash32
from holepunch.punch.messages import RelayInfo
from swarm.hyperdht.announcer import FAREWELL, MOVE_INTERVAL, PING_INTERVAL, PING_ROUNDS
from swarm.hyperdht.messages import Command, PeerRecord
from swarm.kademlia.packets import PING
from tests.hyperdht.hypernet import Desk, HyperNet, Outcome, Peer, key_pair
from tests.kademlia.simnet import nearest

if TYPE_CHECKING:
    from swarm.hyperdht.announcer import Announcer

ALICE = key_pair(1)
TARGET = hash32(ALICE.public_key)


@pytest.fixture
def net() -> HyperNet:
    return HyperNet(6)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def everybody(net: HyperNet) -> list[Peer]:
    return [net.first_peer, *net.nodes]


def holders(net: HyperNet) -> set[Address]:
    """Nodes that would relay to the server."""
    return {peer.address for peer in everybody(net) if TARGET in peer.hyper.storage.forwards}


def relays(announcer: Announcer) -> set[Address]:
    return {relay.relay_address for relay in announcer.relays}


def stop(net: HyperNet, peer: Peer) -> float:
    """Seconds that the farewell took."""
    start, ended = net.schedule.now, Outcome[None]()
    peer.hyper.stop_listening(ALICE.public_key, lambda: ended(None))
    net.wait(ended)
    return net.schedule.now - start


def test_server_is_announced_to_the_three_closest_nodes(net: HyperNet, desk: Desk) -> None:
    server = net.client()
    announcer = net.listen(server, ALICE, desk)
    closest = nearest([peer.address for peer in everybody(net)], TARGET)[:3]
    assert relays(announcer) == holders(net) == set(closest)
    seen_as = server.host.addresses[CLIENT]
    ((told, addresses, is_relay),) = desk.relays
    assert set(told) == {RelayInfo(relay, seen_as) for relay in closest}
    assert set(addresses) == set(announcer.relay_addresses) == set(closest)
    assert all(map(is_relay, closest))
    assert not is_relay(seen_as)


def test_announced_record_names_no_relays(net: HyperNet, desk: Desk) -> None:
    relay = net.named(net.listen(net.client(), ALICE, desk).relays[0].relay_address)
    assert relay.hyper.storage.find_peer(TARGET, None) == PeerRecord(ALICE.public_key).encode()


def test_server_that_strangers_reach_is_its_own_first_relay_address(net: HyperNet, desk: Desk) -> None:
    server = net.nodes[0]
    announcer = net.listen(server, ALICE, desk)
    assert announcer.relay_addresses[0] == server.address
    assert len(announcer.relay_addresses) == 3
    assert len(announcer.relays) == 3


def test_relays_are_pinged_every_three_seconds(net: HyperNet, desk: Desk) -> None:
    relay = net.named(net.listen(net.client(), ALICE, desk).relays[0].relay_address)
    heard = net.tap(relay)
    net.run(31)
    pings = [at for at, request in heard if request.internal and request.command == PING]
    assert 10 <= len(pings) <= 12  # tables are kept up with pings, too
    assert all(later - earlier < PING_INTERVAL + 0.1 for earlier, later in pairwise(pings))


def test_server_announces_again_after_five_minutes(net: HyperNet, desk: Desk) -> None:
    net.listen(net.client(), ALICE, desk)
    net.run(PING_ROUNDS * PING_INTERVAL - 5)
    assert len(desk.relays) == 1
    net.run(20)
    assert len(desk.relays) == 2


def test_announcement_outlives_what_nodes_keep(net: HyperNet, desk: Desk) -> None:
    announcer = net.listen(net.client(), ALICE, desk)
    net.run(3600)
    assert holders(net) == relays(announcer)
    assert len(holders(net)) == 3


def test_lost_relay_is_replaced(net: HyperNet, desk: Desk) -> None:
    announcer = net.listen(net.client(), ALICE, desk)
    lost = announcer.relays[0].relay_address
    net.sim.unplug(net.named(lost).host)
    net.run(30)
    assert lost not in relays(announcer)
    assert len(relays(announcer)) == 3
    assert relays(announcer) <= holders(net)
    assert announcer.is_relay(lost)


def test_address_is_a_relay_for_three_cycles(net: HyperNet, desk: Desk) -> None:
    announcer = net.listen(net.client(), ALICE, desk)
    lost = announcer.relays[0].relay_address
    net.sim.unplug(net.named(lost).host)
    net.run(30)
    assert len(desk.relays) == 2
    announcer.refresh()
    net.run(30)
    assert len(desk.relays) == 3
    assert announcer.is_relay(lost)
    announcer.refresh()
    net.run(30)
    assert not announcer.is_relay(lost)


def test_relay_that_is_no_longer_among_the_closest_is_told(net: HyperNet, desk: Desk) -> None:
    announcer = net.listen(net.client(), ALICE, desk)
    before = relays(announcer)
    newcomers = [
        net.boot(net.peer(bootstrap=[net.first_peer.address], ephemeral=False, firewalled=False)) for _ in range(12)
    ]
    net.nodes += newcomers
    closest = set(nearest([peer.address for peer in everybody(net)], TARGET)[:3])
    assert closest != before
    announcer.refresh()
    net.run(30)
    assert relays(announcer) == closest == holders(net)


def test_moved_server_announces_anew_at_once(net: HyperNet, desk: Desk) -> None:
    server = net.client()
    announcer = net.listen(server, ALICE, desk)
    elsewhere = Address("6.6.6.6", 600)
    net.move(server, CLIENT, elsewhere)
    net.run(PING_INTERVAL + 0.5)
    assert {relay.peer_address for relay in announcer.relays} == {elsewhere}
    for holder in holders(net):
        forward = net.named(holder).hyper.storage.forwards.get(TARGET)
        assert forward is not None
        assert forward.relay == elsewhere
    assert len(desk.relays) == 2


def test_relay_that_lies_about_our_address_costs_little(net: HyperNet, desk: Desk) -> None:
    server = net.client()
    net.listen(server, ALICE, desk)
    for n in range(60):
        net.move(server, CLIENT, Address("6.6.6.6", 600 + n))
        net.run(1)
    assert 3 <= len(desk.relays) <= 2 + 60 / MOVE_INTERVAL


def test_network_change_announces_anew(net: HyperNet, desk: Desk) -> None:
    server = net.client()
    net.listen(server, ALICE, desk)
    server.hyper.node.network_changed()
    net.run(0.5)
    assert len(desk.relays) == 2
    net.run(60)
    assert len(desk.relays) == 2


def test_change_during_a_cycle_starts_another_one(net: HyperNet, desk: Desk) -> None:
    server = net.client()
    server.hyper.listen(ALICE, desk)
    server.hyper.node.network_changed()
    net.run(60)
    assert len(desk.relays) == 2


def test_server_without_relays_keeps_trying_ever_more_slowly(net: HyperNet, desk: Desk) -> None:
    server = net.client()
    for peer in everybody(net):
        net.sim.unplug(peer.host)
    announced = Outcome[None]()
    server.hyper.listen(ALICE, desk, lambda: announced(None))
    net.wait(announced)
    assert desk.relays[0][:2] == ((), ())

    def more(count: int) -> bool:
        return len(desk.relays) > count

    times = []
    for _ in range(8):
        count = len(desk.relays)
        net.sim.run_until(partial(more, count))
        times.append(net.schedule.now)
    assert times[-1] - times[-2] > times[1] - times[0]
    assert times[-1] - times[-2] < 120
    for peer in everybody(net):
        net.sim.plug(peer.host)
    server.hyper.node.network_changed()
    net.run(2)
    assert desk.relays[-1][0]


def test_stopped_server_is_announced_nowhere(net: HyperNet, desk: Desk) -> None:
    server = net.client()
    net.listen(server, ALICE, desk)
    assert stop(net, server) < FAREWELL
    assert holders(net) == set()
    told = len(desk.relays)
    net.run(1000)
    assert len(desk.relays) == told
    assert net.lookup(server, TARGET) == []


def test_server_stopped_in_its_first_cycle_leaves_nothing(net: HyperNet, desk: Desk) -> None:
    for delay in (0.0, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06):
        server, announced = net.client(), Outcome[None]()
        server.hyper.listen(ALICE, desk, partial(announced, None))
        net.run(delay)
        before = len(announced.values)
        stop(net, server)
        net.run(5)
        assert holders(net) == set()
        assert len(announced.values) == before


def test_farewell_does_not_wait_for_the_dead(net: HyperNet, desk: Desk) -> None:
    server = net.client()
    for relay in net.listen(server, ALICE, desk).relays:
        net.sim.unplug(net.named(relay.relay_address).host)
    assert stop(net, server) == pytest.approx(FAREWELL)


def test_server_can_start_again(net: HyperNet, desk: Desk) -> None:
    server = net.client()
    announcer = net.listen(server, ALICE, desk)
    ended = Outcome[None]()
    announcer.stop(lambda: ended(None))
    announcer.start()
    assert len(ended.values) == 1
    net.run(10)
    assert len(holders(net)) == 3
    with pytest.raises(ValueError, match="running"):
        announcer.start()


def test_node_that_refuses_the_announcement_is_no_relay(net: HyperNet, desk: Desk) -> None:
    refusing = nearest([peer.address for peer in everybody(net)], TARGET)[0]
    commands = net.named(refusing).hyper.node.commands
    commands[Command.ANNOUNCE] = lambda request: request.reply(error=1)
    announcer = net.listen(net.client(), ALICE, desk)
    assert len(announcer.relays) == 2
    assert refusing not in relays(announcer)
