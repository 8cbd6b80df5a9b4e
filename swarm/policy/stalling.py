"""Connections through which nothing gets any more: the peer is dialled while they are still open.

Whichever comes first wins: a sign of life on the old path, and the dial is taken back; or the dial, and the old
connection is closed. Where NATs forgot, or a host moved, only the dial can come; a path that merely paused loses
nothing. Node waits until the old one has timed out, 13 s later, and for a retry timer. Only the side that dialled dials
again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from holepunch.errors import ConnectError, Reason
from swarm.policy.events import DialFailed, DialStarted
from swarm.policy.links import Link, State

if TYPE_CHECKING:
    from swarm.policy.context import Context
    from swarm.policy.dialling import Dialler
    from swarm.policy.links import Links, Messages

__all__ = ["Stalls"]

PAUSE = 0.5
"""Seconds between a dial that failed, or found no place, and the next one, doubled by each failure, as long as the
connection is stalled: a peer that moved tells its relays within 3 s, and UDX gives the connection up after some ten."""


class Stalls:
    __slots__ = ("_context", "_dialler", "_links")

    def __init__(self, context: Context, links: Links, dialler: Dialler) -> None:
        self._context = context
        self._links = links
        self._dialler = dialler

    def stalled(self, link: Link) -> None:
        link.stalled = True
        self._try(link)

    def revived(self, link: Link) -> None:
        link.stalled = False
        link.redials = 0
        self._dialler.withdraw_successor(link)

    def _try(self, link: Link) -> None:
        peer = link.peer
        if not link.stalled or link.successor is not None or self._links.get(link.id) is not link:
            return
        if not (link.is_initiator and peer.wanted and self._context.running) or peer.banned:
            return
        if not self._dialler.has_place():
            self._try_again(link)
            return
        successor = Link(self._links.new_id(), peer, True, State.DIALLING, link.messages)
        self._links.add_successor(link, successor)
        self._context.counters.attempted += 1
        self._context.effects.dial(successor.id, peer.public_key, peer.relay_addresses)
        self._context.emit(DialStarted(peer.public_key, peer.attempts))

    def _try_again(self, link: Link) -> None:
        self._context.schedule.after(PAUSE * 2**link.redials, lambda: self._try(link))

    def opened(self, link: Link, messages: Messages) -> None:
        """The dial for this connection is one itself, and takes its place."""
        successor = self._links.take_successor(link)
        assert successor is not None
        error = link.peer.error(Reason.DUPLICATE_CONNECTION)
        self._context.effects.close(link.id, error.reason)
        self._dialler.remove(link, error)
        self._dialler.adopt(successor, messages)

    def failed(self, link: Link, error: ConnectError) -> None:
        self._links.take_successor(link)
        self._context.counters.failed += 1
        link.peer.last_error = error
        self._context.emit(DialFailed(error, link.peer.public_key, link.stalled))
        self._try_again(link)
        link.redials += 1
