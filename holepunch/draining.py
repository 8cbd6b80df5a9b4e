"""How long a reader may pause after a drain, so that a bulk transfer wakes the process once for many datagrams.

Pure: it counts drains, and reads no clock. A pause where nothing more arrives in it is pure delay: each such one makes
the next come much later.
"""

from __future__ import annotations

__all__ = ["PAUSE", "Haste"]

PAUSE = 0.0005
"""Seconds; system timers round it up to a millisecond."""
BULK_BYTES = 32 << 10
BULK_DATAGRAMS = 12
"""What one drain brings in the middle of a transfer: some of the data, or ACKs of a Node peer, one for each packet."""
WORTH = 3
"""Times as much that a drain after a pause must bring for the pause to have been worth it."""
FEWEST = 8
MOST = 4096
"""Drains of a transfer, one after another, before the first pause, and after many that were not worth it."""


class Haste:
    """Of one socket."""

    __slots__ = ("_needed", "_paused", "_streak")

    def __init__(self) -> None:
        self._needed = FEWEST
        self._streak = 0
        self._paused = False

    def may_pause(self, size: int, datagrams: int) -> bool:
        """After a drain of ``size`` bytes. Whoever is told True pauses."""
        if size < BULK_BYTES and datagrams < BULK_DATAGRAMS:
            self._streak = 0
            self._paused = False
            return False
        if self._paused:
            worth = size >= WORTH * BULK_BYTES or datagrams >= WORTH * BULK_DATAGRAMS
            self._needed = FEWEST if worth else min(2 * self._needed, MOST)
            self._streak = self._needed if worth else 0
        else:
            self._streak += 1
        self._paused = self._streak >= self._needed
        return self._paused
