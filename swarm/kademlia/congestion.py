"""How many requests may leave: the sliding window of dht-rpc. Counts, does not queue.

Protocol: dht-rpc section 7. Reference: dht-rpc lib/io.js (``CongestionWindow``).
"""

from __future__ import annotations

__all__ = ["CongestionWindow"]

SLOTS = 4
SLOT = 0.75
"""Seconds."""
MAX_IN_SLOT = 80
MAX_IN_WINDOW = 2 * MAX_IN_SLOT


class CongestionWindow:
    """Sends of the last `SLOTS` slots, less what was answered meanwhile."""

    __slots__ = ("_index", "_slots", "_total", "turns_at")

    def __init__(self, now: float) -> None:
        self._index = 0
        self._slots = [0] * SLOTS
        self._total = 0
        self.turns_at = now + SLOT
        """When the next slot begins, and the oldest one is forgotten."""

    def full(self, now: float) -> bool:
        self._turn(now)
        return self._total >= MAX_IN_WINDOW or self._slots[self._index] >= MAX_IN_SLOT

    def sent(self, now: float) -> None:
        self._turn(now)
        self._slots[self._index] += 1
        self._total += 1

    def settled(self, now: float) -> None:
        """A request was answered or given up. It counts for the current slot, whenever it was sent."""
        self._turn(now)
        if self._slots[self._index]:
            self._slots[self._index] -= 1
            self._total -= 1

    def clear(self) -> None:
        self._slots = [0] * SLOTS
        self._total = 0

    def _turn(self, now: float) -> None:
        if now >= self.turns_at + SLOTS * SLOT:
            self.clear()
            self.turns_at = now + SLOT
        while now >= self.turns_at:
            self.turns_at += SLOT
            self._index = (self._index + 1) % SLOTS
            self._total -= self._slots[self._index]
            self._slots[self._index] = 0
