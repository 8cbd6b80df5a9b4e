"""Connections on their way to the application: a bounded queue that any number of tasks iterate over."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from swarm.connection import Connection

__all__ = ["Arrivals"]


class Arrivals:
    """Each connection goes to one of the iterating tasks. `close` ends all iterations."""

    def __init__(self, limit: int) -> None:
        """At most ``limit`` connections wait; the next one is refused."""
        self._limit = limit
        self._send, self._receive = trio.open_memory_channel["Connection"](math.inf)

    def put(self, connection: Connection) -> bool:
        """Queue a connection. False: as many wait already as may, or it is closed; it is the caller's to refuse."""
        statistics = self._send.statistics()
        full = statistics.current_buffer_used >= self._limit and not statistics.tasks_waiting_receive
        if full or not statistics.open_send_channels:
            return False
        self._send.send_nowait(connection)
        return True

    async def get(self) -> Connection:
        """The next connection. Raises ``StopAsyncIteration`` at the end."""
        try:
            return await self._receive.receive()
        except trio.EndOfChannel:
            raise StopAsyncIteration from None

    def close(self) -> None:
        self._send.close()
