"""Actions by the time they are due, those in no hurry together."""

from __future__ import annotations

from functools import partial

from holepunch.core import STEP, Schedule


def wakes(schedule: Schedule) -> list[float]:
    times = []
    while schedule.deadline() < 1000:
        times.append(schedule.deadline())
        schedule.advance(times[-1])
    return times


def test_actions_that_share_their_wake_ups_are_late_by_less_than_a_step() -> None:
    schedule = Schedule(now=100.1)
    late: list[float] = []

    def run(due: float) -> None:
        late.append(schedule.now - due)

    for hundredth in range(100):
        schedule.now = 100.1 + hundredth / 100
        schedule.shared(10, partial(run, schedule.now + 10))
    assert len(wakes(schedule)) <= 1 / STEP + 1
    assert len(late) == 100
    assert all(0 <= seconds < STEP for seconds in late)


def test_cancelled_action_wakes_nobody() -> None:
    schedule = Schedule(now=7.0)
    schedule.shared(1, lambda: None).cancel()
    assert wakes(schedule) == []
