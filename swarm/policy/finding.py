"""What becomes of a peer that was found under a topic. Searches nothing: `rendezvous` does.

Node: hyperswarm index.js, `_handlePeer`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from swarm.policy.events import PeerFound
from swarm.policy.peers import MAX_FOUND_PEERS, Priority

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holepunch.address import Address
    from swarm.policy.context import Context
    from swarm.policy.dialling import Dialler
    from swarm.policy.links import Links
    from swarm.policy.peers import PeerBook, PeerInfo
    from swarm.topic import Topic

__all__ = ["Finder"]


class Finder:
    __slots__ = ("_book", "_context", "_dialler", "_links")

    def __init__(self, context: Context, book: PeerBook, links: Links, dialler: Dialler) -> None:
        self._context = context
        self._book = book
        self._links = links
        self._dialler = dialler

    def is_self(self, public_key: bytes) -> bool:
        return public_key == self._context.own_key

    def is_active(self, public_key: bytes) -> bool:
        """Connected, being dialled, or queued."""
        peer = self._book.get(public_key)
        return peer is not None and (public_key in self._links or peer in self._dialler.queue)

    def active(self, topic: Topic) -> int:
        """How many peers of this topic are."""
        return sum(topic in peer.topics and self.is_active(peer.public_key) for peer in self._book)

    def found(self, public_key: bytes, topic: Topic, relay_addresses: Sequence[Address]) -> None:
        """Another peer is in a joined topic: dial it, unless there is a connection already."""
        peer = self._book.get(public_key)
        if peer is None:
            if len(self._book) >= MAX_FOUND_PEERS:
                return
            peer = self._book.add(public_key)
        peer.found(relay_addresses)
        self.shares(peer, topic)
        if not self.is_active(public_key):
            # One that dialled us last, or had most of its dials, starts over: it is there now.
            if peer.priority < Priority.NORMAL or not peer.client:
                peer.reset()
            self._dialler.enqueue(peer)

    def shares(self, peer: PeerInfo, topic: Topic) -> None:
        """This peer is in a joined topic."""
        if peer.add_topic(topic):
            self._context.emit(PeerFound(peer.public_key, topic))
