"""Section 8 of the protocol note: the receive window, closed windows, and how they open again."""

from __future__ import annotations

import pytest

from holepunch.udx.packet import DATA, END, HEARTBEAT, Packet
from holepunch.udx.receiver import OVERRUN
from holepunch.udx.sender import MAX_KEPT
from tests.udx.pair import Link, Pair, pattern
from tests.udx.scripted import WINDOW, Scripted, packet


def test_the_window_is_what_the_application_has_not_left_waiting() -> None:
    peer = Scripted()
    [ack] = peer.feed(packet(DATA, 0, bytes(1000)))
    assert ack.window == WINDOW - 1000
    [sack] = peer.feed(packet(DATA, 2, bytes(500)))
    assert sack.window == WINDOW - 1500
    peer.take()
    [ack] = peer.feed(packet(DATA, 1, b""))
    assert ack.window == WINDOW - 500


def test_a_small_window_is_obeyed() -> None:
    peer = Scripted()
    peer.write(b"x")
    peer.now += 0.05
    peer.feed(packet(0, 0, ack=1, window=3 * 1152))
    peer.stream.write([bytes(20_000)])
    assert len(peer.drain()) == 3


def test_a_window_smaller_than_a_packet_takes_one() -> None:
    peer = Scripted()
    peer.write(b"x")
    peer.now += 0.05
    peer.feed(packet(0, 0, ack=1, window=1))
    peer.stream.write([bytes(20_000)])
    assert len(peer.drain()) == 1


def test_what_is_kept_for_a_peer_that_never_acknowledges_the_oldest_packet_is_bounded() -> None:
    peer = Scripted()
    sent = 0
    for _ in range(600):
        peer.stream.write([bytes(60 * 1152)])
        sent += sum(p.seq >= sent for p in peer.drain())
        peer.now += 0.002
        blocks = [(1, sent)] if sent > 1 else []
        sent += sum(p.seq >= sent for p in peer.feed(packet(0, 0, window=2**32 - 1, sacks=blocks)))
    assert sent == MAX_KEPT


def test_retransmissions_ignore_a_closed_window() -> None:
    peer = Scripted()
    peer.write(b"x")
    peer.feed(packet(0, 0, ack=0, window=0))
    assert [p.seq for _, p in peer.repairs(1.5)] == [0]


@pytest.mark.parametrize("what", ["data", "end"])
def test_a_window_that_closed_over_waiting_data_is_probed_after_a_timeout(what: str) -> None:
    peer = Scripted()
    peer.write(b"x")
    peer.now += 0.05
    peer.feed(packet(0, 0, ack=1, window=0))
    peer.wait(5)
    assert peer.stream.deadline() == float("inf")
    if what == "data":
        sent = peer.write(b"waits")
    else:
        peer.stream.write_end()
        sent = peer.drain()
    assert [p.flags for p in sent] == [HEARTBEAT], "already idle on the closed window: the first leaves at once"
    times = [at for at, p in peer.wait(12) if p.flags == HEARTBEAT]
    assert times == pytest.approx([1, 3, 5, 7, 9, 11])
    [last] = peer.feed(packet(0, 0, ack=1))
    assert last.flags == (DATA if what == "data" else END)


def test_a_closed_window_never_times_out() -> None:
    peer = Scripted()
    peer.write(b"x")
    peer.feed(packet(0, 0, ack=1, window=0))
    peer.write(b"waits")
    peer.wait(1000)
    assert not peer.stream.closed


def test_a_heartbeat_says_nothing_about_its_senders_window() -> None:
    peer = Scripted()
    peer.write(b"x")
    peer.feed(packet(HEARTBEAT, 0, ack=1, window=0))
    peer.feed(packet(0, 0, ack=1))
    assert [p.flags for p in peer.write(b"y")] == [DATA]


def test_a_slow_reader_stops_the_sender_and_an_unasked_ack_restarts_it() -> None:
    pair = Pair(Link(delay=0.005), Link(delay=0.005))
    data = pattern(9_000_000)
    pair.b.reading = False
    pair.a.write(data)
    pair.run(seconds=30)
    assert WINDOW - 1500 < pair.b.stream.readable <= WINDOW + OVERRUN
    pair.b.reading = True
    stopped = pair.now
    pair.b.work()
    pair.run(until=lambda: pair.b.received_bytes == len(data))
    assert pair.b.received == data
    assert pair.now - stopped < 1.0, "it did not wait for the next probe"


def test_a_lost_window_update_is_found_by_the_next_probe() -> None:
    lost: list[Packet] = []

    def updates(one: Packet) -> bool:
        if pair.b.reading and one.flags == 0 and not lost:
            lost.append(one)
            return True
        return False

    pair = Pair(Link(delay=0.005), Link(delay=0.005, drop=updates))
    pair.b.reading = False
    pair.a.write(bytes(5_000_000))
    pair.run(seconds=30)
    pair.b.reading = True
    pair.b.work()
    pair.run(seconds=5, until=lambda: pair.b.received_bytes == 5_000_000)
    assert lost


def test_window_updates_are_not_sent_for_every_read() -> None:
    peer = Scripted()
    for number in range(100):
        peer.receive(packet(DATA, number, bytes(1400)))
    peer.drain()
    for _ in range(100):
        peer.stream.take(1400)
        assert peer.drain() == []
