"""Connections on their way to the application: a bounded queue that any number of tasks iterate over."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from swarm.connection import Connection

__all__ = ["Arrivals"]


class Arrivals:
    """Each connection goes to one of the iterating tasks, unless it is over by then. `close` ends all iterations."""

    def __init__(self, limit: int) -> None:
        """At most ``limit`` connections wait; the next one is refused."""
        self._limit = limit
        self._waiting: deque[Connection] = deque()
        self._takers = trio.lowlevel.ParkingLot()
        self._closed = False

    def put(self, connection: Connection, *, wanted: bool = False) -> bool:
        """Queue a connection. False: as many wait already as may, or it is closed; it is the caller's to refuse.

        ``wanted``: the application has asked for this peer, so that it comes on top of the limit.
        """
        if self._closed or not (wanted or self._has_room()):
            return False
        self._waiting.append(connection)
        self._takers.unpark()
        return True

    def _has_room(self) -> bool:
        """Those that ended while they waited make room: first where nothing is lost with them."""
        if len(self._waiting) >= self._limit:
            self._waiting = deque(connection for connection in self._waiting if not connection.is_over)
        if len(self._waiting) >= self._limit:
            self._waiting = deque(connection for connection in self._waiting if not connection.is_closed)
        return len(self._waiting) < self._limit

    async def get(self) -> Connection:
        """The next connection. Raises ``StopAsyncIteration`` at the end. Cancelled: none is lost."""
        await trio.lowlevel.checkpoint_if_cancelled()
        while True:
            while self._waiting:
                connection = self._waiting.popleft()
                if not connection.is_over:
                    await trio.lowlevel.cancel_shielded_checkpoint()
                    return connection
            if self._closed:
                await trio.lowlevel.cancel_shielded_checkpoint()
                raise StopAsyncIteration
            await self._takers.park()

    def close(self) -> None:
        self._closed = True
        self._takers.unpark_all()
