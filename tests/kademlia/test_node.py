"""A whole node: starting, asking, failing networks, suspending, closing, and garbage."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holepunch.address import Address
from holepunch.core import CLIENT, SERVER
from swarm.kademlia.events import Event
from swarm.kademlia.ids import node_id
from swarm.kademlia.maintenance import TICK
from swarm.kademlia.packets import DELAYED_PING, FIND_NODE, PING_NAT, REQUEST, RESPONSE, RequestPacket
from swarm.kademlia.table import Contact, K
from tests.kademlia.simnet import Host, Puppet, SimNet

if TYPE_CHECKING:
    from swarm.kademlia.rpc import Reply

NOWHERE = Address("9.9.9.9", 9)
TARGET = bytes(range(32))


def small_network(seed: int = 1, nodes: int = 6) -> tuple[SimNet, list[Host]]:
    net = SimNet(seed)
    first = net.first()
    return net, [first, *net.persistent(nodes - 1, first)]


# -- starting


def test_bootstrapping_searches_for_the_own_id_and_fills_the_table() -> None:
    net, hosts = small_network()
    host = net.host(bootstrap=[hosts[0].address])
    assert not host.node.bootstrapped
    net.start(host)
    assert host.events.count(Event.BOOTSTRAPPED) == 1
    assert {contact.address for contact in host.node.table.oldest()} == {other.address for other in hosts}
    assert all(len(other.node.table) == 5 for other in hosts)  # an ephemeral node is in nobody's table


def test_sixty_nodes_find_each_other() -> None:
    _, hosts = small_network(nodes=60)
    assert all(len(host.node.table) > K for host in hosts)
    assert not any(host.node.ephemeral for host in hosts)


def test_nothing_is_sent_before_start() -> None:
    net = SimNet()
    net.host(bootstrap=[NOWHERE], nodes=[NOWHERE])
    net.run(100)
    assert net.sent == 0


def test_bootstrapping_without_an_answer_ends_after_six_seconds_and_goes_on_trying() -> None:
    net = SimNet()
    host = net.host(bootstrap=[NOWHERE])
    net.start(host)
    assert net.schedule.now == 6
    assert host.node.rpc.responses == 0
    net.run(60)
    net.puppet(NOWHERE, lambda request: {})
    net.run(60)
    assert host.node.latest() == [NOWHERE]


def test_given_nodes_replace_bootstrap_nodes() -> None:
    net, hosts = small_network()
    host = net.host(nodes=[other.address for other in hosts[:2]])
    assert host.node.latest() == [hosts[0].address, hosts[1].address]
    net.start(host)
    assert len(host.node.table) == 6


def quick_check(**options: Any) -> tuple[Host, Puppet]:
    """A node that bootstraps with a puppet which, after a while, names a silent node: the search takes time."""
    net = SimNet(delay=0)

    def answer(request: RequestPacket) -> dict[str, Any] | None:
        return None if request.command == PING_NAT else {"closer": [NOWHERE]}

    puppet = net.puppet(Address("9.9.9.8", 8), answer)
    host = net.host(bootstrap=[puppet.address], **options)
    net.start(host)
    return host, puppet


@pytest.mark.parametrize(
    ("options", "checked"),
    [({}, True), ({"quick_firewall": False}, False), ({"firewalled": False}, False), ({"ephemeral": True}, True)],
)
def test_first_node_that_answers_is_asked_to_reach_the_server_socket(options: dict[str, Any], checked: bool) -> None:
    _, puppet = quick_check(**options)
    assert any(request.command == PING_NAT for _, _, request in puppet.heard) == checked


def test_search_is_repeated_with_the_id_that_it_revealed() -> None:
    net = SimNet()
    puppet = net.puppet(NOWHERE, lambda request: {})
    host = net.host(bootstrap=[NOWHERE], ephemeral=False, firewalled=False)
    net.start(host)
    searched = [request.target for _, _, request in puppet.heard if request.command == FIND_NODE]
    assert len(searched) == 2
    assert searched[1] == node_id(host.address)


# -- asking


def test_external_command_is_one_request_to_one_node() -> None:
    net, hosts = small_network()
    hosts[2].node.commands[3] = lambda request: request.reply(b"stored" if request.token_valid else None)
    replies: list[Reply | None] = []

    def put(first: Reply | None) -> None:
        assert first is not None
        hosts[1].node.request(hosts[2].address, 3, replies.append, target=TARGET, value=b"x", token=first.token)

    hosts[1].node.request(hosts[2].address, 3, put, target=TARGET)
    net.run(1)
    assert [reply and reply.value for reply in replies] == [b"stored"]


def test_ping_is_answered_and_its_round_trip_measured() -> None:
    net, hosts = small_network()
    pongs: list[Reply | None] = []
    hosts[1].node.ping(hosts[2].address, pongs.append)
    net.run(0.1)
    (pong,) = pongs
    assert pong is not None
    assert (pong.from_, pong.to, pong.id) == (hosts[2].address, hosts[1].address, hosts[2].node.id)
    assert 0.01 <= pong.rtt <= 0.03


def test_delayed_ping_waits_as_long_as_it_asked_for() -> None:
    net, hosts = small_network()
    pongs: list[Reply | None] = []
    hosts[1].node.delayed_ping(hosts[2].address, 9.5, pongs.append)
    net.run(9.4)
    assert pongs == []
    net.run(0.2)
    assert pongs[0] is not None
    for wrong in (-1, 10.5):
        with pytest.raises(ValueError, match="0 to 10 seconds"):
            hosts[1].node.delayed_ping(hosts[2].address, wrong, pongs.append)


def test_delayed_ping_is_given_a_second_more_than_its_delay() -> None:
    net = SimNet(delay=0)
    puppet = net.puppet(NOWHERE, None)
    net.host().node.delayed_ping(NOWHERE, 2, lambda reply: None)
    net.run(20)
    assert [(at, request.command) for at, _, request in puppet.heard] == [
        (at, DELAYED_PING) for at in (0, 2.5, 5.5, 8.5)
    ]


def test_refresh_yields_to_other_traffic() -> None:
    net = SimNet(delay=0)
    host = net.host()
    puppets = [net.puppet(Address("9.9.9.9", n + 1), None) for n in range(K)]
    for puppet in puppets:
        host.node.table.add(Contact(node_id(puppet.address), puppet.address, None, 60))
    host.node.refresh()
    net.run(0.4)
    assert sum(bool(puppet.heard) for puppet in puppets) == 2


def test_node_that_went_down_disappears_from_all_tables() -> None:
    net, hosts = small_network()
    gone = hosts.pop()
    net.unplug(gone)
    net.run(300)
    assert not any(node_id(gone.address) in host.node.table for host in hosts)
    assert all(len(host.node.table) == 4 for host in hosts)


# -- the network fails


def test_network_that_dies_and_returns_is_told() -> None:
    net, hosts = small_network()
    host = hosts[3]
    asked = [0]

    def keep_asking() -> None:
        asked[0] += 1
        for other in hosts[:3]:
            host.node.ping(other.address, lambda reply: None, retries=0)
        net.schedule.after(1, keep_asking)

    keep_asking()
    net.run(60)
    assert host.node.online
    host.events.clear()
    net.loss = 1
    net.run(4 * TICK)
    assert not host.node.online
    assert host.events == [Event.NETWORK_UPDATE]
    net.loss = 0
    net.run(3 * TICK)
    assert host.node.online
    assert host.events == [Event.NETWORK_UPDATE] * 2


def test_waking_up_is_online_until_shown_otherwise() -> None:
    net, hosts = small_network()
    node = hosts[3].node
    for tick in range(6):
        node.rpc.responses += 10 if tick < 3 else 0
        node.rpc._in_flight.timeouts += 10
        node.update_health()
    assert not node.online
    hosts[3].events.clear()
    node.wake_up()
    assert node.online
    assert hosts[3].events == [Event.NETWORK_UPDATE, Event.WAKE_UP]
    net.run(1)


def test_lossy_network_is_degraded() -> None:
    net, hosts = small_network()
    host = hosts[3]

    def keep_asking() -> None:
        host.node.ping(hosts[0].address, lambda reply: None, retries=0)
        for port in range(2):
            host.node.ping(Address(NOWHERE.host, port + 1), lambda reply: None, retries=0)
        net.schedule.after(1, keep_asking)

    keep_asking()
    net.run(60)
    assert (host.node.online, host.node.degraded) == (True, True)


def test_change_of_the_own_addresses_is_told() -> None:
    host = SimNet().host()
    host.node.network_changed()
    assert host.events == [Event.NETWORK_CHANGE, Event.NETWORK_UPDATE]


# -- suspending and closing


def test_suspended_node_is_silent_and_deaf_and_fails_what_was_under_way() -> None:
    net, hosts = small_network()
    host = hosts[3]
    replies: list[object] = []
    host.node.ping(NOWHERE, replies.append)
    host.node.suspend()
    host.node.suspend()
    assert replies == [None]
    net.run(1)
    sent = net.sent
    hosts[1].node.ping(host.address, replies.append, retries=0)
    net.run(3)
    assert net.sent == sent + 1
    assert replies == [None, None]
    assert host.node.suspended


def test_resumed_node_wakes_up_and_refreshes() -> None:
    net, hosts = small_network()
    host = hosts[3]
    host.node.suspend()
    net.run(1000)
    for other in hosts:
        if other is not host:
            assert node_id(host.address) not in other.node.table
    host.events.clear()
    host.node.resume()
    host.node.resume()
    assert host.events == [Event.WAKE_UP]
    net.run(10)
    assert any(node_id(host.address) in other.node.table for other in hosts)
    tick = host.node.maintenance.tick
    net.run(60)
    assert host.node.maintenance.tick == tick + 12


def test_suspending_while_bootstrapping_ends_the_procedure() -> None:
    net = SimNet()
    host = net.host(bootstrap=[NOWHERE])
    host.node.start()
    net.run(1.5)
    host.node.suspend()
    net.run(1)
    assert host.events == [Event.BOOTSTRAPPED]


def test_closed_node_does_and_tells_nothing_more() -> None:
    net, hosts = small_network()
    host = hosts[3]
    told: list[object] = []
    host.node.ping(NOWHERE, told.append)
    host.node.find_node(TARGET, on_end=told.append)
    host.events.clear()
    host.node.close()
    host.node.close()
    host.node.resume()
    host.node.ping(NOWHERE, told.append)
    host.node.find_node(TARGET, on_end=told.append)
    sent = net.sent
    hosts[1].node.ping(host.address, lambda reply: None, retries=0)
    net.run(5)
    assert told == []
    assert host.events == []
    assert host.node.rpc.in_flight == 0
    assert net.sent - sent < 50  # the others'


def test_closed_node_leaves_nothing_on_the_schedule() -> None:
    net = SimNet()
    host = net.host(bootstrap=[NOWHERE])
    host.node.start()
    net.run(0.3)
    host.node.close()
    assert net.schedule.deadline() == float("inf")


def test_subscriber_that_leaves_hears_nothing() -> None:
    host = SimNet().host()
    events: list[Event] = []
    leave = host.node.subscribe(events.append)
    leave()
    leave()
    host.node.network_changed()
    assert events == []
    assert len(host.events) == 2


# -- garbage


@given(
    st.lists(
        st.tuples(st.sampled_from([b"", bytes([REQUEST]), bytes([RESPONSE])]), st.binary(max_size=150)), max_size=20
    ),
    st.sampled_from([SERVER, CLIENT, 2]),
)
def test_random_datagrams_do_not_raise_and_are_answered_at_most_once(
    datagrams: list[tuple[bytes, bytes]], role: int
) -> None:
    net = SimNet()
    host = net.host(bootstrapper=True)
    host.node.start()
    host.addresses[2] = Address("8.8.8.8", 8)
    before = net.sent
    for first, data in datagrams:
        host.node.receive(role, memoryview(first + data), NOWHERE)
    assert net.sent - before <= len(datagrams)
    net.run(10)


def test_flood_of_replies_and_strangers_costs_bounded_memory() -> None:
    _, hosts = small_network()
    node = hosts[0].node
    rng = random.Random(1)
    for _ in range(20_000):
        source = Address(f"{rng.randrange(20, 200)}.{rng.randrange(256)}.1.1", rng.randrange(1, 65536))
        kind = rng.choice([REQUEST, RESPONSE])
        node.receive(SERVER, bytes([kind, 4]) + rng.randbytes(rng.randrange(60)), source)
    assert len(node.table) == 5
    assert node.rpc.in_flight < 30
