"""What a run leaves for the next: bounded, and told from anything else that a file may hold."""

from __future__ import annotations

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holepunch.address import Address
from holepunch.errors import DecodeError
from swarm.remembered import (
    ENOUGH_NODES,
    MAX_FILE,
    MAX_NODES,
    MAX_PEERS,
    MAX_RELAYS,
    MAX_TOPICS,
    Peers,
    decode_nodes,
    encode_nodes,
    merge_nodes,
    seal,
)

NODES = [Address(f"88.99.3.{n}", 49737) for n in range(200)]


def key(n: int) -> bytes:
    return n.to_bytes(32, "big")


def test_nodes_survive() -> None:
    assert decode_nodes(encode_nodes(NODES[:30])) == NODES[:30]


def test_peers_survive_in_their_order() -> None:
    peers = Peers()
    peers.met(key(1), key(10), NODES[:2])
    peers.met(key(1), key(11), [])
    peers.met(key(2), key(10), NODES[2:3])
    again = Peers.decode(peers.encode())
    assert again.of(key(1), 9) == [(key(11), ()), (key(10), tuple(NODES[:2]))]
    assert again.of(key(2), 9) == [(key(10), tuple(NODES[2:3]))]
    assert again.of(key(3), 9) == []


def test_peer_met_without_relays_keeps_those_it_had() -> None:
    peers = Peers()
    peers.met(key(1), key(10), NODES[:2])
    peers.met(key(1), key(10), [])
    assert peers.of(key(1), 1) == [(key(10), tuple(NODES[:2]))]


def test_lost_peer_is_forgotten_under_every_topic() -> None:
    peers = Peers()
    peers.met(key(1), key(10), [])
    peers.met(key(2), key(10), [])
    peers.met(key(2), key(11), [])
    peers.lost(key(10))
    assert peers.of(key(1), 9) == []
    assert peers.of(key(2), 9) == [(key(11), ())]


def test_only_so_much_is_kept_and_fits_the_file() -> None:
    peers = Peers()
    for topic in range(MAX_TOPICS + 5):
        for peer in range(MAX_PEERS + 5):
            peers.met(key(topic), key(peer), NODES[:20])
    assert peers.of(key(0), 9) == []
    last = peers.of(key(MAX_TOPICS + 4), 1000)
    assert len(last) == MAX_PEERS
    assert last[0] == (key(MAX_PEERS + 4), tuple(NODES[:MAX_RELAYS]))
    assert len(peers.encode()) < MAX_FILE // 2


def test_few_nodes_heard_do_not_push_out_earlier_ones() -> None:
    assert merge_nodes([], NODES[:5]) == NODES[:5]
    assert merge_nodes(NODES[4:6], NODES[:5]) == [*NODES[4:6], *NODES[:4]]
    assert merge_nodes(NODES[:ENOUGH_NODES], NODES[50:60]) == NODES[:ENOUGH_NODES]
    assert merge_nodes(NODES, []) == NODES[:MAX_NODES]


def test_file_of_one_kind_is_not_taken_for_the_other() -> None:
    with pytest.raises(DecodeError, match="does not begin"):
        decode_nodes(Peers().encode())


def test_file_that_was_cut_off_or_changed_is_refused_wherever_that_happened() -> None:
    whole = encode_nodes(NODES[:3])
    for at in range(len(whole)):
        with pytest.raises(DecodeError):
            decode_nodes(whole[:at])
        with pytest.raises(DecodeError):
            decode_nodes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])


@given(st.binary(max_size=200))
def test_any_bytes_are_refused(data: bytes) -> None:
    for decode in (decode_nodes, Peers.decode):
        with pytest.raises(DecodeError):
            decode(data)


@pytest.mark.parametrize(
    "value",
    [None, 1, {}, [1], [[1]], [[key(1), 2]], [[key(1), [[b"short", b""]]]], [[b"", []]], [[key(1), [[key(2), "x"]]]]],
)
def test_check_sum_does_not_make_nonsense_good(value: object) -> None:
    if value is not None:
        with pytest.raises(DecodeError):
            Peers.decode(seal(b"trio-hyperswarm peers 1\n", value))
    with pytest.raises(DecodeError):
        decode_nodes(seal(b"trio-hyperswarm nodes 1\n", value))


def test_what_is_sealed_is_one_msgpack_value() -> None:
    data = encode_nodes(NODES[:1])
    assert msgpack.unpackb(data[24 + 16 :]) == bytes([1, 88, 99, 3, 0]) + (49737).to_bytes(2, "little")
