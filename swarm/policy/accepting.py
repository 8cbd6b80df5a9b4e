"""Whom to let in, and which of two connections to one peer stays. Dials nobody.

Node: hyperswarm index.js, `_handleFirewall` and `_handleServerConnection`. Unlike there, the limits hold for incoming
connections too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from holepunch.errors import Reason
from holepunch.keys import PublicKey
from swarm.policy.context import EXPECTED
from swarm.policy.duplicates import keeps_new
from swarm.policy.gate import Gate, Verdict
from swarm.policy.links import Link, Links, Messages, State, Waiter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from holepunch.core import Entry
    from swarm.policy.context import Context
    from swarm.policy.dialling import Dialler
    from swarm.policy.peers import PeerBook, PeerInfo
    from swarm.topic import Topic

__all__ = ["Acceptor"]

_OBSTACLES = {Verdict.REFUSED: "not allowed", Verdict.UNANSWERED: "no answer whether it is allowed"}


class Acceptor:
    __slots__ = ("_book", "_context", "_dialler", "_gate", "_links")

    def __init__(self, context: Context, book: PeerBook, links: Links, gate: Gate, dialler: Dialler) -> None:
        self._context = context
        self._book = book
        self._links = links
        self._gate = gate
        self._dialler = dialler

    def admit(self, public_key: bytes, decide: Callable[[bool], None], topics: Sequence[Topic]) -> None:
        """See `Policy.admit`."""
        dial = self._links.of(public_key)
        if dial is not None and dial.state is State.OPEN and dial.doubt is None:
            # it would not ask if all went well: what is dead shows, and a path that only this side's NAT forgot is
            # opened again; who repeats old handshakes puts nothing off
            dial.ping = self._context.effects.ping(dial.id)
        if dial is not None and dial.state is State.DIALLING and public_key < self._context.own_key:
            self._postpone(dial, public_key, decide, topics)
        else:
            self._judge(public_key, decide, topics)

    def _judge(self, public_key: bytes, decide: Callable[[bool], None], topics: Sequence[Topic]) -> None:
        def judge(verdict: Verdict) -> None:
            obstacle = before or _OBSTACLES.get(verdict) or self._obstacle(public_key)
            if obstacle is None:
                self._context.expect(public_key)
            else:
                self._context.counters.refused += 1
                self._context.effects.refused(PublicKey(public_key), obstacle)
            decide(obstacle is None)

        before = self._obstacle(public_key)
        if before is not None:
            self._context.soon(lambda: judge(Verdict.REFUSED))
        elif not self._gate.enabled:
            self._context.soon(lambda: judge(Verdict.ALLOWED))
        else:
            peer = self._book.get(public_key)
            known = peer.topics if peer is not None else ()
            if self._gate.ask(public_key, tuple(dict.fromkeys((*known, *topics))), True, judge) is None:
                self._context.soon(lambda: judge(Verdict.UNANSWERED))

    def _postpone(self, dial: Link, public_key: bytes, decide: Callable[[bool], None], topics: Sequence[Topic]) -> None:
        """Both sides dial, and our connection will stay: let the other begin only if ours does not come about.

        Otherwise the peer's application would see the one that it began come and go.
        """
        patience: Entry

        def go_on() -> None:
            patience.cancel()
            if settle in dial.postponed:
                dial.postponed.remove(settle)
            if dial.state is State.OPEN and self._links.of(public_key) is dial:
                decide(False)
            else:
                self._judge(public_key, decide, topics)

        def settle() -> None:
            self._context.soon(go_on)

        dial.postponed.append(settle)
        patience = self._context.schedule.after(EXPECTED, go_on)

    def accepted(self, id: int, public_key: bytes, messages: Messages) -> None:
        """See `Policy.accepted`."""
        obstacle = self._obstacle(public_key)
        if obstacle is not None:
            self._refuse(id, public_key, Reason.REFUSED if self._context.running else Reason.SUSPENDED, obstacle)
            return
        self._context.expected.pop(public_key, None)
        self._place(Link(id, self._book.add(public_key), False, State.OPEN, messages))

    def _place(self, link: Link) -> None:
        public_key = link.peer.public_key
        existing = self._links.of(public_key)
        if existing is None:
            self._open(link, [])
        elif existing.is_initiator and not self._context.limits.room_to_accept(self._links.servers):
            self._refuse(link.id, public_key, Reason.REFUSED, "max_server_connections")
        elif existing.state is State.PENDING:
            self._open(link, self._dialler.withdraw(existing, Reason.DUPLICATE_CONNECTION))
        elif existing.silent(self._context.schedule.now) or keeps_new(
            self._context.own_key, public_key, *existing.messages()
        ):
            self._replace(existing, link)
        elif existing.state is State.DIALLING:
            self._park(existing, link)
        elif (doubt := existing.doubt) is not None:
            self._park(existing, link)
            self._context.schedule.at(doubt.due, lambda: self._place_parked(existing, link))
        else:
            self._context.effects.close(link.id, Reason.DUPLICATE_CONNECTION)

    def _place_parked(self, existing: Link, rival: Link) -> None:
        """The peer of an old connection has had its time to prove that it is there."""
        if existing.rival is rival:
            self._links.take_rival(existing)
            self._place(rival)

    def promote(self, rival: Link, waiters: list[Waiter]) -> bool:
        """What a connection was parked behind has failed or ended. False: it cannot take its place."""
        obstacle = self._obstacle(rival.peer.public_key)
        if obstacle is None:
            self._open(rival, waiters)
            return True
        self._refuse(rival.id, rival.peer.public_key, Reason.REFUSED, obstacle)
        return False

    def _obstacle(self, public_key: bytes) -> str | None:
        """Why this peer may not come in now. None: it may."""
        peer = self._book.get(public_key)
        if not self._context.running:
            return "suspended"
        if public_key == self._context.own_key:
            return "the own key"
        if peer is not None and peer.banned:
            return "banned"
        return None if public_key in self._links else self._limit(peer)

    def _limit(self, peer: PeerInfo | None) -> str | None:
        """The limit that one more connection would exceed."""
        limits = self._context.limits
        if not limits.room_to_accept(self._links.servers):
            return "max_server_connections"
        spare = limits.max_peers - len(self._links)
        if spare > 0 or (peer is not None and peer.explicit) or (spare == 0 and self._dispensable() is not None):
            return None
        return "max_peers"

    def _dispensable(self) -> Link | None:
        """The latest dial in progress that nobody asked for: a connection that is there is worth more than it."""
        for link in reversed(self._links.dialling.values()):
            if not (link.peer.explicit or link.waiters or link.rival):
                return link
        return None

    def _open(self, link: Link, waiters: list[Waiter]) -> None:
        peer = link.peer
        self._links.add(link)
        self._context.counters.accepted += 1
        peer.client = False
        peer.connected_at = None
        if len(self._links) > self._context.limits.max_peers and not peer.explicit:
            dial = self._dispensable()
            if dial is not None:
                self._dialler.withdraw(dial, Reason.REFUSED)
                self._dialler.flushes.tried(dial.peer.public_key)
                self._dialler.enqueue(dial.peer)
        self._dialler.welcome(link, waiters)
        self._dialler.run()

    def _replace(self, existing: Link, link: Link) -> None:
        if existing.state is State.OPEN:
            self._context.effects.close(existing.id, Reason.DUPLICATE_CONNECTION)
            error = link.peer.error(Reason.DUPLICATE_CONNECTION)
            self._dialler.remove(existing, error)
            self._open(link, [])
        else:
            self._open(link, self._dialler.withdraw(existing, Reason.DUPLICATE_CONNECTION))

    def _park(self, existing: Link, rival: Link) -> None:
        """The other would win: keep this one until it did.

        Node closes it at once. Where only one of two dials can get through, and it is the one that the rule would
        close, both sides then retry into each other until they give up. And who restarted, and has the smaller key, is
        turned away until UDX finds its old connection dead.
        """
        self._dialler.close_rival(existing)
        self._links.add_rival(existing, rival)

    def _refuse(self, id: int, public_key: bytes, reason: Reason, obstacle: str) -> None:
        self._context.counters.refused += 1
        self._context.effects.refused(PublicKey(public_key), obstacle)
        self._context.effects.close(id, reason)
