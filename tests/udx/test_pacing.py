from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from holepunch.udx.pacing import Pacer


def test_unknown_bandwidth_is_not_paced() -> None:
    assert Pacer(0.0).budget(None, 5000, 0.0) == 5000


def test_ten_packets_leave_at_once_at_any_rate() -> None:
    pacer = Pacer(0.0)
    assert pacer.budget(1.0, 50, 0.0) == 10


def test_an_empty_bucket_says_when_it_opens_and_then_does() -> None:
    pacer = Pacer(0.0)
    pacer.spend(pacer.budget(1000.0, 100, 0.0))
    assert pacer.budget(1000.0, 100, 0.0) == 0
    at = pacer.ready_at()
    assert at > 0
    assert pacer.budget(1000.0, 100, at) > 0


def test_a_fast_link_gets_what_accrued_while_the_timer_was_late() -> None:
    rate = 350_000.0
    pacer = Pacer(0.0)
    now, sent = 0.0, 0
    while now < 1.0:
        budget = pacer.budget(rate, 100_000, now)
        pacer.spend(budget)
        sent += budget
        now = max(pacer.ready_at(), now + 0.0015)
    assert sent > 0.99 * rate


@given(rate=st.floats(0.5, 1e6), steps=st.lists(st.floats(0, 0.05), min_size=1, max_size=50))
def test_over_time_no_more_leaves_than_the_rate_and_one_burst(rate: float, steps: list[float]) -> None:
    pacer = Pacer(0.0)
    now, sent = 0.0, 0
    for pause in steps:
        now += pause
        budget = pacer.budget(rate, 1 << 20, now)
        pacer.spend(budget)
        sent += budget
        assert pacer.ready_at() > now
    assert sent <= rate * now + max(10, rate * 0.002) + 1
