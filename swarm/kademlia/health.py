"""Whether the network answers: a verdict from how many requests were answered and given up in the last ticks.

Purely local. Protocol: dht-rpc section 8. Reference: dht-rpc lib/health.js.
"""

from __future__ import annotations

from collections import deque
from enum import Enum

__all__ = ["Health"]

WINDOW = 4
"""Ticks looked at; nothing is judged before there are so many."""
OFFLINE_TICKS = 2
"""Ticks in a row without any answer (idle ones skipped) that mean offline."""
IDLE_EVENTS = 4
"""Fewer answers and timeouts than this in a tick say nothing."""
DEGRADED_SHARE = 0.5
"""Of timeouts among the events of a tick."""


class _Tick(Enum):
    IDLE = 0
    HEALTHY = 1
    DEGRADED = 2
    OFFLINE = 3


class Health:
    """``online`` and ``degraded``, never both wrong at a time."""

    __slots__ = ("_offline", "_responses", "_ticks", "_timeouts", "degraded", "online")

    def __init__(self) -> None:
        self._ticks: deque[_Tick] = deque(maxlen=WINDOW)
        self._offline = 0
        self._responses = 0
        self._timeouts = 0
        self.online = True
        self.degraded = False

    def update(self, responses: int, timeouts: int, *, alone: bool = False) -> bool:
        """A tick ended with these totals since the start. Whether the verdict changed.

        ``alone``: there are others to ask, but none is known to live. Then silence is as telling as timeouts are: names
        do not resolve, and hardly anything is asked.
        """
        answered, self._responses = responses - self._responses, responses
        lost, self._timeouts = timeouts - self._timeouts, timeouts
        tick = _Tick.IDLE
        if len(self._ticks) >= WINDOW - 1:
            tick = _Tick.OFFLINE if alone and not answered else _judge(answered, lost)
            if answered and not self.online and tick is _Tick.IDLE:
                tick = _Tick.HEALTHY  # however few answers: the network is back
        self._ticks.append(tick)
        if tick is _Tick.IDLE:
            return False
        before = self.online, self.degraded
        if tick is _Tick.OFFLINE:
            self._offline += 1
            if self._offline >= OFFLINE_TICKS:
                self.online = False
        else:
            self._offline = 0
            self.online = True
        if not self.online or self._ticks.count(_Tick.HEALTHY) == WINDOW:
            self.degraded = False
        elif self._ticks.count(_Tick.DEGRADED) == WINDOW:
            self.degraded = True
        return before != (self.online, self.degraded)

    def reset(self) -> bool:
        """Start over, as online. Whether the verdict changed."""
        changed = not self.online or self.degraded
        self._ticks.clear()
        self._offline = 0
        self.online = True
        self.degraded = False
        return changed


def _judge(answered: int, lost: int) -> _Tick:
    if answered + lost < IDLE_EVENTS:
        return _Tick.IDLE
    if answered == 0:
        return _Tick.OFFLINE
    return _Tick.DEGRADED if lost / (answered + lost) > DEGRADED_SHARE else _Tick.HEALTHY
