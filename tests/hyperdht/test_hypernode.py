"""The parts of a node together: listening, suspending, closing."""

from __future__ import annotations

import math
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holepunch.address import Address
from holepunch.core import SERVER
from holepunch.keys import hash32
from swarm.hyperdht.hypernode import STRAY_NODES
from swarm.hyperdht.messages import LookupReply, PeerRecord
from tests.hyperdht.hypernet import Desk, HyperNet, Outcome, Peer, key_pair

ALICE, BOB = key_pair(1), key_pair(2)
TARGET = hash32(ALICE.public_key)


@pytest.fixture
def net() -> HyperNet:
    return HyperNet(4)


def reaches(net: HyperNet, target: bytes, relay: Address) -> bool:
    ended = Outcome[object]()
    net.client().hyper.signaller.handshake(target, b"noise", relay, ended)
    return net.wait(ended) is not None


def suspend(net: HyperNet, peer: Peer) -> None:
    ended = Outcome[None]()
    peer.hyper.suspend(lambda: ended(None))
    net.wait(ended)


def test_one_node_listens_for_several_keys(net: HyperNet) -> None:
    server = net.client()
    desks = [Desk(b"alice"), Desk(b"bob")]
    for pair, desk in zip((ALICE, BOB), desks, strict=True):
        net.listen(server, pair, desk)
    for pair, desk in zip((ALICE, BOB), desks, strict=True):
        assert reaches(net, hash32(pair.public_key), desk.relays[0][0][0].relay_address)
        assert len(desk.handshakes) == 1


def test_messages_stop_reaching_a_key_that_is_not_listened_for_any_more(net: HyperNet) -> None:
    server, desk = net.client(), Desk(b"answer")
    relay = net.listen(server, ALICE, desk).relays[0].relay_address
    ended = Outcome[None]()
    server.hyper.stop_listening(ALICE.public_key, lambda: ended(None))
    assert not reaches(net, TARGET, relay)
    assert not desk.handshakes
    with pytest.raises(KeyError):
        server.hyper.stop_listening(ALICE.public_key, lambda: None)
    net.listen(server, ALICE, desk)


def test_key_that_is_listened_for_again_at_once_stays_announced(net: HyperNet) -> None:
    server, desk = net.client(), Desk(b"answer")
    net.listen(server, ALICE, desk)
    for _ in range(3):
        ended = Outcome[None]()
        server.hyper.stop_listening(ALICE.public_key, partial(ended, None))
        announcer = net.listen(server, ALICE, desk)
        assert len(ended.values) == 1
    net.run(10)
    assert len([peer for peer in [net.first_peer, *net.nodes] if TARGET in peer.hyper.storage.forwards]) == 3
    assert reaches(net, TARGET, announcer.relays[0].relay_address)


def test_closing_ends_a_farewell(net: HyperNet) -> None:
    server, ended = net.client(), Outcome[None]()
    net.listen(server, ALICE, Desk())
    server.hyper.stop_listening(ALICE.public_key, lambda: ended(None))
    server.hyper.close()
    net.run(10)
    assert len(ended.values) == 1


def test_persistent_node_answers_for_its_own_server(net: HyperNet) -> None:
    server = net.nodes[0]
    net.listen(server, ALICE, Desk(b"answer"))
    assert server.hyper.storage.forwards.get(TARGET) is None
    found = net.lookup(net.client(), TARGET)
    assert server.address in {answer.source for answer in found}
    assert {peer for answer in found for peer in answer.peers} == {PeerRecord(ALICE.public_key)}
    assert reaches(net, TARGET, server.address)


def test_suspended_node_is_announced_nowhere_and_silent(net: HyperNet) -> None:
    server, desk = net.client(), Desk(b"answer")
    relay = net.listen(server, ALICE, desk).relays[0].relay_address
    suspend(net, server)
    assert server.hyper.node.suspended
    assert net.lookup(net.client(), TARGET) == []
    assert not reaches(net, TARGET, relay)
    told = len(desk.relays)
    net.run(1000)
    assert len(desk.relays) == told


def test_resumed_node_is_announced_again(net: HyperNet) -> None:
    server, desk = net.client(), Desk(b"answer")
    relay = net.listen(server, ALICE, desk).relays[0].relay_address
    suspend(net, server)
    net.run(100)
    server.hyper.resume()
    net.run(10)
    assert reaches(net, TARGET, relay)


def test_resuming_ends_a_suspension_under_way(net: HyperNet) -> None:
    server, desk = net.client(), Desk(b"answer")
    relay = net.listen(server, ALICE, desk).relays[0].relay_address
    ended = Outcome[None]()
    server.hyper.suspend(lambda: ended(None))
    server.hyper.resume()
    net.run(10)
    assert len(ended.values) == 1
    assert not server.hyper.node.suspended
    assert reaches(net, TARGET, relay)


def test_servers_drop_what_is_under_way_until_the_node_is_back(net: HyperNet) -> None:
    server, desk = net.client(), Desk(b"answer")
    net.listen(server, ALICE, desk)
    server.hyper.suspend(lambda: None)
    assert desk.suspended
    net.run(10)
    assert desk.suspended
    server.hyper.resume()
    assert not desk.suspended


def test_suspension_that_nobody_waits_for_any_more_ends_at_once(net: HyperNet) -> None:
    server, desk = net.client(), Desk(b"answer")
    net.listen(server, ALICE, desk)
    ended = Outcome[None]()
    server.hyper.suspend(lambda: ended(None))
    server.hyper.suspend(lambda: ended(None))
    server.hyper.end_suspending()
    assert len(ended.values) == 2
    assert server.hyper.node.suspended
    server.hyper.end_suspending()
    server.hyper.resume()
    net.run(1)
    again = Outcome[None]()
    server.hyper.suspend(lambda: again(None))
    assert not server.hyper.node.suspended
    net.wait(again)
    assert net.lookup(net.client(), TARGET) == []
    assert len(ended.values) == 2


@pytest.mark.parametrize("seconds", [0.0, 0.02, 5.0])
def test_key_whose_first_announcement_a_suspension_cut_short_is_announced_on_return(
    net: HyperNet, seconds: float
) -> None:
    server, desk, announced = net.client(), Desk(b"answer"), Outcome[None]()
    if seconds < 1:
        server.hyper.listen(ALICE, desk, lambda: announced(None))
        net.run(seconds)
    suspend(net, server)
    if seconds > 1:
        server.hyper.listen(ALICE, desk, lambda: announced(None))
    net.run(60)
    assert not announced.values
    assert net.lookup(net.client(), TARGET) == []
    server.hyper.resume()
    net.wait(announced)
    assert reaches(net, TARGET, desk.relays[-1][0][0].relay_address)


def test_closing_ends_a_suspension(net: HyperNet) -> None:
    server, ended = net.client(), Outcome[None]()
    server.hyper.suspend(lambda: ended(None))
    server.hyper.close()
    net.run(10)
    assert len(ended.values) == 1


def test_suspending_twice_ends_twice(net: HyperNet) -> None:
    server = net.client()
    net.listen(server, ALICE, Desk())
    suspend(net, server)
    suspend(net, server)
    server.hyper.resume()
    assert not server.hyper.node.suspended


def test_closed_node_does_nothing_any_more() -> None:
    net = HyperNet(0)
    peer = net.client()
    net.listen(peer, ALICE, Desk())
    peer.hyper.close()
    net.first_peer.hyper.close()
    net.run(1)
    assert net.schedule.deadline() == math.inf


def test_stray_nodes_of_a_test_network_are_not_met(net: HyperNet) -> None:
    node = net.nodes[0].hyper.node
    for address in (*STRAY_NODES, Address("150.136.142.116", 1)):
        assert not node.accepts(address)
    assert node.accepts(Address("134.209.28.98", 49737))


def test_own_time_decides_what_bump_is_too_far_ahead(net: HyperNet) -> None:
    storage = net.nodes[0].hyper.storage
    net.run(100)
    storage.announce(TARGET, PeerRecord(BOB.public_key), Address("1.1.1.1", 1), None, 1_800_000_150_000)
    reply = storage.lookup(TARGET, None)
    assert reply is not None
    assert LookupReply.decode(reply).bump == 1_800_000_150_000


@pytest.fixture(scope="module")
def lasting() -> HyperNet:
    return HyperNet(1)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(min_size=2, max_size=120) | st.binary(max_size=120).map(lambda b: b"\x03\x19" + b))
def test_no_datagram_makes_a_node_raise(lasting: HyperNet, data: bytes) -> None:
    lasting.nodes[0].hyper.receive(SERVER, memoryview(data), Address("7.7.7.7", 7))
