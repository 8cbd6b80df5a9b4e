"""The contract every pure state machine obeys: no socket, clock, randomness or logging inside.

**After any call that changes a core, the driver drains what it wants sent and what it reports, then looks at its
deadline.** One driver (`holepunch.endpoint`) does so for all of them.

Cores of the control plane share one `Schedule`: it is told the time, and tells which actions are due. They send through
`Sockets`, which the driver implements, and which in tests is a list.
"""

from __future__ import annotations

import heapq
import math
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from holepunch.address import Address

__all__ = ["CLIENT", "SERVER", "STEP", "Entry", "Random", "Role", "Schedule", "Sockets"]

Role = int
"""Which socket of an endpoint: 0 the server socket, 1 the client socket, 2 and above one punch socket each."""
SERVER: Role = 0
CLIENT: Role = 1


class Random(Protocol):
    """The part of `random.Random` that cores use."""

    def random(self) -> float: ...
    def randrange(self, start: int, stop: int, /) -> int: ...
    def randbytes(self, n: int, /) -> bytes: ...


class Sockets(Protocol):
    """How a core sends, and how it opens the sockets it punches with."""

    def send(self, role: Role, data: bytes, to: Address, ttl: int = 0) -> None:
        """Queue one datagram. ``ttl`` 0 is the system's own. Never raises: what cannot be sent is lost."""

    def open(self) -> Role:
        """Bind one more socket, on any free port. Raises ``OSError`` when the system has none left."""

    def close(self, role: Role) -> None:
        """Close a socket made by `open`. Closing it again does nothing."""


class Entry:
    """One action on a `Schedule`."""

    __slots__ = ("action", "at")

    def __init__(self, at: float, action: Callable[[], None] | None) -> None:
        self.at = at
        self.action = action

    def cancel(self) -> None:
        """The action will not run. Cancelling twice, or after it ran, does nothing."""
        self.action = None


STEP: Final = 0.5
"""Seconds between the times at which actions run that share their wake-ups."""


class Schedule:
    """Actions by the time they are due, in seconds. Pure: time is told to it through `advance`."""

    __slots__ = ("_count", "_heap", "now", "on_earlier")

    def __init__(self, now: float = 0.0) -> None:
        self.now = now
        self.on_earlier: Callable[[float], None] | None = None
        """Told when an action is added that is due before all others: the driver's timer moves forward."""
        self._heap: list[tuple[float, int, Entry]] = []
        self._count = 0

    def at(self, when: float, action: Callable[[], None]) -> Entry:
        entry = Entry(when, action)
        self._count += 1
        heapq.heappush(self._heap, (when, self._count, entry))
        if self._heap[0][2] is entry and self.on_earlier is not None:
            self.on_earlier(when)
        return entry

    def after(self, delay: float, action: Callable[[], None]) -> Entry:
        return self.at(self.now + delay, action)

    def shared(self, delay: float, action: Callable[[], None]) -> Entry:
        """Likewise, or up to `STEP` later: for what is in no hurry. Many such actions cost one wake-up."""
        return self.at(math.ceil((self.now + delay) / STEP) * STEP, action)

    def deadline(self) -> float:
        """When the next action is due; ``math.inf`` when there is none."""
        heap = self._heap
        while heap and heap[0][2].action is None:
            heapq.heappop(heap)
        return heap[0][0] if heap else math.inf

    def advance(self, now: float) -> None:
        """Time is now ``now``: run what is due, in order of time, then of entry. It never goes backwards.

        What an action adds runs in the same call when it is due too, each at its own time, but never without end:
        an action added by one of this call waits for the next call when its time is not before ``now``.
        """
        last = self._count
        while self.deadline() <= now:
            when, number, entry = self._heap[0]
            if number > last and when >= now:
                break
            heapq.heappop(self._heap)
            action, entry.action = entry.action, None
            self.now = max(self.now, when)
            if action is not None:
                action()
        self.now = max(self.now, now)
