"""What one attempt has under way: timers, requests and sequences of them, all of which end with it.

A sequence is a generator that yields what it waits for (`Start`) and is resumed with the answer, so that a procedure of
many waits reads from top to bottom, and stays as pure as the callables it is made of.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from holepunch.core import Schedule
    from holepunch.signaller import Cancel

__all__ = ["Latch", "Scope", "Start", "Steps", "pause", "wait"]

T = TypeVar("T")

Start = Callable[[Callable[[T], None]], "Cancel"]
"""Begins something. Calls back once with the outcome, after it has returned, unless cancelled."""
Steps = Generator[Start[Any], Any, T]
"""A sequence that ends with a ``T``."""


def wait(start: Start[T]) -> Steps[T]:
    """``answer = yield from wait(start)``, with the answer's type."""
    answer: T = yield start
    return answer


def pause(schedule: Schedule, delay: float) -> Steps[None]:
    """Wait ``delay`` seconds."""

    def start(resume: Callable[[None], None]) -> Cancel:
        return schedule.after(delay, partial(resume, None)).cancel

    return wait(start)


class Latch(Generic[T]):
    """A value that is not known yet, and who waits for it."""

    __slots__ = ("_value", "_waiting")

    def __init__(self) -> None:
        self._value: tuple[T] | None = None
        self._waiting: dict[object, Callable[[T], None]] = {}

    @property
    def is_set(self) -> bool:
        return self._value is not None

    def set(self, value: T) -> None:
        """Let all who wait go on. Only the first value counts."""
        if self._value is None:
            self._value = (value,)
            waiting, self._waiting = self._waiting, {}
            for resume in waiting.values():
                resume(value)

    def _when_set(self, resume: Callable[[T], None]) -> Cancel:
        key = object()
        self._waiting[key] = resume

        def cancel() -> None:
            self._waiting.pop(key, None)

        return cancel

    def wait(self) -> Steps[T]:
        """The value; at once when it is known."""
        if self._value is not None:
            return self._value[0]
        return (yield from wait(self._when_set))


class Scope:
    """**Whatever is begun through a scope is cancelled when it closes, and nothing is called back from then on.**"""

    __slots__ = ("_live", "closed", "schedule")

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.closed = False
        self._live: dict[object, Cancel] = {}

    def begin(self, start: Start[T], on_end: Callable[[T], None]) -> Cancel:
        """Begin one thing. What is begun in a closed scope never happens."""
        key = object()

        def end(answer: T) -> None:
            if self._live.pop(key, None) is not None:
                on_end(answer)

        def cancel() -> None:
            stop = self._live.pop(key, None)
            if stop is not None:
                stop()

        if not self.closed:
            self._live[key] = start(end)
        return cancel

    def after(self, delay: float, action: Callable[[], None], *, shared: bool = False) -> Cancel:
        """Run ``action`` in ``delay`` seconds; ``shared``: or a little later (`Schedule.shared`)."""

        def start(end: Callable[[None], None]) -> Cancel:
            begin = self.schedule.shared if shared else self.schedule.after
            return begin(delay, partial(end, None)).cancel

        return self.begin(start, lambda _: action())

    def run(self, steps: Steps[T], on_end: Callable[[T], None]) -> None:
        """Run a sequence from its first step, now. A step may close the scope: it is the last one then."""
        self._advance(steps, None, on_end)

    def _advance(self, steps: Steps[T], answer: Any, on_end: Callable[[T], None]) -> None:
        if self.closed:
            return
        try:
            start = steps.send(answer)
        except StopIteration as end:
            if not self.closed:
                on_end(end.value)
            return
        if self.closed:
            steps.close()
            return
        self.begin(start, lambda answer: self._advance(steps, answer, on_end))

    def close(self) -> None:
        """Cancel everything. Closing again does nothing."""
        self.closed = True
        live, self._live = self._live, {}
        for cancel in live.values():
            cancel()
