"""The link of the benchmarks: what it does to packets, on a clock of the test's own."""

from __future__ import annotations

from tests.benchmarks.link import Lane

RATE = 8000.0
"""Bits per second: a packet of 100 bytes takes a tenth of a second."""
PACKET = bytes(100)


def arrivals(lane: Lane) -> list[float]:
    times = []
    while (arrived := lane.due(1000.0)) is not None:
        times.append(round(arrived[0], 6))
    return times


def test_a_packet_arrives_after_its_time_on_the_link_and_the_delay() -> None:
    lane = Lane(RATE, delay=5.0, queue=1.0)
    lane.take(PACKET, 10.0)
    assert round(lane.deadline(), 6) == 15.1
    assert lane.due(15.0) is None
    arrived = lane.due(15.2)
    assert arrived is not None
    assert arrived[1] is PACKET
    assert lane.due(100.0) is None


def test_packets_that_come_at_once_leave_one_after_another() -> None:
    lane = Lane(RATE, delay=0.0, queue=1.0)
    for _ in range(3):
        lane.take(PACKET, 10.0)
    lane.take(PACKET, 20.0)
    assert arrivals(lane) == [10.1, 10.2, 10.3, 20.1]


def test_what_the_queue_does_not_hold_is_lost_and_counted() -> None:
    lane = Lane(RATE, delay=0.0, queue=0.25)
    for _ in range(10):
        lane.take(PACKET, 0.0)
    assert arrivals(lane) == [0.1, 0.2, 0.3]
    assert lane.dropped == 7
    lane.take(PACKET, 0.1)  # there is room again
    assert arrivals(lane) == [0.4]


def test_a_packet_that_is_lost_on_the_way_takes_its_time_on_the_link() -> None:
    lane = Lane(RATE, delay=0.0, queue=1.0)
    lane.take(PACKET, 0.0, lost=True)
    lane.take(PACKET, 0.0)
    assert arrivals(lane) == [0.2]
    assert lane.dropped == 0
