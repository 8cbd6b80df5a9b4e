"""The own address, the firewall probe, and becoming persistent."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from holepunch.address import Address
from holepunch.core import CLIENT, SERVER
from swarm.kademlia.events import Event
from swarm.kademlia.ids import node_id
from swarm.kademlia.maintenance import RECHECK_TICKS, STABLE_TICKS, TICK
from swarm.kademlia.packets import PING_NAT
from swarm.kademlia.table import Contact
from tests.kademlia.scene import Scene
from tests.kademlia.simnet import Host, SimNet

if TYPE_CHECKING:
    from swarm.kademlia.packets import RequestPacket

TWENTY_MINUTES = STABLE_TICKS * TICK
HOUR = RECHECK_TICKS * TICK


def test_address_is_sampled_from_what_nodes_see() -> None:
    scene = Scene(quick_firewall=False)
    scene.start()
    sampler = scene.node.sampler
    assert Address(sampler.host or "", sampler.port) == scene.host.addresses[CLIENT]
    assert Event.NAT_UPDATE in scene.host.events


def test_nodes_without_id_give_as_many_samples_as_there_are_bootstrap_nodes() -> None:
    net = SimNet(delay=0)
    host = net.host(bootstrap=[Address("9.9.9.9", 1), Address("9.9.9.9", 2)])
    for port in range(1, 6):
        net.puppet(Address("9.9.9.9", port), lambda request: {}, persistent=False)
        for _ in range(2):
            host.node.ping(Address("9.9.9.9", port), lambda reply: None)
    net.run(1)
    assert host.node.sampler.size == 2


def test_requests_of_nodes_without_id_give_no_sample() -> None:
    scene = Scene()
    stranger = scene.net.host()
    stranger.node.ping(scene.host.address, lambda reply: None)
    scene.net.run(1)
    assert scene.node.sampler.size == 0


# -- adaptive


def test_reachable_node_becomes_persistent_after_twenty_minutes_and_others_take_it_in() -> None:
    scene = Scene(quick_firewall=False)
    scene.start()
    scene.net.run(TWENTY_MINUTES - 2 * TICK)
    assert scene.node.ephemeral
    assert scene.node.firewalled
    assert scene.node.id is None
    assert scene.in_tables(scene.host.address) == 0
    scene.net.run(4 * TICK)
    assert scene.host.events[-1] == Event.PERSISTENT
    assert not scene.node.firewalled
    assert scene.node.id == scene.node.table.id == node_id(scene.host.address)
    assert scene.node.remote_address() == scene.host.address
    scene.net.run(60)
    assert scene.in_tables(scene.host.address) == 8


def test_probe_leaves_from_the_client_socket_and_its_answers_come_to_the_server_socket() -> None:
    scene = Scene(quick_firewall=False, filtered=True)
    asked = []
    for other in scene.others:
        puppet = scene.net.puppet(other.address, lambda request: None if request.command == PING_NAT else {})
        asked.append(puppet)
    scene.host.node.bootstrap = [puppet.address for puppet in asked]
    scene.start()
    scene.net.run(TWENTY_MINUTES + 10)
    probes = [
        (source, request.value)
        for puppet in asked
        for _, source, request in puppet.heard
        if request.command == PING_NAT
    ]
    port = scene.host.address.port.to_bytes(2, "little")
    assert set(probes) == {(scene.host.addresses[CLIENT], port)}
    # the five heard last, and each four times because no answer gets in
    assert len(probes) == 5 * 4
    assert scene.node.firewalled


def test_node_behind_a_filter_stays_ephemeral_and_is_not_checked_again_on_the_same_host() -> None:
    scene = Scene(filtered=True)
    scene.start()
    scene.net.run(TWENTY_MINUTES + HOUR / 2)
    assert scene.node.ephemeral
    assert scene.node.firewalled
    # now it would pass, but nothing says that anything changed
    scene.host.filtered = False
    scene.net.run(2 * HOUR)
    assert scene.node.ephemeral
    scene.node.wake_up()
    scene.net.run(HOUR + 60)
    assert not scene.node.ephemeral


def test_remapped_server_port_counts_as_firewalled() -> None:
    scene = Scene(server_port=5)  # others see another port
    scene.start()
    scene.net.run(TWENTY_MINUTES + 60)
    assert scene.node.firewalled
    assert scene.node.remote_address() is None


def test_network_that_went_silent_at_the_check_proves_nothing() -> None:
    scene = Scene(nodes=2, quick_firewall=False)
    scene.start()
    scene.net.run(TWENTY_MINUTES - TICK)
    for host in [scene.first, *scene.others]:
        scene.net.unplug(host)
    scene.net.run(2 * TICK + 10)
    assert scene.node.firewalled
    assert scene.node.ephemeral


def _always(fields: dict[str, Any] | None, request: RequestPacket) -> dict[str, Any] | None:
    return fields


class Probed:
    """A node with five puppets in its table, sampled at its client socket's address, about to check itself."""

    def __init__(self, answers: list[dict[str, Any] | None]) -> None:
        self.net = SimNet(delay=0)
        self.host = self.net.host()
        self.node = self.host.node
        self.node.bootstrapped = True
        for n, fields in enumerate(answers):
            address = Address("9.9.9.9", n + 1)
            self.net.puppet(address, partial(_always, fields))
            self.node.table.add(Contact(node_id(address), address, None, 0))
            self.node.reachability.sample(self.host.addresses[CLIENT])
        self.changed: list[bool] = []
        self.node.reachability.update(False, self.changed.append)

    def verdict(self) -> tuple[bool, bool]:
        """(firewalled, ephemeral), when known."""
        self.net.run(5)
        assert self.changed == [not self.node.ephemeral]
        return self.node.firewalled, self.node.ephemeral


@pytest.mark.parametrize(("answering", "firewalled"), [(5, False), (3, False), (2, True), (0, True)])
def test_three_of_five_must_reach_the_server_socket(answering: int, firewalled: bool) -> None:
    assert Probed([{}] * answering + [None] * (5 - answering)).verdict() == (firewalled, firewalled)


def test_one_is_enough_where_fewer_could_be_asked() -> None:
    assert Probed([{}, None, None]).verdict() == (False, False)


def test_nobody_to_ask_proves_nothing() -> None:
    probed = Probed([])
    probed.node.reachability.sample(probed.host.addresses[CLIENT])
    probed.node.reachability.update(False, probed.changed.append)
    assert probed.changed == [False, False]


def test_server_socket_seen_at_another_host_counts_as_firewalled() -> None:
    assert Probed([{"to": Address("6.6.6.6", 10_002)}] * 5).verdict() == (True, True)


def test_server_socket_seen_at_another_port_counts_as_firewalled() -> None:
    assert Probed([{"to": Address("8.0.0.1", 5)}] * 5).verdict() == (True, True)


def test_address_that_changes_during_the_check_postpones_persistence() -> None:
    probed = Probed([{}, {}, {}, {}, None])
    for _ in range(16):
        probed.node.reachability.sample(Address("8.0.0.1", 6))
    assert probed.verdict() == (False, True)


def test_check_does_nothing_for_a_node_that_has_nothing_to_gain() -> None:
    probed = Probed([{}] * 5)
    assert probed.verdict() == (False, False)
    sent = probed.net.sent
    probed.node.reachability.update(True, probed.changed.append)
    assert probed.changed == [True, False]
    assert probed.net.sent == sent


def test_ephemeral_node_never_becomes_persistent_but_may_lose_the_firewalled_flag() -> None:
    scene = Scene(ephemeral=True)
    # the answer to the quick check overtakes the end of the search
    scene.net.puppet(Address("9.9.9.9", 9), None)
    scene.others[0].node.table.add(Contact(node_id(Address("9.9.9.9", 9)), Address("9.9.9.9", 9), None, 0))
    scene.start()
    assert not scene.node.firewalled
    scene.net.run(2 * TWENTY_MINUTES)
    assert scene.node.ephemeral
    assert Event.PERSISTENT not in scene.host.events
    assert scene.node.remote_address() == scene.host.address


# -- persistent from the start


def test_node_told_to_be_persistent_is_so_once_bootstrapped() -> None:
    scene = Scene(ephemeral=False, firewalled=False)
    scene.start()
    assert scene.host.events[-2:] == [Event.PERSISTENT, Event.BOOTSTRAPPED]
    assert scene.node.id == node_id(scene.host.address)
    assert scene.in_tables(scene.host.address) == 8


def test_node_told_to_be_persistent_behind_a_filter_stays_ephemeral() -> None:
    scene = Scene(ephemeral=False, filtered=True)
    scene.start()
    assert scene.node.ephemeral
    assert scene.node.firewalled


def test_node_told_to_be_persistent_proves_its_port_first() -> None:
    scene = Scene(ephemeral=False)
    scene.start()
    assert not scene.node.ephemeral
    assert not scene.node.firewalled


def test_first_node_stays_without_id_until_others_tell_its_address() -> None:
    net = SimNet()
    first = net.host(ephemeral=False, firewalled=False)
    net.start(first)
    assert first.node.ephemeral
    second = net.host(ephemeral=False, firewalled=False, bootstrap=[first.address])
    net.start(second)
    assert not second.node.ephemeral
    assert first.node.ephemeral
    net.run(TWENTY_MINUTES + 60)
    assert first.node.id == node_id(first.address)


def test_bootstrapper_has_its_id_at_once() -> None:
    first = SimNet().first()
    assert first.node.id == node_id(first.address)
    assert first.node.remote_address() == first.address


def test_private_network_grows_from_one_bootstrapper() -> None:
    net = SimNet()
    first = net.first()
    hosts: list[Host] = [first, *net.persistent(3, first)]
    for host in hosts:
        assert {contact.address for contact in host.node.table.oldest()} == {h.address for h in hosts if h is not host}


# -- waking up


def test_persistent_node_that_slept_is_ephemeral_again_but_keeps_flag_and_table() -> None:
    scene = Scene(quick_firewall=False)
    scene.start()
    scene.net.run(TWENTY_MINUTES + 60)
    assert not scene.node.ephemeral
    table = len(scene.node.table)
    scene.host.events.clear()
    scene.net.sleep(600)
    assert scene.host.events[:2] == [Event.EPHEMERAL, Event.WAKE_UP]
    assert scene.node.id is None
    assert not scene.node.firewalled
    assert scene.node.main_role == SERVER
    assert len(scene.node.table) == table
    scene.net.run(HOUR - 60)
    assert scene.node.ephemeral
    scene.net.run(120)
    assert not scene.node.ephemeral


def test_node_told_to_be_persistent_stays_so_across_a_sleep() -> None:
    scene = Scene(ephemeral=False, firewalled=False)
    scene.start()
    scene.net.sleep(600)
    assert not scene.node.ephemeral


@pytest.mark.parametrize("seed", range(3))
def test_many_nodes_settle_without_endless_chatter(seed: int) -> None:
    net = SimNet(seed)
    first = net.first()
    net.persistent(20, first)
    before = net.sent
    net.run(600)
    # per node and 40 s: five pings and their answers, and now and then a refresh
    assert (net.sent - before) / 21 / 600 < 1.5
