from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holepunch.udx.rtt import Rtt, WindowedExtreme


def test_timeout_is_one_second_before_the_first_sample() -> None:
    assert Rtt().rto == 1.0


def test_first_sample_sets_the_estimate_and_half_of_it_the_deviation() -> None:
    rtt = Rtt()
    rtt.sample(0.8, 0)
    assert rtt.smoothed == 0.8
    assert rtt.deviation == 0.4
    assert rtt.rto == pytest.approx(2.4)


def test_later_samples_weigh_an_eighth_and_a_quarter() -> None:
    rtt = Rtt()
    rtt.sample(0.8, 0)
    rtt.sample(1.6, 1)
    assert rtt.deviation == pytest.approx((3 * 0.4 + 0.8) / 4)
    assert rtt.smoothed == pytest.approx((7 * 0.8 + 1.6) / 8)


def test_timeout_is_never_below_one_second_nor_above_thirty() -> None:
    fast, slow = Rtt(), Rtt()
    fast.sample(0.001, 0)
    slow.sample(29.0, 0)
    assert fast.rto == 1.0
    assert slow.rto == 30.0


def test_an_absurd_sample_counts_as_five_deviations() -> None:
    rtt = Rtt()
    for at in range(20):
        rtt.sample(0.1, at)
    calm = rtt.smoothed
    rtt.sample(20.0, 21)
    assert calm is not None
    assert rtt.smoothed is not None
    assert rtt.smoothed < 2 * calm


def test_minimum_is_that_of_the_last_five_minutes() -> None:
    rtt = Rtt()
    rtt.sample(0.1, 0)
    for at in range(10, 700, 10):
        rtt.sample(0.3, at)
    assert rtt.minimum == 0.3


@given(st.lists(st.tuples(st.floats(0.001, 3), st.floats(0, 100)), min_size=1, max_size=60))
def test_windowed_maximum_is_a_recent_value_not_below_the_last_one(steps: list[tuple[float, float]]) -> None:
    extreme = WindowedExtreme(10, 1)
    now = 0.0
    seen: list[tuple[float, float]] = []
    for pause, value in steps:
        now += pause
        seen.append((now, value))
        extreme.update(now, value)
        recent = [v for at, v in seen if now - at <= 10]
        assert extreme.value in recent
        assert extreme.value >= value


def test_windowed_maximum_falls_to_what_the_window_holds() -> None:
    extreme = WindowedExtreme(10, 1)
    for at, value in [(0, 100.0), (4, 90.0), (8, 80.0), (12, 10.0)]:
        extreme.update(at, value)
    assert extreme.value == 90.0
