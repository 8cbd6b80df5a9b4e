"""From callables to awaiting: what a pure core reports once, or one by one, as an await or an async iterator.

Whatever is awaited through one `Waiters` ends with it: nobody waits for ever once the block was left.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import trio

if TYPE_CHECKING:
    from collections.abc import Callable

    from holepunch.signaller import Cancel

__all__ = ["Replies", "Waiters"]

T = TypeVar("T")


class Outcome(Generic[T]):
    """One answer that comes later."""

    __slots__ = ("_answer", "_error", "_event")

    def __init__(self) -> None:
        self._event = trio.Event()
        self._answer: list[T] = []
        self._error: BaseException | None = None

    def set(self, answer: T) -> None:
        if not self._event.is_set():
            self._answer.append(answer)
            self._event.set()

    def fail(self, error: BaseException) -> None:
        if not self._event.is_set():
            self._error = error
            self._event.set()

    async def wait(self) -> T:
        await self._event.wait()
        if self._error is not None:
            raise self._error
        return self._answer[0]


class Waiters:
    """Everything that waits for the cores of one block."""

    def __init__(self, what: str, tell_time: Callable[[], object]) -> None:
        """``what``: the name of the class whose block it is. ``tell_time``: to its cores, which have no clock."""
        self._what = what
        self._tell_time = tell_time
        self._open: set[Outcome[Any]] = set()
        self.begun = False
        self.closed = False

    @property
    def waiting(self) -> int:
        """How many answers are waited for."""
        return len(self._open)

    def begin(self) -> None:
        """The block is entered. Raises ``RuntimeError`` the second time."""
        self.check_new()
        self.begun = True

    def check_new(self) -> None:
        """Raise ``RuntimeError`` if the block was entered before."""
        if self.begun:
            raise RuntimeError(f"a {self._what} is entered once; make a new one")

    def check(self) -> None:
        """Raise ``RuntimeError`` before the block, and ``trio.ClosedResourceError`` once it was left."""
        if not self.begun:
            raise RuntimeError(f"a {self._what} is used inside its block: `async with {self._what}() as …:`")
        if self.closed:
            raise self._closed()

    def turn(self) -> None:
        """Before anything is asked of a core from outside: `check`, and tell the time."""
        self.check()
        self._tell_time()

    async def ask(self, begin: Callable[[Callable[[T], None], Callable[[BaseException], None]], Cancel | None]) -> T:
        """Begin something and wait for its answer. Cancelled: it is cancelled too.

        ``begin`` gets what to call with the answer, and what to call with an error instead. What it raises comes out.
        """
        self.turn()
        outcome: Outcome[T] = Outcome()
        cancel: Cancel | None = None
        try:
            self._open.add(outcome)
            cancel = begin(outcome.set, outcome.fail)
            return await outcome.wait()
        except BaseException:
            if cancel is not None:
                cancel()
            raise
        finally:
            self._open.discard(outcome)

    async def answer(self, begin: Callable[[Callable[[T], None]], Cancel | None]) -> T:
        """`ask` for what never fails. Without a `Cancel` it goes on even when nobody waits for it any more."""
        return await self.ask(lambda done, _: begin(done))

    async def end(self, begin: Callable[[Callable[[], None]], None]) -> None:
        """Likewise, for what merely ends."""

        def begun(done: Callable[[None], None]) -> None:
            begin(partial(done, None))

        await self.answer(begun)

    def close(self) -> None:
        """End every wait with ``trio.ClosedResourceError``, those to come too."""
        self.closed = True
        for outcome in list(self._open):
            outcome.fail(self._closed())

    def _closed(self) -> trio.ClosedResourceError:
        return trio.ClosedResourceError(f"the block of this {self._what} was left")


class Replies(Generic[T]):
    """Replies of a search as they come, as an async iterator. `aclose`, or leaving its block, ends the search early."""

    def __init__(
        self, waiters: Waiters, begin: Callable[[Callable[[T], None], Callable[[object], None]], Cancel]
    ) -> None:
        self._waiters = waiters
        self._begin = begin
        self._cancel: Cancel | None = None
        self._queue: deque[T] = deque()
        self._ended = False
        self._wake: Callable[[None], None] | None = None

    def __aiter__(self) -> Replies[T]:
        return self

    async def __anext__(self) -> T:
        if self._cancel is None and not self._ended:
            self._waiters.turn()
            self._cancel = self._begin(self._on_reply, self._on_end)
        if self._queue or self._ended:
            await trio.lowlevel.checkpoint()
        while not self._queue:
            if self._ended:
                raise StopAsyncIteration
            await self._waiters.ask(self._wait)
        return self._queue.popleft()

    async def __aenter__(self) -> Replies[T]:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End the search. What arrived is dropped. Cancelled: it has ended all the same."""
        self._stop()
        await trio.lowlevel.checkpoint()

    def _stop(self) -> None:
        self._queue.clear()
        if self._cancel is not None and not self._ended:
            self._cancel()
        self._ended = True
        self._notify()

    def _wait(self, wake: Callable[[None], None], _: Callable[[BaseException], None]) -> Cancel | None:
        self._wake = wake
        return None

    def _notify(self) -> None:
        wake, self._wake = self._wake, None
        if wake is not None:
            wake(None)

    def _on_reply(self, reply: T) -> None:
        self._queue.append(reply)
        self._notify()

    def _on_end(self, _: object) -> None:
        self._ended = True
        self._notify()
