"""Announcing and looking up topics over a network of nodes."""

from __future__ import annotations

import pytest

from holepunch.address import Address
from holepunch.keys import hash32
from swarm.hyperdht.messages import Command, PeerRecord
from swarm.hyperdht.operations import PeerFound, PeersFound, Stored
from swarm.kademlia.query import Query
from tests.hyperdht.hypernet import UNIX_TIME, Desk, HyperNet, Outcome, Peer, key_pair

TOPIC = hash32(b"topic")
ALICE, BOB = key_pair(1), key_pair(2)
RELAYS = (Address("9.9.9.1", 1), Address("9.9.9.2", 2))


@pytest.fixture
def net() -> HyperNet:
    return HyperNet(5)


def everybody(found: list[PeersFound]) -> set[PeerRecord]:
    return {peer for answer in found for peer in answer.peers}


def test_announced_peer_is_found_by_others(net: HyperNet) -> None:
    stored = net.announce(net.client(), TOPIC, ALICE, *RELAYS)
    assert len(stored.nodes) == stored.replies == 6
    assert stored.errors == ()
    found = net.lookup(net.client(), TOPIC)
    assert everybody(found) == {PeerRecord(ALICE.public_key, RELAYS)}
    assert {answer.source for answer in found} == {peer.address for peer in [net.first_peer, *net.nodes]}


def test_peers_share_a_topic_and_topics_do_not_share_peers(net: HyperNet) -> None:
    client = net.client()
    net.announce(client, TOPIC, ALICE)
    net.announce(client, TOPIC, BOB)
    net.announce(client, hash32(b"other"), BOB)
    assert everybody(net.lookup(client, TOPIC)) == {PeerRecord(ALICE.public_key), PeerRecord(BOB.public_key)}
    assert everybody(net.lookup(client, hash32(b"other"))) == {PeerRecord(BOB.public_key)}
    assert net.lookup(client, hash32(b"third")) == []


def test_announcing_reports_who_is_there(net: HyperNet) -> None:
    client = net.client()
    net.announce(client, TOPIC, ALICE)
    found: list[PeersFound] = []
    net.announce(client, TOPIC, BOB, on_found=found.append)
    assert everybody(found) == {PeerRecord(ALICE.public_key)}


@pytest.mark.parametrize("after", [0.0, 0.02, 4.0, 60.0])
def test_who_is_there_is_told_before_the_own_relays_are_known(net: HyperNet, after: float) -> None:
    client, ended = net.client(), Outcome[Stored]()
    net.announce(client, TOPIC, ALICE)
    found: list[PeersFound] = []
    announcement = client.hyper.operations.announce(TOPIC, BOB, None, ended, on_found=found.append)
    net.run(after)
    assert found or after < 1
    assert not ended.values
    announcement.publish(RELAYS)
    stored = net.wait(ended)
    assert len(stored.nodes) == 6
    assert not stored.errors
    assert everybody(found) == {PeerRecord(ALICE.public_key)}
    assert PeerRecord(BOB.public_key, RELAYS) in everybody(net.lookup(net.client(), TOPIC))


def test_bump_is_told_to_those_who_look_up(net: HyperNet) -> None:
    bump = int(UNIX_TIME * 1000)
    net.announce(net.client(), TOPIC, ALICE, bump=bump)
    assert {answer.bump for answer in net.lookup(net.client(), TOPIC)} == {bump}


def test_unannounced_peer_is_not_found(net: HyperNet) -> None:
    client = net.client()
    net.announce(client, TOPIC, ALICE)
    net.announce(client, TOPIC, BOB)
    removed = net.unannounce(net.client(), TOPIC, ALICE)
    assert len(removed.nodes) == 6
    assert everybody(net.lookup(client, TOPIC)) == {PeerRecord(BOB.public_key)}


def test_unannouncing_what_nobody_lists_ends_and_tells_nobody(net: HyperNet) -> None:
    assert net.unannounce(net.client(), TOPIC, ALICE) == Stored(replies=6, nodes=(), errors=())


def test_node_with_a_full_reply_is_told_to_remove_a_key_it_may_not_have_named(net: HyperNet) -> None:
    client = net.client()
    for n in range(25):
        net.announce(client, TOPIC, key_pair(100 + n))
    net.announce(client, TOPIC, ALICE)
    assert len(net.unannounce(client, TOPIC, ALICE).nodes) == 6


def test_new_relays_show_after_clearing(net: HyperNet) -> None:
    client = net.client()
    net.announce(client, TOPIC, ALICE, RELAYS[0])
    net.announce(client, TOPIC, ALICE, RELAYS[1])
    assert everybody(net.lookup(client, TOPIC)) == {PeerRecord(ALICE.public_key, RELAYS[:1])}
    cleared = net.announce(client, TOPIC, ALICE, RELAYS[1], clear=True)
    assert len(cleared.nodes) == 6
    assert everybody(net.lookup(client, TOPIC)) == {PeerRecord(ALICE.public_key, RELAYS[1:])}


def test_clearing_is_not_undone_by_a_removal_that_was_lost(net: HyperNet) -> None:
    client = net.client()
    net.announce(client, TOPIC, ALICE, RELAYS[0])
    net.sim.loss = 0.3
    ended = Outcome[Stored]()
    client.hyper.operations.announce(TOPIC, ALICE, RELAYS[1:], ended, clear=True)
    confirmed = net.wait(ended).nodes
    net.run(10)
    net.sim.loss = 0
    answers = {answer.source: answer.peers for answer in net.lookup(client, TOPIC)}
    assert confirmed
    assert all(answers[node] == (PeerRecord(ALICE.public_key, RELAYS[1:]),) for node in confirmed)


def test_storing_node_that_unannounces_forgets_its_own_copy_too(net: HyperNet) -> None:
    node = net.nodes[0]
    net.announce(net.client(), TOPIC, ALICE)
    net.unannounce(node, TOPIC, ALICE)
    assert net.lookup(net.client(), TOPIC) == []


def test_key_looked_up_as_a_topic_finds_its_server(net: HyperNet) -> None:
    net.listen(net.client(), ALICE, Desk())
    found = net.lookup(net.client(), hash32(ALICE.public_key))
    assert everybody(found) == {PeerRecord(ALICE.public_key)}


def test_find_peer_names_the_nodes_that_relay(net: HyperNet) -> None:
    server = net.client()
    announcer = net.listen(server, ALICE, Desk())
    found: list[PeerFound] = []
    ended = Outcome[Query]()
    net.client().hyper.operations.find_peer(ALICE.public_key, found.append, ended)
    net.wait(ended)
    assert {answer.source for answer in found} == {relay.relay_address for relay in announcer.relays}
    assert len(found) == 3


def test_forged_peer_record_is_not_believed(net: HyperNet) -> None:
    net.listen(net.client(), ALICE, Desk())
    liar = net.nodes[0].hyper.node
    liar.commands[Command.FIND_PEER] = lambda request: request.reply(PeerRecord(BOB.public_key).encode())
    found: list[PeerFound] = []
    ended = Outcome[Query]()
    net.client().hyper.operations.find_peer(ALICE.public_key, found.append, ended)
    net.wait(ended)
    assert net.nodes[0].address not in {answer.source for answer in found}


def test_cancelled_lookup_reports_nothing(net: HyperNet) -> None:
    client = net.client()
    net.announce(client, TOPIC, ALICE)
    found: list[PeersFound] = []
    ended = Outcome[Query]()
    client.hyper.operations.lookup(TOPIC, found.append, ended).cancel()
    net.run(30)
    assert not found
    assert not ended.values


@pytest.mark.parametrize("after", [0.0, 0.02, 0.04, 0.06])
def test_cancelled_announcement_reports_nothing(net: HyperNet, after: float) -> None:
    ended = Outcome[Stored]()
    client = net.client()
    net.announce(client, TOPIC, ALICE)
    announcement = client.hyper.operations.announce(TOPIC, ALICE, (), ended, clear=True)
    net.run(after)
    assert not ended.values
    announcement.cancel()
    net.run(30)
    assert not ended.values


def test_announcing_with_nobody_there_says_so() -> None:
    net = HyperNet(0)
    alone: Peer = net.boot(net.peer(bootstrap=[Address("8.8.8.8", 1)]))
    assert net.announce(alone, TOPIC, ALICE) == Stored(replies=0, nodes=(), errors=())
    assert net.lookup(alone, TOPIC) == []
