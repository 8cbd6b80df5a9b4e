"""The DHT as a signaller: finding and remembering relays, witnesses, own addresses."""

from __future__ import annotations

import pytest

from holepunch.address import Address
from holepunch.core import CLIENT, SERVER
from holepunch.keys import hash32
from holepunch.signaller import HandshakeReply, Pong, Signaller
from tests.hyperdht.hypernet import Desk, HyperNet, Outcome, Peer, key_pair

ALICE = key_pair(1)
TARGET = hash32(ALICE.public_key)
STRANGER = Address("7.7.7.7", 7)


@pytest.fixture
def net() -> HyperNet:
    return HyperNet(5)


@pytest.fixture
def desk() -> Desk:
    return Desk(answer=b"answer")


def test_dht_is_a_signaller(net: HyperNet) -> None:
    signaller: Signaller = net.client().hyper.signaller
    assert signaller.firewalled


def find(net: HyperNet, client: Peer, *seeds: Address) -> list[Address]:
    relays: list[Address] = []
    ended = Outcome[None]()
    client.hyper.signaller.find_relays(TARGET, seeds, relays.append, lambda answered: ended(None))
    net.wait(ended)
    return relays


def test_relays_are_the_nodes_the_server_announced_to(net: HyperNet, desk: Desk) -> None:
    announcer = net.listen(net.client(), ALICE, desk)
    relays = find(net, net.client())
    assert sorted(relays) == sorted(relay.relay_address for relay in announcer.relays)
    assert find(net, net.client(), relays[0]) != []


def test_unknown_peer_has_no_relays(net: HyperNet) -> None:
    assert find(net, net.client()) == []


def test_relays_that_led_to_a_peer_are_remembered(net: HyperNet) -> None:
    signaller = net.client().hyper.signaller
    assert signaller.cached_relays(ALICE.public_key) == ()
    signaller.remember_relays(ALICE.public_key, [Address("9.9.9.9", n) for n in range(1, 9)])
    assert signaller.cached_relays(ALICE.public_key) == tuple(Address("9.9.9.9", n) for n in range(1, 5))
    signaller.remember_relays(ALICE.public_key, [STRANGER])
    assert signaller.cached_relays(ALICE.public_key) == (STRANGER,)
    for n in range(512):
        signaller.remember_relays(n.to_bytes(32, "big"), [STRANGER])
    assert signaller.cached_relays(ALICE.public_key) == ()


def test_server_announced_to_this_very_node_is_asked_itself(net: HyperNet, desk: Desk) -> None:
    server = net.client()
    announcer = net.listen(server, ALICE, desk)
    relay = net.named(announcer.relays[0].relay_address)
    relays = relay.hyper.signaller.cached_relays(ALICE.public_key)
    assert relays == (server.host.addresses[CLIENT],)
    ended: Outcome[HandshakeReply | None] = Outcome()
    relay.hyper.signaller.handshake(TARGET, b"noise", relays[0], ended)
    reply = net.wait(ended)
    assert reply is not None
    assert not reply.relayed


def test_a_node_that_has_just_started_counts_those_it_is_asking_as_witnesses(net: HyperNet) -> None:
    client = net.client()
    signaller = client.hyper.signaller
    heard = signaller.witnesses()
    client.hyper.node.ping(STRANGER, lambda reply: None)
    assert signaller.witnesses() == [*heard, STRANGER]


def test_witnesses_tell_a_socket_its_address(net: HyperNet) -> None:
    client = net.client()
    signaller = client.hyper.signaller
    witnesses = signaller.witnesses()
    assert len(witnesses) == 6
    ended = Outcome["Pong | None"]()
    signaller.ping(witnesses[0], SERVER, 0, ended)
    assert net.wait(ended) == Pong(witnesses[0], client.host.addresses[SERVER], SERVER)
    ended = Outcome["Pong | None"]()
    signaller.ping(STRANGER, CLIENT, 1, ended)
    start = net.schedule.now
    assert net.wait(ended) is None
    assert net.schedule.now - start == pytest.approx(2, abs=0.01)


def test_own_addresses_are_those_of_the_node_and_the_shell(net: HyperNet) -> None:
    node = net.nodes[0]
    assert node.hyper.signaller.remote_address() == node.address
    assert node.hyper.signaller.main_role == SERVER
    assert not node.hyper.signaller.firewalled
    client = net.client()
    assert client.hyper.signaller.remote_address() is None
    assert client.hyper.signaller.main_role == CLIENT
    assert [address.host for address in client.hyper.signaller.local_addresses()] == ["192.168.1.2"]
