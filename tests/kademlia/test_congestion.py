"""The window of requests: 80 in a slot of 750 ms, 160 in four."""

from __future__ import annotations

from swarm.kademlia.congestion import MAX_IN_SLOT, MAX_IN_WINDOW, SLOT, CongestionWindow


def fill(window: CongestionWindow, now: float) -> int:
    sent = 0
    while not window.full(now):
        window.sent(now)
        sent += 1
    return sent


def test_one_slot_takes_eighty() -> None:
    assert fill(CongestionWindow(0), 0) == MAX_IN_SLOT


def test_window_takes_twice_as_many_in_four_slots() -> None:
    window = CongestionWindow(0)
    assert [fill(window, slot * SLOT) for slot in range(4)] == [80, 80, 0, 0]
    assert fill(window, 4 * SLOT) == 80  # the oldest slot is forgotten


def test_answers_make_room_at_once() -> None:
    window = CongestionWindow(0)
    fill(window, 0)
    window.settled(0.1)
    assert not window.full(0.1)


def test_late_answers_make_no_room_in_a_slot_that_sent_nothing() -> None:
    window = CongestionWindow(0)
    fill(window, 0)
    fill(window, SLOT)
    for _ in range(50):
        window.settled(2 * SLOT)
    assert window.full(2 * SLOT)


def test_long_silence_empties_the_window() -> None:
    window = CongestionWindow(0)
    fill(window, 0)
    fill(window, SLOT)
    assert fill(window, 1000) == MAX_IN_SLOT
    assert fill(window, 1000 + SLOT) == MAX_IN_WINDOW - MAX_IN_SLOT
