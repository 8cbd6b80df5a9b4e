"""Sections 5 and 6 of the protocol note: how streams begin, end, are destroyed, and what answers after the end."""

from __future__ import annotations

import pytest

from holepunch.udx import Event, Linger, Reset, TimedOut, UdxStream
from holepunch.udx.packet import DATA, DESTROY, END, HEARTBEAT, Packet, decode
from tests.udx.pair import Link, Pair, route
from tests.udx.scripted import LOCAL, REMOTE, Scripted, packet


def test_connect_sends_nothing() -> None:
    pair = Pair()
    pair.run()
    assert pair.log == []


def test_ending_one_direction_leaves_the_other_open() -> None:
    pair = Pair()
    pair.a.write(b"question", end=True)
    pair.run(until=lambda: pair.b.stream.ended)
    pair.b.write(b"answer")
    pair.run(until=lambda: pair.a.received == b"answer")
    assert not pair.closed
    pair.b.write(b"", end=True)
    pair.run(until=lambda: pair.closed)
    assert pair.a.stream.error is None
    assert pair.b.stream.error is None
    assert not any(p.flags & DESTROY for p in pair.a.packets + pair.b.packets)


def test_events_tell_the_story_in_order() -> None:
    pair = Pair()
    pair.a.reading = False
    pair.a.write(b"all", end=True)
    pair.b.write(b"all", end=True)
    pair.run(until=lambda: pair.closed)
    assert pair.a.events == [Event.READABLE, Event.ENDED, Event.DRAINED, Event.CLOSED]


def test_unread_bytes_outlive_the_stream() -> None:
    pair = Pair()
    pair.b.reading = False
    pair.a.write(b"last words", end=True)
    pair.b.write(b"", end=True)
    pair.run(until=lambda: pair.closed)
    assert not pair.b.stream.ended
    assert b"".join(pair.b.stream.take()) == b"last words"
    assert pair.b.stream.ended


def test_a_closed_stream_is_silent_and_asks_for_no_time() -> None:
    peer = Scripted()
    peer.stream.write_end()
    peer.drain()
    peer.feed(packet(END, 0, ack=1))
    assert peer.stream.closed
    assert peer.feed(packet(DATA, 1, b"late")) == []
    assert peer.write(b"ignored") == []
    peer.stream.destroy()
    peer.stream.expire(peer.now + 100)
    assert peer.drain() == []
    assert peer.stream.deadline() == float("inf")


def test_destroy_sends_one_destroy_and_closes_at_once() -> None:
    pair = Pair()
    pair.a.stream.write([b"lost with the stream"])
    pair.a.stream.destroy()
    pair.a.work()
    assert pair.a.stream.closed
    assert [p.flags for p in pair.a.packets] == [DESTROY]
    pair.run()
    assert isinstance(pair.b.stream.error, Reset)
    assert pair.b.packets == []


def test_an_unconnected_stream_just_closes() -> None:
    peer = Scripted(connected=False)
    peer.stream.destroy()
    assert peer.drain() == []
    assert peer.events == [Event.CLOSED]
    assert peer.stream.linger() is None


def test_what_came_before_a_destroy_can_be_taken_and_is_reported_first() -> None:
    peer = Scripted()
    peer.receive(packet(DATA, 0, b"before"))
    peer.receive(packet(DESTROY, 1))
    assert peer.drain() == []
    assert peer.events == [Event.READABLE, Event.CLOSED]
    assert peer.take() == b"before"


def test_a_destroy_above_a_gap_counts_and_one_from_the_past_does_not() -> None:
    peer = Scripted()
    peer.feed(packet(DATA, 0, b"x"))
    peer.feed(packet(DESTROY, 0))
    assert not peer.stream.closed
    peer.feed(packet(DESTROY, 500))
    assert isinstance(peer.stream.error, Reset)


def test_a_silent_peer_is_given_up_after_seven_timeouts() -> None:
    peer = Scripted()
    peer.write(b"anybody?")
    peer.wait(60)
    assert isinstance(peer.stream.error, TimedOut)
    assert peer.events[-1] is Event.CLOSED
    assert peer.stream.linger() is None


def test_progress_starts_the_count_of_timeouts_again() -> None:
    peer = Scripted()
    peer.write(bytes(2 * 1152))
    peer.wait(10)
    peer.feed(packet(0, 0, ack=1))
    peer.wait(10)
    assert not peer.stream.closed


def test_acknowledging_only_beyond_the_oldest_packet_is_no_progress() -> None:
    peer = Scripted()
    peer.write(bytes(2 * 1152))
    for _ in range(20):
        peer.feed(packet(0, 0, sacks=[(1, 2)]))
        peer.wait(1)
    assert isinstance(peer.stream.error, TimedOut)


def test_when_only_the_ack_of_the_own_end_is_missing_the_close_is_clean() -> None:
    peer = Scripted()
    peer.stream.write_end()
    peer.drain()
    peer.feed(packet(END, 0))
    peer.wait(60)
    assert peer.stream.closed
    assert peer.stream.error is None


# -- closing while the remote still sends


def test_data_that_nobody_will_read_is_answered_by_destroy() -> None:
    peer = Scripted()
    peer.stream.write_end()
    peer.drain()
    peer.stream.close_read()
    assert [p.flags for p in peer.feed(packet(DATA, 0, b"more", ack=1))] == [DESTROY]
    assert peer.stream.closed
    assert peer.stream.error is None


def test_what_is_queued_arrives_before_the_destroy() -> None:
    pair = Pair()
    pair.b.write(bytes(3_000_000))
    pair.run(until=lambda: pair.a.received_bytes > 0)
    goodbye = bytes(500_000)
    pair.a.reading = False
    pair.a.stream.close_read()
    pair.a.write(goodbye, end=True)
    pair.run(until=lambda: pair.closed)
    assert pair.b.received == goodbye
    assert pair.a.stream.error is None
    assert isinstance(pair.b.stream.error, Reset)


def test_a_remote_that_ends_too_closes_without_a_destroy() -> None:
    peer = Scripted()
    peer.stream.close_read()
    peer.stream.write_end()
    peer.drain()
    [ack] = peer.feed(packet(END, 0, ack=1))
    assert (ack.flags, ack.ack) == (0, 1)
    assert peer.stream.closed


# -- linger


def reply(linger: Linger, datagram: bytes) -> list[Packet]:
    transmits = linger.receive(memoryview(datagram), len(datagram), route(3))
    assert all((t.role, t.to) == route(REMOTE) for t in transmits)
    return [decode(memoryview(b"".join(t.buffers))) for t in transmits]


def closed_cleanly() -> UdxStream:
    peer = Scripted()
    peer.stream.write_end()
    peer.drain()
    peer.feed(packet(DATA, 0, b"x"))
    peer.feed(packet(END, 1, ack=1))
    assert peer.stream.closed
    return peer.stream


def test_a_repeated_end_is_acknowledged_after_the_close() -> None:
    linger = closed_cleanly().linger()
    assert linger is not None
    [ack] = reply(linger, packet(END, 1))
    assert (ack.flags, ack.ack, ack.stream_id) == (0, 2, REMOTE)


@pytest.mark.parametrize(
    "datagram",
    [packet(DATA, 2, b"new"), packet(0, 2, ack=1), packet(HEARTBEAT, 2), packet(DESTROY, 2), b"", b"\xff" * 30],
)
def test_nothing_else_is_answered_after_the_close(datagram: bytes) -> None:
    linger = closed_cleanly().linger()
    assert linger is not None
    assert linger.receive(memoryview(datagram), max(len(datagram), 1), route(3)) == []


def test_a_run_is_answered_once_after_the_close() -> None:
    linger = closed_cleanly().linger()
    assert linger is not None
    run = packet(END, 1) * 3
    assert len(linger.receive(memoryview(run), 20, route(3))) == 1


def test_a_peer_that_missed_the_destroy_hears_it_again_when_it_sends() -> None:
    peer = Scripted()
    peer.stream.destroy()
    peer.drain()
    linger = peer.stream.linger()
    assert linger is not None
    [destroy] = reply(linger, packet(DATA, 0, b"still here"))
    assert (destroy.flags, destroy.stream_id) == (DESTROY, REMOTE)
    assert reply(linger, packet(DESTROY, 0)) == []
    assert LOCAL != REMOTE


def test_both_ends_close_cleanly_when_the_last_acknowledgements_are_lost() -> None:
    dropped: list[Packet] = []

    def last_ack(one: Packet) -> bool:
        if one.flags == 0 and one.ack == 2 and len(dropped) < 3:
            dropped.append(one)
            return True
        return False

    pair = Pair(Link(drop=last_ack), Link(drop=last_ack))
    pair.a.write(b"x", end=False)
    pair.b.write(b"y", end=False)
    pair.run(seconds=0.2)
    pair.a.write(b"", end=True)
    pair.b.write(b"", end=True)
    pair.run(until=lambda: pair.closed)
    assert dropped
    assert pair.a.stream.error is None
    assert pair.b.stream.error is None
