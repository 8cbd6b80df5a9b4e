"""Events to whoever listens: each listener gets all that happen while it listens. Keeps nothing for those to come."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from swarm.policy.events import Event

__all__ = ["EventStreams"]

MAX_BEHIND = 1024
"""Events that wait for one listener."""


class EventStreams:
    """All listeners of one swarm."""

    def __init__(self) -> None:
        self._listeners: dict[trio.MemorySendChannel[Event], None] = {}
        self._closed = False

    def emit(self, event: Event) -> None:
        for listener in list(self._listeners):
            try:
                listener.send_nowait(event)
            except trio.WouldBlock:
                continue
            except trio.BrokenResourceError:
                self._listeners.pop(listener, None)
                listener.close()

    def listen(self) -> AsyncIterator[Event]:
        send, receive = trio.open_memory_channel["Event"](MAX_BEHIND)
        if self._closed:
            send.close()
        else:
            self._listeners[send] = None
        return receive

    def close(self) -> None:
        """End all iterations."""
        self._closed = True
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
