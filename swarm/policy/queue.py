"""Peers to dial: highest priority first, random among equals, so that all peers of a topic do not dial one alike.

Node: shuffled-priority-queue 2.1. Membership is the queue's alone; no flag on the peer can disagree with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from swarm.policy.peers import Priority

if TYPE_CHECKING:
    from collections.abc import Iterator

    from holepunch.core import Random
    from swarm.policy.peers import PeerInfo

__all__ = ["ShuffledQueue"]


class ShuffledQueue:
    """Each operation takes constant time."""

    __slots__ = ("_levels", "_places", "_rng")

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._levels: list[list[PeerInfo]] = [[] for _ in Priority]
        self._places: dict[PeerInfo, tuple[int, int]] = {}

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, peer: PeerInfo) -> bool:
        return peer in self._places

    def __iter__(self) -> Iterator[PeerInfo]:
        return iter(self._places)

    def add(self, peer: PeerInfo) -> None:
        """Queue a peer under its priority of now. One that is queued already keeps its place."""
        if peer not in self._places:
            level = self._levels[peer.priority]
            self._places[peer] = (peer.priority, len(level))
            level.append(peer)

    def pop(self) -> PeerInfo:
        """Raises ``IndexError`` when empty."""
        for level in reversed(self._levels):
            if level:
                peer = level[self._rng.randrange(0, len(level))]
                self.discard(peer)
                return peer
        raise IndexError("pop from an empty queue")

    def discard(self, peer: PeerInfo) -> bool:
        """True when it was queued."""
        place = self._places.pop(peer, None)
        if place is None:
            return False
        priority, index = place
        level = self._levels[priority]
        last = level.pop()
        if last is not peer:
            level[index] = last
            self._places[last] = place
        return True

    def clear(self) -> None:
        for level in self._levels:
            level.clear()
        self._places.clear()
