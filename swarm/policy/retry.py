"""When a peer is dialled again: four timers, chosen by how the peer behaved. Fires batches; dials nobody.

Node: hyperswarm lib/retry-timer.js and lib/bulk-timer.js.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple, Self

from swarm.policy.peers import MAX_ATTEMPTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from holepunch.core import Entry, Random, Schedule
    from swarm.policy.peers import PeerInfo

__all__ = ["Backoffs", "BulkTimer", "RetryTimers"]

JITTER = 0.5
"""Seconds, at most, that one swarm adds to each of its timers: swarms that lost each other together retry apart."""


class Backoffs(NamedTuple):
    """The four times, in seconds: short, medium, long, and very long for those who are never given up."""

    short: float
    medium: float
    long: float
    very_long: float

    @classmethod
    def draw(cls, rng: Random) -> Self:
        return cls(
            1 + 0.5 * rng.random(),
            5 + rng.random(),
            15 + 2 * rng.random(),
            600 + 120 * rng.random(),
        )


class BulkTimer:
    """Fires its entries in batches: each after 0.66 to 1.32 times the time, those of one tick together.

    Two generations pass through: a tick fires the older one. Ticks keep their phase while the timer is empty, but cost
    nothing then.
    """

    __slots__ = ("_interval", "_next", "_on_batch", "_pending", "_schedule", "_started", "_tick")

    def __init__(self, schedule: Schedule, time: float, on_batch: Callable[[list[PeerInfo]], None]) -> None:
        self._schedule = schedule
        self._interval = 0.66 * time
        self._on_batch = on_batch
        self._next: dict[PeerInfo, None] = {}
        self._pending: dict[PeerInfo, None] = {}
        self._started: float | None = None
        self._tick: Entry | None = None

    def __len__(self) -> int:
        return len(self._next) + len(self._pending)

    def add(self, peer: PeerInfo) -> None:
        self._pending[peer] = None
        if self._tick is None:
            now = self._schedule.now
            if self._started is None:
                self._started = now
            ticks = math.floor((now - self._started) / self._interval) + 1
            self._tick = self._schedule.at(self._started + ticks * self._interval, self._on_tick)

    def discard(self, peer: PeerInfo) -> None:
        self._next.pop(peer, None)
        self._pending.pop(peer, None)

    def clear(self) -> None:
        self._next.clear()
        self._pending.clear()
        if self._tick is not None:
            self._tick.cancel()
            self._tick = None

    def _on_tick(self) -> None:
        batch, self._next, self._pending = self._next, self._pending, {}
        self._tick = self._schedule.after(self._interval, self._on_tick) if self._next else None
        if batch:
            self._on_batch(list(batch))


class RetryTimers:
    """Which peers wait for their next dial, and for how long."""

    __slots__ = ("_by_peer", "_long", "_medium", "_on_batch", "_short", "_very_long")

    def __init__(
        self,
        schedule: Schedule,
        rng: Random,
        on_batch: Callable[[list[PeerInfo]], None],
        backoffs: Backoffs | None = None,
        jitter: float = JITTER,
    ) -> None:
        self._on_batch = on_batch
        self._by_peer: dict[PeerInfo, BulkTimer] = {}
        self._short, self._medium, self._long, self._very_long = (
            BulkTimer(schedule, time + jitter * rng.random(), self._fire) for time in backoffs or Backoffs.draw(rng)
        )

    def __len__(self) -> int:
        return len(self._by_peer)

    def __contains__(self, peer: PeerInfo) -> bool:
        return peer in self._by_peer

    def add(self, peer: PeerInfo) -> bool:
        """False: no timer takes this peer, it is not to be dialled again."""
        self.discard(peer)
        timer = self._choose(peer)
        if timer is None:
            return False
        self._by_peer[peer] = timer
        timer.add(peer)
        return True

    def add_once(self, peer: PeerInfo) -> None:
        """For one dial after the long time: more is up to the peer, which dials as well."""
        if not peer.banned and peer.reconnect:
            self.discard(peer)
            peer.attempts = MAX_ATTEMPTS
            self._by_peer[peer] = self._long
            self._long.add(peer)

    def discard(self, peer: PeerInfo) -> bool:
        """True when it was waiting."""
        timer = self._by_peer.pop(peer, None)
        if timer is None:
            return False
        timer.discard(peer)
        return True

    def clear(self) -> None:
        self._by_peer.clear()
        for timer in (self._short, self._medium, self._long, self._very_long):
            timer.clear()

    def _choose(self, peer: PeerInfo) -> BulkTimer | None:
        if peer.banned or not peer.reconnect:
            return None
        if peer.attempts > MAX_ATTEMPTS:
            return self._very_long if peer.explicit else None
        if peer.attempts == 0:
            return self._short
        if peer.proven:
            return (self._short, self._medium, self._long)[peer.attempts - 1]
        return (self._medium, self._long, self._long)[peer.attempts - 1]

    def _fire(self, batch: Iterable[PeerInfo]) -> None:
        peers = list(batch)
        for peer in peers:
            del self._by_peer[peer]
        self._on_batch(peers)
