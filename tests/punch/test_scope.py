"""Scopes: what is begun in one is cancelled with it."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

from holepunch.core import Schedule
from holepunch.punch.scope import Latch, Scope, pause, wait

if TYPE_CHECKING:
    from collections.abc import Callable

    from holepunch.punch.scope import Steps
    from holepunch.signaller import Cancel


def test_a_closed_scope_leaves_no_timer_and_begins_nothing() -> None:
    schedule = Schedule()
    scope = Scope(schedule)
    rang: list[str] = []
    scope.after(1, partial(rang.append, "early"))
    scope.close()
    scope.after(1, partial(rang.append, "late"))
    assert schedule.deadline() == math.inf
    schedule.advance(5)
    assert not rang


def test_a_cancelled_timer_does_not_ring_and_the_others_do() -> None:
    schedule = Schedule()
    scope = Scope(schedule)
    rang: list[int] = []
    cancels = [scope.after(n, partial(rang.append, n)) for n in range(3)]
    cancels[1]()
    cancels[1]()
    schedule.advance(5)
    assert rang == [0, 2]


def test_a_request_is_cancelled_with_its_scope_and_only_then() -> None:
    scope = Scope(Schedule())
    cancelled: list[str] = []
    answers: list[Callable[[int], None]] = []

    def start(name: str, on_end: Callable[[int], None]) -> Cancel:
        answers.append(on_end)
        return lambda: cancelled.append(name)

    heard: list[int] = []
    scope.begin(partial(start, "answered"), heard.append)
    scope.begin(partial(start, "open"), heard.append)
    answers[0](1)
    answers[0](2)
    scope.close()
    answers[1](3)
    assert heard == [1]
    assert cancelled == ["open"]


def test_a_sequence_waits_and_returns() -> None:
    schedule = Schedule()
    scope = Scope(schedule)

    def count(times: int) -> Steps[list[float]]:
        seen = []
        for _ in range(times):
            yield from pause(schedule, 1.0)
            seen.append(schedule.now)
        return seen

    results: list[list[float]] = []
    scope.run(count(3), results.append)
    schedule.advance(10)
    assert results == [[1.0, 2.0, 3.0]]


def test_a_sequence_that_closes_its_scope_does_not_go_on() -> None:
    schedule = Schedule()
    scope = Scope(schedule)
    reached: list[str] = []

    def steps() -> Steps[str]:
        yield from pause(schedule, 1.0)
        scope.close()
        yield from pause(schedule, 1.0)
        reached.append("after")
        return "end"

    scope.run(steps(), reached.append)
    schedule.advance(10)
    assert not reached
    assert schedule.deadline() == math.inf


def test_a_sequence_of_no_waits_ends_at_once() -> None:
    def steps() -> Steps[int]:
        return 7
        yield  # a generator without a wait

    results: list[int] = []
    Scope(Schedule()).run(steps(), results.append)
    assert results == [7]


def test_a_latch_lets_all_go_on_with_the_first_value() -> None:
    scope = Scope(Schedule())
    latch: Latch[str] = Latch()
    heard: list[str] = []
    scope.run(latch.wait(), heard.append)
    scope.run(latch.wait(), heard.append)
    assert not latch.is_set
    latch.set("first")
    latch.set("second")
    scope.run(latch.wait(), heard.append)
    assert heard == ["first", "first", "first"]


def test_who_left_is_not_called_by_a_latch() -> None:
    scope = Scope(Schedule())
    latch: Latch[str] = Latch()
    heard: list[str] = []
    scope.run(latch.wait(), heard.append)
    scope.close()
    latch.set("value")
    assert not heard


def test_an_answer_has_its_type() -> None:
    scope = Scope(Schedule())
    answers: list[Callable[[str], None]] = []

    def ask(on_answer: Callable[[str], None]) -> Cancel:
        answers.append(on_answer)
        return lambda: None

    def steps() -> Steps[int]:
        answer = yield from wait(ask)
        return len(answer)

    lengths: list[int] = []
    scope.run(steps(), lengths.append)
    answers[0]("three")
    assert lengths == [5]
