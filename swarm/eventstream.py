"""Events to whoever listens: each listener gets all that happen while it listens. Keeps nothing for those to come."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Self, final
from weakref import WeakSet

import trio

from swarm.policy.events import EventsMissed

if TYPE_CHECKING:
    from swarm.policy.events import Event

__all__ = ["EventStream", "EventStreams"]

MAX_BEHIND = 1024
"""Events that wait for one listener."""


@final
class EventStream:
    """What `Swarm.events` gives: an async iterator, and an async context manager that ends it.

    Nothing has to be closed: one that nobody holds any more costs nothing. Several tasks may share it, and each event
    goes to one of them. A listener that falls 1024 events behind loses the newest, and is told how many: `EventsMissed`
    comes in their place.
    """

    def __init__(self) -> None:
        self._events: deque[Event] = deque()
        self._missed = 0
        self._takers = trio.lowlevel.ParkingLot()
        self._closed = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        """The next event. Ends with `aclose`, and with the swarm's block after those that came before. Cancelled: no
        event is lost."""
        await trio.lowlevel.checkpoint_if_cancelled()
        while not (self._events or self._missed or self._closed):
            await self._takers.park()
        event = self._events.popleft() if self._events else self._tell_missed() if self._missed else None
        await trio.lowlevel.cancel_shielded_checkpoint()
        if event is None:
            raise StopAsyncIteration
        return event

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Listen no more. What came and was not taken is dropped; iterations end."""
        self._events.clear()
        self._missed = 0
        self.end()
        await trio.lowlevel.checkpoint()

    # The rest is the swarm's.

    def put(self, event: Event) -> None:
        if self._closed:
            return
        if len(self._events) >= MAX_BEHIND:
            self._missed += 1
            return
        if self._missed:
            self._events.append(self._tell_missed())
        self._events.append(event)
        self._takers.unpark()

    def end(self) -> None:
        """No event comes any more."""
        self._closed = True
        self._takers.unpark_all()

    def _tell_missed(self) -> EventsMissed:
        missed, self._missed = self._missed, 0
        return EventsMissed(missed)


class EventStreams:
    """All listeners of one swarm, as long as anybody holds them."""

    def __init__(self) -> None:
        self._streams: WeakSet[EventStream] = WeakSet()
        self._closed = False

    def __len__(self) -> int:
        return len(self._streams)

    def emit(self, event: Event) -> None:
        for stream in list(self._streams):
            stream.put(event)

    def listen(self) -> EventStream:
        stream = EventStream()
        if self._closed:
            stream.end()
        else:
            self._streams.add(stream)
        return stream

    def close(self) -> None:
        """End all iterations."""
        self._closed = True
        for stream in list(self._streams):
            stream.end()
