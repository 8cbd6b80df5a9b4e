"""How long an own request waits for its answer, how often it is sent, and what silence says of a node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from holepunch.core import SERVER
from swarm.kademlia.packets import PING, PING_NAT
from swarm.kademlia.patience import UNKNOWN
from tests.kademlia.bench import ELSEWHERE, PUNCH, THERE, Bench

if TYPE_CHECKING:
    from holepunch.signaller import Cancel


def test_request_that_nobody_answers_is_sent_four_times_and_fails_after_four_seconds() -> None:
    bench = Bench()
    times: list[float] = []
    bench.rpc.request(THERE, lambda reply: times.append(bench.schedule.now), command=7)
    bench.run(3.99)
    assert len(bench.sent) == 4
    assert not times
    bench.run(10)
    assert times == [4.0]
    assert len(bench.sent) == 4
    assert bench.rpc.timeouts == 1
    assert bench.rpc.retries == 3
    assert bench.rpc.in_flight == 0


@pytest.mark.parametrize(("retries", "delay", "end"), [(0, 0.0, 1.0), (5, 0.0, 6.0), (3, 10.0, 44.0)])
def test_retries_and_delay_are_the_callers_choice(retries: int, delay: float, end: float) -> None:
    bench = Bench()
    bench.ask(retries=retries, delay=delay)
    bench.run(end - 0.01)
    assert bench.replies == []
    bench.run(end)
    assert bench.replies == [None]
    assert len(bench.sent) == retries + 1


def test_each_timeout_is_told() -> None:
    bench = Bench()
    timeouts: list[tuple[int, float]] = []
    bench.ask(on_timeout=lambda attempt: timeouts.append((attempt, bench.schedule.now)))
    bench.run(10)
    assert timeouts == [(1, UNKNOWN), (2, UNKNOWN + 1), (3, UNKNOWN + 2), (4, 4)]


@pytest.mark.parametrize(
    ("options", "tells"),
    [
        ({}, True),
        ({"retries": 0}, True),
        ({"role": SERVER}, True),
        ({"internal": True, "command": PING}, True),
        ({"hops": 2}, False),  # the peer behind the node may be silent
        ({"delay": 1.0}, False),  # a NAT may have forgotten
        ({"internal": True, "command": PING_NAT}, False),  # answered to a socket that a firewall guards
        ({"role": PUNCH}, False),  # whose packets a NAT may hold back
    ],
)
def test_silence_tells_that_a_node_is_gone_only_if_it_was_to_answer_here_and_at_once(
    options: dict[str, Any], tells: bool
) -> None:
    bench = Bench()
    bench.ask(**options)
    while bench.rpc.in_flight:
        assert bench.silent == []
        bench.run(bench.schedule.deadline())
    assert bench.silent == [THERE] * tells


def test_request_that_fails_without_having_timed_out_tells_nothing_of_the_node() -> None:
    bench = Bench()
    bench.ask()
    bench.ask()()
    bench.rpc.suspend()
    bench.ask()
    bench.run(10)
    assert bench.replies == [None, None]
    assert bench.silent == []


def sends_after(bench: Bench, **options: Any) -> list[float]:
    """When a request is sent, counted from its first time, that nobody answers."""
    started, times = bench.schedule.now, []
    before = len(bench.sent)
    bench.ask(ELSEWHERE, **options)
    while bench.rpc.in_flight:
        times += [bench.schedule.now - started] * (len(bench.sent) - before)
        before = len(bench.sent)
        bench.run(bench.schedule.deadline())
    assert bench.schedule.now - started == pytest.approx(4 + 4 * options.get("delay", 0))
    return times


def talk(bench: Bench, rtt: float, times: int = 20, **options: Any) -> None:
    for _ in range(times):
        bench.ask(**options)
        bench.run(bench.schedule.now + rtt)
        bench.answer(bench.asked().tid)


@pytest.mark.parametrize(
    ("rtt", "times"),
    [(0.0, [0, 0.2, 0.6, 1.4]), (0.05, [0, 0.2, 0.6, 1.4]), (0.3, [0, 0.3, 0.9, 1.9]), (0.9, [0, 0.9, 1.9, 2.9])],
)
def test_second_attempt_comes_as_soon_as_nodes_are_known_to_answer_and_each_waits_twice_as_long(
    rtt: float, times: list[float]
) -> None:
    bench = Bench()
    talk(bench, rtt)
    assert sends_after(bench) == pytest.approx(times, abs=0.05)


def test_one_slow_answer_makes_patient_and_one_to_a_third_attempt_tells_nothing() -> None:
    bench = Bench()
    talk(bench, 0.02)
    talk(bench, 0.3, times=1)
    cautious = sends_after(bench)[1]
    assert 0.2 < cautious < 1
    bench.ask()
    bench.run(bench.schedule.now + 3)
    bench.answer(bench.asked().tid)
    assert sends_after(bench)[1] == pytest.approx(cautious)


def test_what_is_passed_on_or_asked_to_wait_is_waited_for_longer_and_tells_nothing_of_other_answers() -> None:
    bench = Bench()
    talk(bench, 0.02)
    talk(bench, 0.5, hops=2)
    talk(bench, 0.5, delay=0.5)
    assert sends_after(bench)[1] == pytest.approx(0.2)
    assert sends_after(bench, hops=2) == pytest.approx([0, 0.4, 1.4, 2.4])
    assert sends_after(bench, delay=2.0) == pytest.approx([0, 2.2, 4.6, 7.4])


def test_node_is_silent_from_its_second_timeout_until_it_is_heard_or_half_a_minute_has_gone_by() -> None:
    bench = Bench()
    bench.ask(THERE)
    silent = []
    while bench.rpc.in_flight:
        bench.run(bench.schedule.deadline())
        silent.append(bench.rpc.is_silent(THERE))
    assert silent == [False, True, True, True]
    assert not bench.rpc.is_silent(ELSEWHERE)
    bench.run(bench.schedule.now + 31)
    assert not bench.rpc.is_silent(THERE)


@pytest.mark.parametrize("how", ["answers", "asks"])
def test_node_that_is_heard_is_silent_no_more(how: str) -> None:
    bench = Bench()
    bench.ask(THERE)
    bench.run(2)
    assert bench.rpc.is_silent(THERE)
    if how == "answers":
        bench.answer(bench.asked().tid)
    else:
        bench.hear(source=THERE)
    assert not bench.rpc.is_silent(THERE)


def test_silence_before_a_pause_says_nothing_after_it() -> None:
    bench = Bench()
    bench.ask(THERE)
    bench.run(2)
    bench.rpc.suspend()
    bench.rpc.resume()
    assert not bench.rpc.is_silent(THERE)


def test_silence_of_others_to_what_is_passed_on_is_not_the_asked_nodes() -> None:
    bench = Bench()
    bench.ask(THERE, hops=2)
    bench.run(10)
    assert not bench.rpc.is_silent(THERE)


def test_request_cancelled_at_its_first_timeout_is_not_sent_again() -> None:
    bench = Bench()
    cancels: list[Cancel] = []
    cancels.append(bench.ask(on_timeout=lambda attempt: cancels[0]()))
    bench.run(10)
    assert len(bench.sent) == 1
    assert bench.replies == []
