"""A nursery inside a context manager that its user cannot see, and must not notice.

What the user's block raises leaves it unchanged, never as a group (trio's reference names this case and recommends
hiding the concurrency). A crash of a background task is a bug of ours: `InternalError`, raised from the group.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

from holepunch.errors import SwarmError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["InternalError", "hidden_nursery"]


class InternalError(SwarmError):
    """A background task crashed. Never the caller's doing: please report it with its traceback."""


@asynccontextmanager
async def hidden_nursery() -> AsyncIterator[trio.Nursery]:
    """A nursery that is cancelled when the block is left, however it is left."""
    leaving: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            try:
                yield nursery
            except BaseException as error:  # carried around the nursery, which would wrap it in a group
                leaving = error
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        crashed = group.split(trio.Cancelled)[1]
        if leaving is not None and not (crashed and isinstance(leaving, trio.Cancelled)):
            raise leaving from leaving.__cause__
        if crashed is not None:
            raise InternalError("a background task of this library crashed; please report this") from crashed
        raise
    if leaving is not None:
        raise leaving
