"""The data path of a relay: which packets it forwards, what it changes in them, and what it never does."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holepunch.address import Address
from holepunch.relay.forwarding import ALIVE, Budget, Leg, join
from holepunch.udp import Received
from holepunch.udx.packet import DATA, DESTROY, decode, header
from tests.recorded import recorded

ALICE = (0, Address("1.2.3.4", 1111))
BOB = (0, Address("5.6.7.8", 2222))
STRANGER = (0, Address("9.9.9.9", 3333))


class Pair:
    """Two legs, joined."""

    def __init__(self, rate: float = math.inf) -> None:
        self.ended = 0
        self.routes = {"alice": ALICE, "bob": BOB}
        self.alice = Leg(10, 0x11111111, lambda: self.routes["alice"], Budget(rate, 0), self.end)
        self.bob = Leg(20, 0x22222222, lambda: self.routes["bob"], Budget(rate, 0), self.end)
        join(self.alice, self.bob)

    def end(self) -> None:
        self.ended += 1


def packet(stream_id: int, body: bytes = b"", flags: int = DATA, seq: int = 0) -> bytes:
    return header(flags, stream_id, 1 << 20, seq, 7) + body


def received(data: bytes, segment: int, route: tuple[int, Address]) -> Received:
    return Received(memoryview(data), segment, route[1])


def single(data: bytes, route: tuple[int, Address]) -> Received:
    return received(data, len(data), route)


@pytest.mark.parametrize("case", recorded("blind_relay.json", "udx forwarding"))
def test_only_the_stream_id_of_a_packet_changes(case: dict[str, Any]) -> None:
    data = bytes.fromhex(case["received"])
    alice = Leg(0x392009C6, 1, lambda: ALICE, Budget(math.inf, 0), lambda: None)
    bob = Leg(1, 0x6F, lambda: BOB, Budget(math.inf, 0), lambda: None)
    join(alice, bob)
    sent = alice.forward(single(data, ALICE), 0, 0)
    assert sent is not None
    assert b"".join(sent.buffers).hex() == case["sent_on"]
    assert (sent.role, sent.to) == BOB


@pytest.mark.parametrize("case", recorded("udx_packets.json", "relay"))
def test_recorded_conversation_is_forwarded_as_node_forwards_it(case: dict[str, Any]) -> None:
    """A's stream 1 is linked with 2 of the relay, and 3 of the relay with D's 4."""
    ended: list[str] = []
    a, d = ALICE, BOB
    legs = {
        "A->relay": (Leg(2, 1, lambda: a, Budget(math.inf, 0), lambda: ended.append("A")), a, "relay->D"),
        "D->relay": (Leg(3, 4, lambda: d, Budget(math.inf, 0), lambda: ended.append("D")), d, "relay->A"),
    }
    join(legs["A->relay"][0], legs["D->relay"][0])
    by_direction: dict[str, list[str]] = {}
    for packet in case["packets"]:
        by_direction.setdefault(packet["dir"], []).append(packet["hex"])
    for direction, (leg, route, other) in legs.items():
        forwarded = []
        for packet in by_direction[direction]:
            sent = leg.forward(single(bytes.fromhex(packet), route), 0, 0)
            assert sent is not None
            assert (sent.role, sent.to) == (d if other == "relay->D" else a)
            forwarded.append(b"".join(sent.buffers).hex())
        assert forwarded == by_direction[other]
    assert ended == ["A"]  # the one that destroyed its stream


@given(st.integers(20, 60), st.integers(1, 5), st.integers(20, 60))
def test_every_packet_of_a_run_gets_the_new_id(segment: int, whole: int, last: int) -> None:
    pair = Pair()
    last = min(last, segment)
    sizes = [segment] * whole + [last]
    datagrams = [packet(10, bytes(n % 251 for n in range(size - 20))) for size in sizes]
    sent = pair.alice.forward(received(b"".join(datagrams), segment, ALICE), 0, 0)
    assert sent is not None
    run = b"".join(sent.buffers)
    assert sent.segment == segment
    at = 0
    for before in datagrams:
        after = run[at : at + len(before)]
        assert after == before[:4] + (0x22222222).to_bytes(4, "little") + before[8:]
        at += len(before)
    assert pair.alice.packets == len(sizes)
    assert pair.alice.bytes == sum(sizes)


def test_first_packets_are_not_lost_though_the_other_side_was_not_heard_yet() -> None:
    pair = Pair()
    sent = pair.alice.forward(single(packet(10), ALICE), 0, 0)
    assert sent is not None
    assert sent.to == BOB[1]


def test_first_packet_tells_the_port_and_later_ones_do_not_change_it() -> None:
    pair = Pair()
    mapped = (0, ALICE[1]._replace(port=4444))
    assert pair.alice.forward(single(packet(10), mapped), 0, 0) is not None
    back = pair.bob.forward(single(packet(20), BOB), 0, 0)
    assert back is not None
    assert back.to == mapped[1]
    assert pair.alice.forward(single(packet(10), (0, ALICE[1]._replace(port=5555))), 0, 0) is None


def test_stranger_that_knows_the_id_takes_nothing_over() -> None:
    pair = Pair()
    assert pair.alice.forward(single(packet(10), STRANGER), 0, 0) is None
    back = pair.bob.forward(single(packet(20), BOB), 0, 0)
    assert back is not None
    assert back.to == ALICE[1]
    assert pair.alice.dropped == 1


def test_client_that_moved_is_followed_where_its_connection_to_the_relay_goes() -> None:
    pair = Pair()
    assert pair.alice.forward(single(packet(10), ALICE), 0, 0) is not None
    moved = (0, Address("1.9.9.9", 1))
    assert pair.alice.forward(single(packet(10), moved), 0, 0) is None
    pair.routes["alice"] = moved
    assert pair.alice.forward(single(packet(10), moved), 0, 0) is not None
    back = pair.bob.forward(single(packet(20), BOB), 0, 0)
    assert back is not None
    assert back.to == moved[1]


def test_what_exceeds_the_bytes_per_second_is_dropped() -> None:
    pair = Pair(rate=1000)
    whole = packet(10, bytes(480))
    assert [pair.alice.forward(single(whole, ALICE), 0, 0) is not None for _ in range(3)] == [True, True, False]
    assert pair.alice.dropped == 1
    assert pair.alice.forward(single(whole, ALICE), 0, 0.5) is not None
    assert pair.alice.forward(single(whole, ALICE), 0, 0.6) is None


def test_destroy_of_a_peer_is_forwarded_and_ends_the_link() -> None:
    pair = Pair()
    assert pair.alice.forward(single(packet(10, flags=DESTROY), ALICE), 0, 0) is not None
    assert pair.ended == 1


def test_destroy_of_the_relay_is_one_that_the_peer_obeys() -> None:
    pair = Pair()
    pair.alice.forward(single(packet(10, b"x", seq=41), ALICE), 0, 0)
    pair.bob.forward(single(packet(20), BOB), 0, 0)
    last = pair.bob.destroy(0)
    assert last is not None
    assert (last.role, last.to) == BOB
    message = decode(memoryview(b"".join(last.buffers)))
    assert message.flags == DESTROY
    assert message.stream_id == 0x22222222
    assert message.seq == 42
    assert message.ack == 7


def test_peer_that_uses_the_relay_no_more_is_not_disturbed() -> None:
    pair = Pair()
    pair.alice.forward(single(packet(10), ALICE), 0, 0)
    pair.bob.forward(single(packet(20), BOB), 0, 0)
    assert pair.bob.destroy(ALIVE + 0.1) is None


def test_peer_that_was_never_heard_is_told_nothing() -> None:
    pair = Pair()
    pair.alice.forward(single(packet(10), ALICE), 0, 0)
    assert pair.bob.destroy(0) is None
