"""Section 4 of the protocol note: how bytes become packets, and what a packet keeps for ever."""

from __future__ import annotations

import pytest

from holepunch.udx import Event, Transmit, UdxStream
from holepunch.udx.batch import GRID_PACKETS, Batch, BatchPool, Grid, SendQueue
from holepunch.udx.packet import DATA, END, HEADER_SIZE, MESSAGE, Packet, decode
from holepunch.udx.stream import SEND_QUEUE
from tests.udx.pair import Link, Pair, Peer, pattern, route
from tests.udx.scripted import REMOTE, Scripted, packet

FIRST_PAYLOAD = 1152


def test_writes_between_flushes_share_a_packet() -> None:
    peer = Scripted()
    for word in (b"many", b"small", b"", b"writes"):
        peer.stream.write([word])
    [one] = peer.drain()
    assert bytes(one.payload) == b"manysmallwrites"


def test_packets_carry_1152_bytes_until_more_is_proven() -> None:
    peer = Scripted()
    sent = peer.write(bytes(3000))
    assert [len(p.payload) for p in sent] == [FIRST_PAYLOAD, FIRST_PAYLOAD, 3000 - 2 * FIRST_PAYLOAD]
    assert [p.seq for p in sent] == [0, 1, 2]


def test_a_batch_leaves_as_one_transmit_of_full_packets() -> None:
    pair = Pair(Link(delay=0.001), Link(delay=0.001))
    pair.a.write(pattern(2_000_000))
    pair.run(until=lambda: pair.b.received_bytes == 2_000_000)
    stream = pair.a.stream
    stream.write([bytes(stream.max_message * GRID_PACKETS)])
    stream.flush(pair.now)
    [transmit] = stream.transmits
    assert transmit.segment == 1472
    assert sum(map(len, transmit.buffers)) == GRID_PACKETS * 1472


def test_a_packet_that_is_sent_again_has_the_bytes_it_had_at_first() -> None:
    pair = HoldingPair(Link(delay=0.01, loss=0.05), Link(delay=0.01))
    data = pattern(1_500_000)
    pair.a.write(data)
    pair.run(until=lambda: pair.b.received_bytes == len(data))
    sent_twice = 0
    at_first: dict[int, bytes] = {}
    for joined, segment in pair.held:
        for number, payload in payloads(joined, segment).items():
            if number in at_first:
                sent_twice += 1
                assert payload == at_first[number]
            at_first[number] = payload
    assert sent_twice > 10


class HoldingPair(Pair):
    """Keeps what the first stream wants sent, and the sizes of its packets."""

    def __init__(self, forward: Link, back: Link) -> None:
        super().__init__(forward, back)
        self.held: list[tuple[bytes, int]] = []

    def send(self, peer: Peer, transmit: Transmit) -> None:
        if peer is self.a:
            self.held.append((b"".join(transmit.buffers), transmit.segment))
        super().send(peer, transmit)


def payloads(joined: bytes, segment: int) -> dict[int, bytes]:
    packets = [decode(memoryview(joined)[at : at + segment]) for at in range(0, len(joined), segment)]
    return {packet.seq: bytes(packet.payload) for packet in packets if packet.flags & DATA}


def test_a_retransmission_repeats_number_flags_and_bytes_under_a_fresh_ack() -> None:
    peer = Scripted()
    peer.stream.write([b"hello"])
    peer.stream.write_end()
    [first] = peer.drain()
    peer.feed(packet(DATA, 0, b"meanwhile"))
    [(at, again)] = peer.repairs(1.5)
    assert at == pytest.approx(1.0)
    assert (again.flags, again.seq, bytes(again.payload)) == (first.flags, first.seq, bytes(first.payload))
    assert (first.ack, again.ack) == (0, 1)
    assert again.window == first.window - len(b"meanwhile")


def test_what_was_sacked_is_never_sent_again() -> None:
    peer = Scripted()
    peer.write(bytes(5 * FIRST_PAYLOAD))
    peer.now += 0.1
    again = peer.feed(packet(0, 0, sacks=[(1, 3), (4, 5)]))
    again += [p for _, p in peer.repairs(9.0)]
    assert {p.seq for p in again} == {0, 3}


def test_end_goes_alone_when_the_last_bytes_have_left() -> None:
    peer = Scripted()
    peer.write(b"bytes")
    peer.stream.write_end()
    [end] = peer.drain()
    assert (end.flags, end.seq, bytes(end.payload)) == (END, 1, b"")


def test_end_rides_on_packets_that_were_cut_and_still_wait() -> None:
    peer = Scripted()
    peer.write(bytes(30 * FIRST_PAYLOAD))
    peer.stream.write_end()
    assert peer.drain() == []
    sent = [Packet(0, 0, 0, 0, 9, 0, [], memoryview(b""))]
    while sent[-1].seq < 29:
        peer.now += 0.1
        sent += peer.feed(packet(0, 0, ack=sent[-1].seq + 1))
        sent += [p for _, p in peer.wait(0.09)]
    assert [p.flags for p in sent[1:]] == [DATA] * 19 + [DATA | END]


def test_writing_after_the_end_is_a_mistake() -> None:
    stream = UdxStream(1, now=0.0)
    stream.write_end()
    stream.write_end()
    with pytest.raises(ValueError, match="ended"):
        stream.write([b"more"])


def test_bytes_written_before_connect_wait_for_it() -> None:
    peer = Scripted(connected=False)
    assert peer.write(b"early") == []
    peer.stream.connect(route(REMOTE), REMOTE, peer.now)
    assert [bytes(p.payload) for p in peer.drain()] == [b"early"]


def test_a_message_leaves_at_once_whatever_the_window_is() -> None:
    peer = Scripted()
    peer.write(b"x")
    peer.feed(packet(0, 0, ack=1, window=0))
    assert peer.stream.send_message(b"now")
    assert [(p.flags, bytes(p.payload)) for p in peer.drain()] == [(MESSAGE, b"now")]


def test_a_message_that_cannot_go_is_refused() -> None:
    assert not Scripted(connected=False).stream.send_message(b"")
    peer = Scripted()
    assert peer.stream.max_message == FIRST_PAYLOAD
    assert not peer.stream.send_message(bytes(1453))
    peer.stream.destroy()
    assert not peer.stream.send_message(b"")


def test_a_full_queue_reports_room_once() -> None:
    peer = Scripted()
    while peer.stream.writable > 0:
        peer.stream.write([bytes(10_000)])
    peer.drain()
    assert Event.WRITABLE not in peer.events
    acked = 0
    for _ in range(300):
        acked += len(peer.feed(packet(0, 0, ack=acked))) if acked else 10
        peer.now += 0.01
    assert peer.events.count(Event.WRITABLE) == 1
    assert peer.stream.writable > SEND_QUEUE // 4


# -- the parts underneath


def test_a_queue_gives_its_bytes_in_any_portions() -> None:
    queue = SendQueue()
    data = pattern(1000)
    queue.push([data[:10], data[10:10], data[10:500], memoryview(data)[500:]])
    taken = b"".join(bytes(queue.pull(size)) for size in (1, 9, 100, 300, 90, 1, 499))
    assert taken == data
    assert queue.size == 0


def test_bytes_pushed_back_come_first_again() -> None:
    queue = SendQueue()
    queue.push([b"abcdef"])
    head = bytes(queue.pull(4))
    queue.push_back(head[2:])
    assert bytes(queue.pull(4)) == b"cdef"


def test_a_small_batch_takes_no_more_memory_than_its_bytes() -> None:
    queue, pool = SendQueue(), BatchPool()
    queue.push([bytes(100)])
    batch = pool.batch(queue, 1152, 10)
    assert type(batch) is Batch
    assert (batch.count, batch.packet_size(0)) == (1, HEADER_SIZE + 100)


def test_a_short_rest_waits_while_the_windows_hold_back_full_packets() -> None:
    queue, pool = SendQueue(), BatchPool()
    queue.push([bytes(1152 * 3 + 1)])
    assert pool.batch(queue, 1152, 3).count == 3
    assert queue.size == 1


def test_a_grid_is_used_again() -> None:
    queue, pool = SendQueue(), BatchPool()
    queue.push([bytes(2 * GRID_PACKETS * 1152)])
    first = pool.batch(queue, 1152, 99)
    assert type(first) is Grid
    pool.recycle(first)
    assert pool.batch(queue, 1152, 99) is first


def test_a_grid_of_another_size_is_not_used() -> None:
    queue, pool = SendQueue(), BatchPool()
    queue.push([bytes(3 * GRID_PACKETS * 1452)])
    pool.recycle(pool.batch(queue, 1152, 99))
    assert pool.batch(queue, 1452, 99).size == 1452
