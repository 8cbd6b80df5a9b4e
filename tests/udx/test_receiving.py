"""Section 3 of the protocol note, on a stream that the test feeds packet by packet. See also test_recorded."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holepunch.udx import Event
from holepunch.udx.inbound import MAX_MESSAGES
from holepunch.udx.packet import DATA, END, HEADER_SIZE, HEARTBEAT, MAX_SACK_BLOCKS, MESSAGE, SACK, Packet
from holepunch.udx.receiver import MAX_STORED_PACKETS, OVERRUN, SMALL
from tests.udx.pair import route
from tests.udx.scripted import REMOTE, WINDOW, Scripted, packet

if TYPE_CHECKING:
    from holepunch.compact import Buffer

BODY = 1452


def data_run(first: int, count: int) -> bytes:
    return b"".join(packet(DATA, n, bytes([n & 255]) * BODY) for n in range(first, first + count))


def receive_run(peer: Scripted, run: bytes) -> list[Packet]:
    peer.stream.receive(memoryview(run), 20 + BODY, route(REMOTE), peer.now)
    return peer.drain()


def test_a_whole_drain_is_acknowledged_once() -> None:
    peer = Scripted()
    for number in range(10):
        peer.receive(packet(DATA, number, b"x"))
    [ack] = peer.drain()
    assert (ack.flags, ack.ack) == (0, 10)


def test_a_run_in_order_becomes_one_piece_of_bytes() -> None:
    peer = Scripted()
    [ack] = receive_run(peer, data_run(0, 44))
    assert ack.ack == 44
    [chunk] = peer.stream.take()
    assert chunk == b"".join(bytes([n]) * BODY for n in range(44))


@pytest.mark.parametrize("sizes", [(2,), (2, 511), (1, SMALL), (1, 1, SMALL, 1)])
@pytest.mark.parametrize("late", [False, True])
def test_small_packets_that_nobody_reads_take_little_more_memory_than_the_window_counts(
    sizes: tuple[int, ...], late: bool
) -> None:
    peer = Scripted()
    numbers = range(1, MAX_STORED_PACKETS) if late else range(1, 10_000)
    datagrams = [packet(DATA, number, bytes(sizes[number % len(sizes)])) for number in (*numbers, 0)]
    if not late:
        datagrams.insert(0, datagrams.pop())
    tracemalloc.start()
    try:
        for datagram in datagrams:
            peer.receive(datagram)
        peer.drain()
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peer.stream.readable == sum(sizes[number % len(sizes)] for number in (0, *numbers))
    assert used < 1.3 * peer.stream.readable + 50_000


def test_joined_packets_are_taken_in_parts_while_more_arrive() -> None:
    peer = Scripted()
    chunks: list[Buffer] = []
    for number in range(60):
        peer.feed(packet(DATA, number, bytes([number]) * (1 + number % 7)))
        if number % 3 == 2:
            chunks += peer.stream.take(5)
    chunks += peer.stream.take()
    assert b"".join(chunks) == b"".join(bytes([number]) * (1 + number % 7) for number in range(60))


@pytest.mark.parametrize("order", [[0, 2, 1], [1, 0, 2], [0, 0, 1, 2], [2, 1, 0, 1]])
def test_a_run_out_of_order_gives_the_same_bytes(order: list[int]) -> None:
    peer = Scripted()
    receive_run(peer, b"".join(data_run(n, 1) for n in order))
    assert peer.take() == b"".join(bytes([n]) * BODY for n in range(3))


def test_a_short_last_packet_ends_a_run() -> None:
    peer = Scripted()
    receive_run(peer, data_run(0, 3) + packet(DATA | END, 3, b"rest"))
    assert peer.take().endswith(b"rest")
    assert peer.stream.ended


def test_what_is_kept_is_copied() -> None:
    peer = Scripted()
    for number in (1, 0):
        buffer = bytearray(packet(DATA, number, b"mine"))
        peer.stream.receive(memoryview(buffer), len(buffer), route(REMOTE), peer.now)
        buffer[20:] = b"gone"
    assert peer.take() == b"minemine"


def test_data_beyond_a_gap_is_reported_and_delivered_when_the_gap_closes() -> None:
    peer = Scripted()
    for number in (2, 3, 5):
        peer.receive(packet(DATA, number, str(number).encode()))
    [sack] = peer.drain()
    assert (sack.flags, sack.ack, sack.sacks) == (SACK, 0, [(2, 4), (5, 6)])
    peer.receive(packet(DATA, 0, b"0"))
    [sack] = peer.feed(packet(DATA, 1, b"1"))
    assert (sack.ack, sack.sacks) == (4, [(5, 6)])
    assert peer.take() == b"0123"


def test_of_too_many_holes_the_lowest_and_the_latest_are_reported() -> None:
    peer = Scripted()
    for number in range(1, 400, 2):
        peer.receive(packet(DATA, number, b"x"))
    [sack] = peer.drain()
    assert len(sack.sacks) == MAX_SACK_BLOCKS
    assert sack.sacks == sorted(sack.sacks)
    assert sack.sacks[0] == (1, 2)
    assert sack.sacks[-1] == (399, 400)


def test_an_ack_for_data_rides_on_data_when_there_is_some_to_send() -> None:
    peer = Scripted()
    peer.stream.write([b"answer"])
    [answer] = peer.feed(packet(DATA, 0, b"question"))
    assert (answer.flags, answer.ack) == (DATA, 1)


def test_holes_are_reported_even_when_data_leaves() -> None:
    peer = Scripted()
    peer.stream.write([b"answer"])
    assert [p.flags for p in peer.feed(packet(DATA, 1, b"x"))] == [DATA, SACK]


def test_an_ack_does_not_ride_on_a_retransmission_whose_window_the_peer_would_not_take() -> None:
    peer = Scripted()
    for word in (b"0", b"1", b"2", b"3"):
        peer.write(word)
    peer.now += 0.1
    peer.receive(packet(DATA, 0, b"x"))
    again, ack = peer.feed(packet(0, 1, sacks=[(1, 4)]))
    assert (again.flags, again.seq, again.ack) == (DATA, 0, 1)
    assert (ack.flags, ack.ack) == (0, 1)


def test_early_data_is_kept_and_acknowledged_at_connect() -> None:
    peer = Scripted(connected=False)
    assert peer.feed(packet(DATA, 0, b"early")) == []
    assert peer.feed(packet(HEARTBEAT, 1)) == []
    assert peer.take() == b"early"
    peer.stream.connect(route(REMOTE), REMOTE, peer.now)
    [ack] = peer.drain()
    assert ack.ack == 1


def test_answers_go_to_the_configured_route_wherever_a_packet_came_from() -> None:
    peer = Scripted()
    datagram = memoryview(packet(DATA, 0, b"x"))
    peer.stream.receive(datagram, len(datagram), route(5), peer.now)
    peer.drain()
    assert peer.sent_to == [route(REMOTE)]


def test_unread_data_never_exceeds_the_window_by_more_than_the_overrun() -> None:
    peer = Scripted()
    for first in range(0, 4000, 40):
        receive_run(peer, data_run(first, 40))
    assert WINDOW < peer.stream.readable <= WINDOW + OVERRUN
    [ack] = receive_run(peer, data_run(3999, 1))
    assert ack.window == 0


def test_data_beyond_a_gap_is_bounded_in_bytes_and_what_was_dropped_is_not_reported() -> None:
    peer = Scripted()
    for first in range(1, 4001, 40):
        acks = receive_run(peer, data_run(first, 40))
    [(start, end)] = acks[-1].sacks
    assert (end - start) * BODY <= WINDOW + OVERRUN
    receive_run(peer, data_run(0, 1))
    assert len(peer.take()) == end * BODY


def test_data_beyond_a_gap_is_bounded_in_packets() -> None:
    peer = Scripted()
    for number in range(1, 2 * MAX_STORED_PACKETS):
        peer.receive(packet(DATA, number))
    [sack] = peer.drain()
    assert sack.sacks == [(1, MAX_STORED_PACKETS + 1)]


def test_packets_beyond_the_end_belong_to_nothing() -> None:
    peer = Scripted()
    peer.receive(packet(DATA, 3, b"beyond"))
    peer.receive(packet(END, 1))
    peer.feed(packet(DATA, 0, b"all"))
    assert peer.take() == b"all"
    assert peer.stream.ended
    [ack] = peer.feed(packet(DATA, 2, b"more"))
    assert (ack.flags, ack.ack) == (0, 2)


def test_end_is_reported_once_everything_before_it_is_there() -> None:
    peer = Scripted()
    peer.feed(packet(END, 1))
    assert Event.ENDED not in peer.events
    peer.feed(packet(DATA, 0, b"x"))
    assert peer.events.count(Event.ENDED) == 1
    assert not peer.stream.ended
    peer.take()
    assert peer.stream.ended


def test_readable_is_reported_again_only_after_taking() -> None:
    peer = Scripted()
    peer.feed(packet(DATA, 0, b"abcdef"))
    peer.feed(packet(DATA, 1, b"ghi"))
    assert peer.events == [Event.READABLE]
    assert b"".join(peer.stream.take(4)) == b"abcd"
    peer.drain()
    assert peer.events == [Event.READABLE, Event.READABLE]
    assert b"".join(peer.stream.take(4)) == b"efgh"
    assert peer.take() == b"i"
    peer.drain()
    assert len(peer.events) == 2


def test_messages_are_unordered_unacknowledged_and_may_be_empty() -> None:
    peer = Scripted()
    assert peer.feed(packet(MESSAGE, 700, b"far")) == []
    assert peer.feed(packet(MESSAGE, 0)) == []
    assert list(peer.stream.messages) == [b"far", b""]


def test_of_too_many_messages_the_oldest_are_dropped() -> None:
    peer = Scripted()
    for number in range(MAX_MESSAGES + 10):
        peer.receive(packet(MESSAGE, 0, str(number).encode()))
    peer.drain()
    assert len(peer.stream.messages) == MAX_MESSAGES
    assert peer.stream.messages[0] == b"10"
    assert peer.events == [Event.MESSAGE]


def test_an_acknowledgement_of_what_was_never_sent_is_not_believed() -> None:
    peer = Scripted()
    peer.write(b"x")
    peer.feed(packet(0, 0, ack=2, window=0))
    assert [p.flags for p in peer.write(b"y")] == [DATA]


def test_an_old_window_is_not_believed() -> None:
    peer = Scripted()
    peer.write(b"x")
    peer.feed(packet(DATA, 5, b"new", ack=1))
    peer.feed(packet(0, 4, ack=1, window=0))
    assert [p.flags for p in peer.write(b"y")] == [DATA]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 12), st.sampled_from([0, 2000, WINDOW])), max_size=12))
def test_acks_that_came_together_count_as_one_by_one(numbers: list[tuple[int, int, int]]) -> None:
    runs = [b"".join(packet(0, seq, ack=ack, window=window) for seq, ack, window in numbers)]
    singles = [packet(0, seq, ack=ack, window=window) for seq, ack, window in numbers]
    left = []
    for datagrams in (runs, singles):
        peer = Scripted()
        peer.write(bytes(8 * BODY))
        for datagram in datagrams:
            peer.stream.receive(memoryview(datagram), HEADER_SIZE, route(REMOTE), peer.now)
        sent = peer.drain() + peer.write(bytes(8 * BODY))
        left.append((peer.stream.packets_received, peer.stream.idle, [(p.seq, len(p.payload)) for p in sent]))
    assert left[0] == left[1]
