"""Path MTU discovery: which size of datagram to try next, and which is proven. Sizes are UDP payloads, in bytes.

A probe is an ordinary DATA packet, padded behind its header (udx.md section 7). Only sizes are known here, no packets.
"""

from __future__ import annotations

from typing import Final

__all__ = ["BASE_SIZE", "MAX_SIZE", "PathMtu"]

BASE_SIZE: Final = 1172
"""An IP packet of 1200 bytes, which every path is taken to carry."""
MAX_SIZE: Final = 1472
"""An IP packet of 1500 bytes. Node reads at most 2048 and would cut a larger datagram without a word."""
MAX_PADDING: Final = 252
"""The data offset is one byte, and sizes stay multiples of 4 so that a run's headers can be read as one array."""
TRIES: Final = 3
PRECISION: Final = 32
"""The search ends when less than this could be won."""


class PathMtu:
    """Node walks up in steps of 32. Most paths carry 1500, so this one tries the largest size first, then halves."""

    __slots__ = ("_ceiling", "_probing", "_tries", "size", "sought")

    def __init__(self) -> None:
        self.size = BASE_SIZE
        self._ceiling = MAX_SIZE
        self._tries = 0
        self._probing = False
        """Only once an acknowledgement has shown that the path carries anything at all."""
        self.sought = MAX_SIZE
        """The size being tried; equal to `size` when the search is over."""

    def start(self) -> None:
        if not self._probing:
            self._probing = True
            self._choose()

    def padding(self, size: int) -> int:
        """Bytes to add to a packet of ``size`` to make it a probe; 0 when it cannot be one."""
        missing = self.sought - size
        return missing if self._probing and size == self.size and 0 < missing <= MAX_PADDING else 0

    def on_probe_delivered(self, size: int) -> None:
        self.size = max(self.size, size)
        self._tries = 0
        self._choose()

    def on_probe_lost(self) -> None:
        self._tries += 1
        if self._tries == TRIES:
            self._ceiling = self.sought - 4
            self._tries = 0
            self._choose()

    def _choose(self) -> None:
        if self._ceiling - self.size < PRECISION and self._ceiling < MAX_SIZE:
            self.sought = self.size
        elif self._ceiling == MAX_SIZE:
            self.sought = min(MAX_SIZE, self.size + MAX_PADDING)
        else:
            self.sought = min((self.size + self._ceiling) // 8 * 4, self.size + MAX_PADDING)
