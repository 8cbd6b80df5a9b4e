"""One half of a trio stream: who uses it, and who waits. Knows nothing of what goes through."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Direction"]


class Direction:
    """One task at a time, which may wait."""

    __slots__ = ("_verb", "busy", "waiting")

    def __init__(self, verb: str) -> None:
        self._verb = verb
        self.busy = False
        self.waiting: trio.lowlevel.Task | None = None

    def __enter__(self) -> None:
        if self.busy:
            raise trio.BusyResourceError(f"another task is {self._verb} on this stream")
        self.busy = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.busy = False

    async def wait(self) -> None:
        self.waiting = trio.lowlevel.current_task()

        def abort(_: object) -> trio.lowlevel.Abort:
            self.waiting = None
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)

    def wake(self) -> None:
        task, self.waiting = self.waiting, None
        if task is not None:
            trio.lowlevel.reschedule(task)
