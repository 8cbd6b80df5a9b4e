"""What strangers may cost us: a rate per source host and in total. Counts and answers yes or no; does not queue.

The numbers of the DHT's requests are here, so that they can be read and changed in one place.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from holepunch.address import is_private

__all__ = ["REQUESTS", "REQUESTS_PER_HOST", "REQUESTS_PER_NEIGHBOUR", "Budget", "Rate"]


class Rate(NamedTuple):
    per_second: float
    burst: float
    """How much may come at once after a quiet time."""


REQUESTS_PER_HOST = Rate(100, 400)
"""DHT requests of one public host. A peer asks one node a few times a second at most; a carrier's NAT puts a hundred
peers behind one host. With the host forged, this bounds what its owner receives from us: 20 KB/s of answers that name
20 closer nodes (195 bytes), 125 KB/s of the largest, with a stored value or a crowded topic (1252 bytes)."""
REQUESTS_PER_NEIGHBOUR = Rate(2_000, 5_000)
"""DHT requests of one private or loopback host: whole test networks share one."""
REQUESTS = Rate(5_000, 10_000)
"""DHT requests in total: about a fifth of what one Python process can answer."""

MAX_SOURCES = 4096
"""Hosts remembered at a time, about 400 bytes each. One that is forgotten starts afresh; the one unheard for longest
goes first, and has mostly regained its burst by then."""


class _Bucket:
    """A leaky bucket: it runs out at the rate, and takes what fits."""

    __slots__ = ("_at", "_rate", "level")

    def __init__(self, rate: Rate, now: float) -> None:
        self._rate = rate
        self.level = 0.0
        self._at = now

    def admit(self, now: float, cost: float) -> bool:
        level = max(0.0, self.level - (now - self._at) * self._rate.per_second)
        if level + cost > self._rate.burst:
            return False
        self.level = level + cost
        self._at = now
        return True


class Budget:
    """One bucket per source host, and one for all of them. Memory is bounded by `MAX_SOURCES`."""

    __slots__ = ("_neighbours", "_per_source", "_sources", "_total", "refused")

    def __init__(self, per_source: Rate, total: Rate, *, neighbours: Rate | None = None) -> None:
        """``neighbours``: the rate of private and loopback hosts, if it differs."""
        self._per_source = per_source
        self._neighbours = per_source if neighbours is None else neighbours
        self._sources: OrderedDict[str, _Bucket] = OrderedDict()
        self._total = _Bucket(total, 0.0)
        self.refused = 0

    def admit(self, host: str, now: float, cost: float = 1.0) -> bool:
        """Whether ``host`` may cost us this much now. What is refused costs the budget nothing."""
        bucket = self._sources.get(host)
        if bucket is None:
            bucket = _Bucket(self._neighbours if is_private(host) else self._per_source, now)
            if len(self._sources) >= MAX_SOURCES:
                self._sources.popitem(last=False)
            self._sources[host] = bucket
        else:
            self._sources.move_to_end(host)
        # the source first: what it may not send does not use up what others may
        if bucket.admit(now, cost):
            if self._total.admit(now, cost):
                return True
            bucket.level -= cost
        self.refused += 1
        return False
