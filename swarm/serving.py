"""A handler for each connection of a swarm, each in a task of its own, so that none disturbs another."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Awaitable, Callable

    from swarm.connection import Connection

__all__ = ["serve"]

logger = logging.getLogger(__name__)


async def serve(
    connections: AsyncIterable[Connection],
    handler: Callable[[Connection], Awaitable[object]],
    strict: bool,
    task_status: trio.TaskStatus[None],
) -> None:
    """See `Swarm.serve`."""
    async with trio.open_nursery() as nursery:
        task_status.started()
        async for connection in connections:
            nursery.start_soon(_handle, handler, connection, strict)


async def _handle(handler: Callable[[Connection], Awaitable[object]], connection: Connection, strict: bool) -> None:
    try:
        async with connection:
            await handler(connection)
    except Exception as error:
        if strict:
            raise
        lost = isinstance(error, trio.BrokenResourceError)
        logger.log(
            logging.INFO if lost else logging.ERROR,
            "the handler of a connection with %s failed: %s",
            connection.remote_public_key,
            error,
            exc_info=None if lost else error,
        )
