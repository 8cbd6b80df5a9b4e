"""Putting and getting values over a network of nodes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING
from unittest.mock import ANY

import pytest

from holepunch.keys import hash32
from swarm.hyperdht.messages import Command, MutableValue, PutError
from swarm.hyperdht.operations import ImmutableFound, MutableFound, Stored
from swarm.hyperdht.signatures import signed_put
from swarm.hyperdht.storage import MAX_VALUE_SIZE
from swarm.kademlia.packets import MAX_PACKET, REQUEST, decode_response
from swarm.kademlia.rpc import Request
from swarm.kademlia.table import K
from tests.hyperdht.hypernet import HyperNet, Outcome, Peer, key_pair

if TYPE_CHECKING:
    from holepunch.address import Address

ALICE, BOB = key_pair(1), key_pair(2)


@pytest.fixture
def net() -> HyperNet:
    return HyperNet(5)


def put(net: HyperNet, value: bytes, seq: int, peer: Peer | None = None) -> Stored:
    ended = Outcome[Stored]()
    (peer or net.client()).hyper.operations.mutable_put(ALICE, value, seq, ended)
    return net.wait(ended)


def get(net: HyperNet, minimum_seq: int = 0, *, latest: bool = True) -> MutableFound | None:
    ended = Outcome["MutableFound | None"]()
    net.client().hyper.operations.mutable_get(ALICE.public_key, ended, minimum_seq=minimum_seq, latest=latest)
    return net.wait(ended)


def get_immutable(net: HyperNet, target: bytes) -> ImmutableFound | None:
    ended = Outcome["ImmutableFound | None"]()
    net.client().hyper.operations.immutable_get(target, ended)
    found = net.wait(ended)
    net.run(10)
    assert len(ended.values) == 1
    return found


def test_immutable_value_is_found_under_its_hash(net: HyperNet) -> None:
    ended = Outcome[Stored]()
    net.client().hyper.operations.immutable_put(b"value", ended)
    assert len(net.wait(ended).nodes) == 6
    found = get_immutable(net, hash32(b"value"))
    assert found is not None
    assert found.value == b"value"


def test_immutable_value_that_nobody_has_is_none(net: HyperNet) -> None:
    assert get_immutable(net, hash32(b"value")) is None


def test_immutable_value_of_another_hash_is_not_believed(net: HyperNet) -> None:
    for peer in net.nodes:
        peer.hyper.node.commands[Command.IMMUTABLE_GET] = lambda request: request.reply(b"lie")
    assert get_immutable(net, hash32(b"value")) is None


def test_mutable_value_is_found_in_its_latest_version(net: HyperNet) -> None:
    assert len(put(net, b"one", 1).nodes) == 6
    assert len(put(net, b"two", 2).nodes) == 6
    found = get(net)
    assert found is not None
    assert (found.content.seq, found.content.value) == (2, b"two")
    assert get(net, 2) is not None
    assert get(net, 3) is None


def test_refused_versions_are_reported(net: HyperNet) -> None:
    put(net, b"two", 2)
    assert put(net, b"one", 1).errors == (PutError.SEQ_TOO_LOW,) * 6
    refused = put(net, b"other", 2)
    assert refused.errors == (PutError.SEQ_REUSED,) * 6
    assert refused.nodes == ()


def test_newest_version_wins_over_what_most_nodes_have(net: HyperNet) -> None:
    put(net, b"one", 1)
    newer = signed_put(ALICE, 2, b"two").content
    net.nodes[3].hyper.storage.put_mutable(hash32(ALICE.public_key), newer)
    found = get(net)
    assert found == MutableFound(net.nodes[3].address, newer)


def test_first_version_is_enough_when_the_latest_is_not_asked_for(net: HyperNet) -> None:
    put(net, b"one", 1)
    ended = Outcome["MutableFound | None"]()
    net.client().hyper.operations.mutable_get(ALICE.public_key, ended, latest=False)
    found = net.wait(ended)
    net.run(10)
    assert len(ended.values) == 1
    assert found is not None
    assert found.content.value == b"one"


def test_forged_version_is_not_believed(net: HyperNet) -> None:
    put(net, b"one", 1)
    forged = MutableValue(9, b"lie", bytes(64)).encode()
    old = signed_put(BOB, 9, b"of another").content.encode()
    for peer, lie in zip(net.nodes[:3], (forged, old, b"\xff"), strict=True):
        peer.hyper.node.commands[Command.MUTABLE_GET] = partial(Request.reply, value=lie)
    found = get(net)
    assert found is not None
    assert found.content.value == b"one"


@pytest.mark.parametrize("wanted", [True, False])
def test_refresh_stores_the_newest_version_everywhere(net: HyperNet, wanted: bool) -> None:
    target = hash32(ALICE.public_key)
    newest = signed_put(ALICE, 2, b"two").content
    net.nodes[3].hyper.storage.put_mutable(target, newest)
    asked: list[MutableFound] = []

    def refresh(found: MutableFound) -> bool:
        asked.append(found)
        return wanted

    ended = Outcome["MutableFound | None"]()
    net.client().hyper.operations.mutable_get(ALICE.public_key, ended, refresh=refresh)
    assert net.wait(ended) == MutableFound(net.nodes[3].address, newest)
    assert asked == [MutableFound(net.nodes[3].address, newest)]
    holding = [peer for peer in net.nodes if peer.hyper.storage.get_mutable(target, 0) is not None]
    assert len(holding) == (5 if wanted else 1)


def test_largest_value_and_its_answers_fit_into_packets_that_every_path_carries(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    net, value, last = HyperNet(K + 1), bytes(MAX_VALUE_SIZE), 2**53 - 1
    requests: list[bytes] = []
    responses: list[bytes] = []
    carry = net.sim.carry

    def measure(source: Address, to: Address, data: bytes) -> None:
        (requests if data[0] == REQUEST else responses).append(data)
        carry(source, to, data)

    monkeypatch.setattr(net.sim, "carry", measure)
    writer = net.nodes[0]  # a persistent node, whose requests carry an id
    assert len(put(net, value, last, writer).nodes) == K
    assert max(map(len, requests)) == MAX_VALUE_SIZE + 218
    responses.clear()
    found = get(net)
    assert found is not None
    assert found.content == signed_put(ALICE, last, value).content
    ended = Outcome[Stored]()
    writer.hyper.operations.immutable_put(value, ended)
    target, stored = hash32(value), net.wait(ended)
    assert len(stored.nodes) == K
    assert get_immutable(net, target) == ImmutableFound(ANY, value)
    answers = [decode_response(data) for data in responses]
    assert {len(answer.closer) for answer in answers if answer.value and len(answer.value) > MAX_VALUE_SIZE} == {15}
    assert max(map(len, requests)) < MAX_PACKET
    assert max(map(len, responses)) <= MAX_PACKET


@pytest.mark.parametrize("value", [b"", bytes(MAX_VALUE_SIZE + 1)])
def test_value_that_no_node_would_store_is_refused_at_once(net: HyperNet, value: bytes) -> None:
    operations, ended = net.client().hyper.operations, Outcome[Stored]()
    for put in (operations.immutable_put, partial(operations.mutable_put, ALICE, seq=1)):
        with pytest.raises(ValueError, match=f"1 to {MAX_VALUE_SIZE} bytes.* got {len(value)}$"):
            put(value=value, on_end=ended)
    with pytest.raises(ValueError):
        operations.mutable_put(ALICE, b"value", -1, ended)
