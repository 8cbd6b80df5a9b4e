"""Background tasks of a block, which its user cannot see and must not notice.

What the user's block raises leaves it unchanged, never as a group (trio's reference names this case and recommends
hiding the concurrency). A crash of a background task is a bug of ours: `InternalError`, raised from the group. An
interrupt goes to the user's code: background tasks are protected from it.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVarTuple

import trio

from holepunch.errors import SwarmError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

__all__ = ["Background", "InternalError", "hidden_nursery"]

Ts = TypeVarTuple("Ts")


class InternalError(SwarmError):
    """A background task crashed. Never the caller's doing: please report it with its traceback."""


class Background:
    """Tasks that end with the block, and not before: a cancellation of the block reaches the user's code only, so that
    what is to be said at the end can still be said."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._scopes: set[trio.CancelScope] = set()
        self._ended = False

    def start_soon(self, function: Callable[[*Ts], Awaitable[object]], *arguments: *Ts) -> None:
        """As `trio.Nursery.start_soon`."""
        self._nursery.start_soon(self._run, function, arguments)

    async def start(self, function: Callable[..., Awaitable[object]], *arguments: Any) -> Any:
        """As `trio.Nursery.start`."""

        async def run(*, task_status: trio.TaskStatus[Any]) -> None:
            async def begin() -> None:
                await function(*arguments, task_status=task_status)

            await self._run(begin, ())

        return await self._nursery.start(run)

    def end(self) -> None:
        """Cancel every task, those to come too."""
        self._ended = True
        for scope in self._scopes:
            scope.cancel()

    @trio.lowlevel.enable_ki_protection
    async def _run(self, function: Callable[..., Awaitable[object]], arguments: tuple[Any, ...]) -> None:
        with trio.CancelScope(shield=True) as scope:
            self._scopes.add(scope)
            if self._ended:
                scope.cancel()
            try:
                await function(*arguments)
            except trio.Cancelled:
                raise
            except BaseException:
                self.end()  # the nursery cancels the user's block, but cannot reach the others
                raise
            finally:
                self._scopes.discard(scope)


@asynccontextmanager
async def hidden_nursery() -> AsyncIterator[Background]:
    """Background tasks that are cancelled when the block is left, however it is left."""
    leaving: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            background = Background(nursery)
            try:
                yield background
            except BaseException as error:  # carried around the nursery, which would wrap it in a group
                leaving = error
            background.end()
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        crashed = group.split(trio.Cancelled)[1]
        stop = _stop(crashed)
        if stop is not None and (leaving is None or isinstance(leaving, Exception) or _is_cancellation(leaving)):
            raise stop from stop.__cause__
        if leaving is not None and not (crashed and _is_cancellation(leaving)):
            raise leaving from leaving.__cause__
        if crashed is not None:
            raise InternalError("a background task of this library crashed; please report this") from crashed
        raise
    if leaving is not None:
        raise leaving


def _stop(crashed: BaseExceptionGroup | None) -> BaseException | None:
    """What ends a program in order, such as ``sys.exit()`` in a callable that the user handed over: no crash."""
    if crashed is None:
        return None
    found: BaseException | None = crashed.subgroup(lambda error: not isinstance(error, Exception | BaseExceptionGroup))
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found


def _is_cancellation(error: BaseException) -> bool:
    """Of one task, or of every task of the user's own nursery."""
    return isinstance(error, trio.Cancelled) or (
        isinstance(error, BaseExceptionGroup) and error.split(trio.Cancelled)[1] is None
    )
