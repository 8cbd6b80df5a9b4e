"""Pacing: how many packets may leave now so that they leave at the rate congestion control asks for.

A token bucket in packets. It never reads a clock and never sets a timer: the sender asks and is told when to come back.
"""

from __future__ import annotations

from typing import Final

__all__ = ["BURST_TIME", "Pacer"]

BURST_TIME: Final = 0.002
"""Seconds of the rate that may leave at once. System timers come up to a millisecond late, and a bucket that cannot
hold what accrued meanwhile would lower the rate by as much."""
MIN_BURST: Final = 10.0
"""Packets that may leave at once at any rate: BBR's initial window."""
QUANTUM_TIME: Final = 0.001
"""Once empty, the bucket opens again with this many seconds of the rate: waking for less costs more than it gives."""
MAX_QUANTUM: Final = 44.0
"""Packets of the largest GSO burst; waiting for more than one only adds delay."""
SHORTEST_WAIT: Final = 0.1
"""Of the time that a quantum takes. A deadline must lie in the future, or nothing but waking would be done."""
_ROUNDING: Final = 1e-6


class Pacer:
    __slots__ = ("_at", "_credit", "_rate")

    def __init__(self, now: float) -> None:
        self._at = now
        self._credit = MIN_BURST
        self._rate: float | None = None

    def budget(self, rate: float | None, wanted: int, now: float) -> int:
        """How many of ``wanted`` packets may leave now at ``rate`` packets per second. None: all of them."""
        self._rate = rate
        if rate is None:
            self._at = now
            return wanted
        self._credit = min(self._credit + (now - self._at) * rate, max(MIN_BURST, rate * BURST_TIME))
        self._at = now
        if self._credit + _ROUNDING < min(wanted, self._quantum(rate)):
            return 0
        return min(wanted, int(self._credit + _ROUNDING))

    def spend(self, packets: int) -> None:
        if self._rate is not None:
            self._credit -= packets

    def ready_at(self) -> float:
        """When a refused budget is granted. Only after `budget` was asked at a known rate."""
        assert self._rate is not None
        quantum = self._quantum(self._rate)
        return self._at + max(quantum - self._credit, quantum * SHORTEST_WAIT) / self._rate

    @staticmethod
    def _quantum(rate: float) -> float:
        return min(max(rate * QUANTUM_TIME, 1.0), MAX_QUANTUM)
