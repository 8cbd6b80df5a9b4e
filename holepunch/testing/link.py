"""What a link does to the datagrams that cross it. Pure: the time comes in, randomness comes from a seed."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field

__all__ = ["HEADERS", "Link", "Wire"]

HEADERS = 28
"""Bytes that IPv4 and UDP put in front of a payload. They count for MTU and rate."""


@dataclass(frozen=True, slots=True)
class Link:
    """The conditions on a link, one way. Times in seconds, sizes in bytes, shares from 0 to 1."""

    delay: float = 0.0
    jitter: float = 0.0
    """Each datagram takes up to this much longer. Order is kept: one that is late holds up those behind it."""
    loss: float = 0.0
    reorder: float = 0.0
    """The share of datagrams held back by up to ``delay + jitter``, so that later ones overtake them."""
    duplicate: float = 0.0
    mtu: int = 1500
    """Larger packets vanish without a word, as in a path MTU black hole, unless they may be cut."""
    rate: float = math.inf
    """Bytes per second."""
    queue: float = 0.1
    """How many seconds of traffic may wait for their turn where there is a ``rate``; the rest is lost."""
    plain: bool = field(init=False, repr=False, compare=False)
    """All datagrams are treated alike: a run of them stays together."""

    def __post_init__(self) -> None:
        for name in ("loss", "reorder", "duplicate"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is a share between 0 and 1, not {getattr(self, name)}")
        if min(self.delay, self.jitter, self.queue) < 0 or self.rate <= 0:
            raise ValueError(f"times are not negative and a rate is positive: {self}")
        special = self.jitter or self.loss or self.reorder or self.duplicate or self.rate != math.inf
        object.__setattr__(self, "plain", not special)


class Wire:
    """One direction of a link, with what is on its way."""

    __slots__ = ("_free_at", "_last", "_random", "_seed", "link")

    def __init__(self, link: Link, seed: str) -> None:
        self.link = link
        self._seed = seed
        self._random: random.Random | None = None
        self._free_at = self._last = -math.inf

    def fits(self, size: int) -> bool:
        return size + HEADERS <= self.link.mtu

    def arrivals(self, size: int, now: float) -> list[float]:
        """When a datagram of ``size`` payload bytes that is sent now gets to the other end: never, once or twice."""
        link = self.link
        if self._random is None:
            # A generator of its own: what happens on one wire does not depend on traffic elsewhere.
            self._random = random.Random(self._seed)
        chance = self._random.random
        start = max(now, self._free_at)
        if start - now > link.queue:
            return []
        if link.rate != math.inf:
            self._free_at = start = start + (size + HEADERS) / link.rate
        if link.loss and chance() < link.loss:
            return []
        arrival = start + link.delay
        if link.jitter:
            arrival += chance() * link.jitter
        if link.reorder and chance() < link.reorder:
            arrival += chance() * (link.delay + link.jitter)
        else:
            self._last = arrival = max(arrival, self._last)
        if link.duplicate and chance() < link.duplicate:
            return [arrival, arrival]
        return [arrival]
