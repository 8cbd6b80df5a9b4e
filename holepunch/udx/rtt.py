"""Round-trip time: the smoothed estimate, the retransmission timeout, and the windowed extremes (udx.md section 7)."""

from __future__ import annotations

from typing import Final

__all__ = ["Rtt", "WindowedExtreme"]

MIN_RTO: Final = 1.0
MAX_RTO: Final = 30.0
OUTLIER: Final = 5.0
"""Samples above it are believed only as far as five deviations: a laptop that slept is no slow path."""
RACK_WINDOW: Final = 300.0
"""The minimum that scales the reordering allowance is taken over this many seconds."""


class WindowedExtreme:
    """The best value of a sliding window, from three samples (Kathleen Nichols' filter, as in Linux win_minmax).

    ``sign`` 1 keeps the largest, -1 the smallest. The window's unit is the caller's: seconds, or round trips.
    """

    __slots__ = ("_best", "_sign", "_window", "value")

    def __init__(self, window: float, sign: int) -> None:
        self._window = window
        self._sign = sign
        self._best: tuple[tuple[float, float], ...] = ()
        self.value: float | None = None

    def update(self, at: float, value: float) -> None:
        new = (at, value)
        sign = self._sign
        if not self._best or sign * value >= sign * self._best[0][1] or at - self._best[2][0] > self._window:
            self._best = (new, new, new)
            self.value = value
            return
        first, second, third = self._best
        if sign * value >= sign * second[1]:
            second = third = new
        elif sign * value >= sign * third[1]:
            third = new
        age = at - first[0]
        if age > self._window:
            first, second, third = second, third, new
            if at - first[0] > self._window:
                first, second = second, third
        elif second[0] == first[0] and age > self._window / 4:
            second = third = new
        elif third[0] == second[0] and age > self._window / 2:
            third = new
        self._best = (first, second, third)
        self.value = first[1]


class Rtt:
    """Seconds throughout. RFC 6298 with the limits of udx.md section 7."""

    __slots__ = ("_minimum", "deviation", "minimum", "rto", "smoothed")

    def __init__(self) -> None:
        self.smoothed: float | None = None
        self.deviation = 0.0
        self.rto = MIN_RTO
        self.minimum: float | None = None
        self._minimum = WindowedExtreme(RACK_WINDOW, -1)

    def sample(self, rtt: float, now: float) -> None:
        """``rtt`` of a packet that was sent once."""
        rtt = min(rtt, MAX_RTO)
        self._minimum.update(now, rtt)
        self.minimum = self._minimum.value
        if self.smoothed is None:
            self.smoothed = rtt
            self.deviation = rtt / 2
        else:
            credible = self.smoothed + 5 * self.deviation
            if rtt > OUTLIER and rtt > credible:
                rtt = credible
            self.deviation += (abs(self.smoothed - rtt) - self.deviation) / 4
            self.smoothed += (rtt - self.smoothed) / 8
        self.rto = min(max(self.smoothed + 4 * self.deviation, MIN_RTO), MAX_RTO)
