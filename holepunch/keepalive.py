"""When a stream that says nothing is to say that it lives. Pure."""

from __future__ import annotations

from holepunch.core import STEP

__all__ = ["KEEP_ALIVE", "KeepAlive"]

KEEP_ALIVE = 5.0
"""Seconds without an own write after which an empty frame is written (hyperdht's connection keep-alive). Between two
peers of this implementation a frame of the peer's counts as well: the ACK for it keeps the NATs' mappings open, too. A
program on Node may count on frames of this side (secret-stream's ``setTimeout``)."""


class KeepAlive:
    """The times of one stream's last signs of life."""

    __slots__ = ("_waits", "heard_at", "wrote_at")

    def __init__(self, now: float, waits: bool) -> None:
        """``waits``: of two peers of this implementation one lets the other go first, for two `STEP`s, so that one
        frame serves both."""
        self._waits = waits
        self.wrote_at = self.heard_at = now

    def due(self, peer_counts: bool) -> float:
        """When to write an empty frame, unless something is written, or, if that counts, heard before. Rounded down to
        a multiple of `STEP`, so that many idle streams share one wake-up."""
        at = self.wrote_at + KEEP_ALIVE
        if peer_counts:
            at = max(self.wrote_at, self.heard_at) + KEEP_ALIVE + self._waits * 2 * STEP
        return at // STEP * STEP
