"""The nodes that one query knows of: who answered, who is down, and who is to be asked next. Asks nobody itself.

The closest node known is asked next, and nobody whom 20 closer ones stand before, answered or just asked. (The
reference asks whomever it heard of last: twice as many in a large network.)
"""

from __future__ import annotations

from bisect import bisect_left
from heapq import heappop, heappush
from typing import TYPE_CHECKING

from swarm.kademlia.ids import distance, node_id
from swarm.kademlia.table import K

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from holepunch.address import Address
    from swarm.kademlia.rpc import Reply

__all__ = ["Candidates"]

MAX_ADDRESSES = 1000
"""Addresses one query learns. A lookup in a network of millions meets some 300; nodes that answer with made-up
addresses close to the target could keep a query busy for ever."""
MAX_REFERRERS = K
"""Nodes remembered for having named an address, to be told when it is down."""


class _Candidate:
    __slots__ = ("asked", "away", "down", "referrers")

    def __init__(self, away: int) -> None:
        self.away = away
        self.asked = False
        self.down = False
        self.referrers: list[Address] = []
        """Who named it."""


class Candidates:
    """Around one target."""

    __slots__ = ("_distances", "_known", "_target", "_waiting", "closest")

    def __init__(self, target: bytes) -> None:
        self.closest: list[Reply] = []
        """The up to 20 closest nodes that answered without error and with a valid id, closest first."""
        self._target = target
        self._distances: list[int] = []  # of `closest`
        self._known: dict[Address, _Candidate] = {}
        self._waiting: list[tuple[int, Address]] = []  # a heap of (distance, address)

    def __len__(self) -> int:
        """How many wait to be asked."""
        return len(self._waiting)

    def __contains__(self, address: Address) -> bool:
        """Whether it was learnt of, whatever has become of it."""
        return address in self._known

    @property
    def complete(self) -> bool:
        """Twenty answered. Only closer ones are of interest from then on."""
        return len(self.closest) >= K

    def learn(self, address: Address, referrer: Address | None = None) -> bool:
        """Take note of an address, and of who named it. Whether it is closer than the 20 that answered."""
        candidate = self._known.get(address)
        if candidate is None:
            candidate = _Candidate(distance(self._target, node_id(address)))
            if not self._is_closer(candidate.away):
                return False
            if len(self._known) < MAX_ADDRESSES:
                self._known[address] = candidate
                heappush(self._waiting, (candidate.away, address))
        if referrer is not None and len(candidate.referrers) < MAX_REFERRERS:
            candidate.referrers.append(referrer)
        return self._is_closer(candidate.away)

    def next(self, asked: Iterable[int]) -> tuple[int, Address] | None:
        """Who is to be asked next, and its distance, if anybody. ``asked``: distances of those about to answer."""
        if not self._waiting:
            return None
        away, _ = self._waiting[0]
        if not self._is_closer(away):
            self._waiting.clear()  # the rest is further still
            return None
        if bisect_left(self._distances, away) + sum(other < away for other in asked) >= K:
            return None  # of interest only if one of those fails
        found = heappop(self._waiting)
        self._known[found[1]].asked = True
        return found

    @property
    def asked(self) -> list[Address]:
        """Whom `next` has given, in the order in which they were learnt of."""
        return [address for address, candidate in self._known.items() if candidate.asked]

    def failed(self, address: Address) -> Sequence[Address]:
        """It is down. Gives who named it, and has not been told."""
        candidate = self._known[address]
        candidate.down, was_down = True, candidate.down
        return () if was_down else candidate.referrers

    def heard(self, address: Address) -> None:
        """It has answered after all."""
        self._known[address].down = False

    def is_down(self, address: Address) -> bool:
        candidate = self._known.get(address)
        return candidate is not None and candidate.down

    def place(self, reply: Reply) -> None:
        """Put a reply among the closest, if it belongs there."""
        if reply.id is None:
            return
        away = distance(self._target, reply.id)
        place = bisect_left(self._distances, away)
        if place == K or (place < len(self._distances) and self._distances[place] == away):
            return
        self._distances.insert(place, away)
        self.closest.insert(place, reply)
        del self._distances[K:], self.closest[K:]

    def _is_closer(self, away: int) -> bool:
        return not self.complete or away < self._distances[-1]
