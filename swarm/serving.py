"""A handler for each connection of a swarm, each in a task of its own, so that none disturbs another."""

from __future__ import annotations

import inspect
import logging
from typing import TYPE_CHECKING, Any

import trio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from swarm.connection import Connection

    Handler = Callable[[Connection], Awaitable[object]]

__all__ = ["check_handler", "serve"]

logger = logging.getLogger(__name__)

_RIGHT = "a handler is an async function of one connection"


def check_handler(handler: Handler) -> None:
    """Raise ``TypeError`` for what can be no handler. (A plain function may return what is to be awaited.)"""
    function: Any = handler
    if not callable(handler):
        raise TypeError(f"{_RIGHT}; got {handler!r}")
    if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
        raise TypeError(f"{_RIGHT}; got {handler!r}, which cannot be awaited")
    try:
        inspect.signature(handler).bind(None)
    except ValueError:
        return  # of a builtin: no signature
    except TypeError as error:
        raise TypeError(f"{_RIGHT}; {handler!r} takes {inspect.signature(handler)}") from error


async def serve(
    connections: AsyncIterator[Connection], handler: Handler, strict: bool, task_status: trio.TaskStatus[None]
) -> None:
    """See `Swarm.serve`."""
    misuse: list[TypeError] = []

    async def handle(connection: Connection) -> None:
        try:
            async with connection:
                pending = handler(connection)
                if inspect.isawaitable(pending):
                    await pending
                    return
            misuse.append(TypeError(f"{_RIGHT}; {handler!r} returned {pending!r}"))
            nursery.cancel_scope.cancel()
        except Exception as error:
            if strict:
                raise
            _log(connection, error)

    async with trio.open_nursery() as nursery:
        task_status.started()
        while (connection := await _next(connections)) is not None:
            nursery.start_soon(handle, connection)
    if misuse:
        raise misuse[0]


async def _next(connections: AsyncIterator[Connection]) -> Connection | None:
    try:
        return await anext(connections)
    except (StopAsyncIteration, trio.ClosedResourceError):
        return None  # the block of the swarm ended, and so does this


def _log(connection: Connection, error: Exception) -> None:
    lost = _is_loss(error)
    logger.log(
        logging.INFO if lost else logging.ERROR,
        "the handler of a connection with %s failed: %s",
        connection.remote_public_key,
        error,
        exc_info=None if lost else error,
    )


def _is_loss(error: Exception) -> bool:
    """Whether the connection ended under the handler, and nothing else happened: in whatever task of it."""
    ends = (trio.BrokenResourceError, trio.ClosedResourceError)
    return isinstance(error, ends) or (isinstance(error, ExceptionGroup) and error.split(ends)[1] is None)
