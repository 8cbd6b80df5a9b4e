"""Whom to dial, and when: the queue, the loop, the retries, the dials that the application asks for. Opens no topic
and judges no incoming connection.

Node: hyperswarm index.js, `_attemptClientConnections` and `_connect`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from holepunch.errors import Reason
from swarm.policy.events import BanLifted, ConnectionClosed, ConnectionOpened, DialFailed, DialStarted
from swarm.policy.flush import Flushes
from swarm.policy.gate import Gate, Verdict
from swarm.policy.links import Link, Links, Messages, State, Waiter
from swarm.policy.queue import ShuffledQueue
from swarm.policy.retry import JITTER, Backoffs, RetryTimers

if TYPE_CHECKING:
    from collections.abc import Callable

    from holepunch.errors import ConnectError
    from holepunch.signaller import Cancel
    from swarm.policy.context import Context
    from swarm.policy.peers import PeerBook, PeerInfo

__all__ = ["Dialler"]

MAX_EXPLICIT_ATTEMPTS = 5
"""From this many on, an explicit peer is dialled by its retry timer only, not each time a place is free."""


class Dialler:
    """A peer is in at most one of three places: queued, waiting for a retry timer, or linked."""

    __slots__ = (
        "_book",
        "_context",
        "_gate",
        "_links",
        "_promote",
        "explicit",
        "flushes",
        "queue",
        "retry",
    )

    def __init__(
        self,
        context: Context,
        book: PeerBook,
        links: Links,
        gate: Gate,
        promote: Callable[[Link, list[Waiter]], bool],
        backoffs: Backoffs | None,
        jitter: float | None,
    ) -> None:
        """``promote`` makes a rival the connection, and tells whether it could."""
        self._context = context
        self._book = book
        self._links = links
        self._gate = gate
        self._promote = promote
        self.explicit: dict[PeerInfo, None] = {}
        self.queue = ShuffledQueue(context.rng)
        self.flushes = Flushes()
        self.retry = RetryTimers(
            context.schedule, context.rng, self._retry, backoffs, JITTER if jitter is None else jitter
        )

    # -- wishes --------------------------------------------------------------------------------------------------------

    def enqueue(self, peer: PeerInfo) -> None:
        """Dial this peer when its turn comes, even if it waits for a retry timer. Not one that has had its dials."""
        if not peer.banned and peer.public_key not in self._links and peer.prioritise():
            self.retry.discard(peer)
            self.queue.add(peer)
            self.run()
        self.forget(peer)

    def join_peer(self, peer: PeerInfo) -> None:
        peer.explicit = True
        self.explicit[peer] = None
        if self._context.running:
            self.enqueue(peer)

    def leave_peer(self, peer: PeerInfo) -> None:
        peer.explicit = False
        self.explicit.pop(peer, None)
        if not peer.wanted:
            self.unwanted(peer)
        self.forget(peer)

    def connect(self, peer: PeerInfo, on_result: Waiter) -> Cancel:
        """See `Policy.connect`."""
        link = self._links.of(peer.public_key)
        if link is not None and link.state is State.OPEN:
            return self._context.soon(lambda: self._share(peer, on_result)).cancel
        if not self._context.running or peer.banned:
            error = peer.error(Reason.REFUSED if peer.banned else Reason.SUSPENDED)
            self.forget(peer)
            return self._context.soon(lambda: on_result(error)).cancel
        if link is None:
            link = self._dial(peer, by_application=True)
        link.waiters.append(on_result)

        def cancel() -> None:
            link = self._links.of(peer.public_key)
            if link is not None and on_result in link.waiters:
                link.waiters.remove(on_result)
                if not peer.wanted:
                    self.unwanted(peer)

        return cancel

    def unwanted(self, *peers: PeerInfo) -> None:
        """The last reason to be connected went: no dial any more, but an open connection stays."""
        for peer in peers:
            self.queue.discard(peer)
            self.retry.discard(peer)
        for peer in peers:
            link = self._links.of(peer.public_key)
            if link is not None:
                self.withdraw_successor(link)
            if link is not None and link.state is not State.OPEN and not link.waiters:
                rival = self._links.take_rival(link)
                self.withdraw(link, Reason.REFUSED)
                if rival is not None:
                    self._promote(rival, [])
            self.forget(peer)
            self.flushes.tried(peer.public_key)
        self.run()

    def shun(self, peer: PeerInfo) -> None:
        """A peer was banned."""
        self.queue.discard(peer)
        self.retry.discard(peer)
        link = self._links.of(peer.public_key)
        if link is not None and link.state is State.OPEN:
            self._clear(link, Reason.REFUSED)
        elif link is not None:
            self._give_up(link, Reason.REFUSED)
        self.flushes.tried(peer.public_key)
        self.run()

    def lifted(self, peer: PeerInfo) -> None:
        """A peer is no longer banned."""
        self._context.emit(BanLifted(peer.public_key))
        if peer.wanted and self._context.running:
            peer.reset()
            self.enqueue(peer)
        else:
            self.forget(peer)

    # -- the loop ------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Dial whom the limits let dial. Called whenever a peer, a place or time was added."""
        if not self._context.running:
            return
        for peer in list(self.explicit):
            if not self.has_place():
                break
            if self._is_due(peer):
                self._dial(peer)
        while self.queue and self.has_place() and self._has_room():
            self._dial(self.queue.pop())
        if not self._links.dialling and not self._has_room():
            self.flushes.release(True)

    def has_place(self) -> bool:
        in_progress = self._links.successors + sum(not link.by_application for link in self._links.dialling.values())
        return in_progress < self._context.limits.max_parallel

    def _has_room(self) -> bool:
        return self._context.limits.room_to_dial(len(self._links), self._links.clients, len(self.explicit))

    def _is_due(self, peer: PeerInfo) -> bool:
        """An explicit peer need not wait for its timer when a place is free, only a second for each attempt."""
        if peer.banned or peer.public_key in self._links:
            return False
        if peer in self.queue or peer.disconnected_at is None:
            return True
        rested = self._context.schedule.now - peer.disconnected_at >= peer.attempts
        return peer.reconnect and rested and peer.attempts < MAX_EXPLICIT_ATTEMPTS

    def _retry(self, batch: list[PeerInfo]) -> None:
        for peer in batch:
            if peer.prioritise():
                self.queue.add(peer)
            else:
                self.forget(peer)
        self.run()

    # -- one dial ------------------------------------------------------------------------------------------------------

    def _dial(self, peer: PeerInfo, by_application: bool = False) -> Link:
        self.queue.discard(peer)
        self.retry.discard(peer)
        link = Link(self._links.new_id(), peer, True, State.PENDING, by_application=by_application)
        self._links.add(link)
        if self._context.expects(peer.public_key) and not by_application:
            # one of two connections would have to go again, and the application would see it come and go
            patience = self._context.schedule.at(self._context.expected[peer.public_key], lambda: self._begin(link))
            link.cancel_wait = patience.cancel
        else:
            self._begin(link)
        return link

    def _begin(self, link: Link) -> None:
        peer = link.peer
        if self._gate.enabled:
            link.cancel_wait = self._gate.ask(
                peer.public_key, peer.topics, False, lambda verdict: self._answered(link, verdict)
            )
        else:
            self._start(link)

    def _answered(self, link: Link, verdict: Verdict) -> None:
        if self._links.get(link.id) is not link:
            return  # given up meanwhile; a refused peer is banned, which gives its dial up
        if verdict is Verdict.ALLOWED:
            self._start(link)
        else:
            self._failed(link, link.peer.error(Reason.REFUSED))

    def _start(self, link: Link) -> None:
        peer = link.peer
        link.state = State.DIALLING
        self._context.counters.attempted += 1
        self._context.effects.dial(link.id, peer.public_key, peer.relay_addresses)
        self._context.emit(DialStarted(peer.public_key, peer.attempts))

    def opened(self, link: Link, messages: Messages) -> None:
        """A dial opened. When the peer dials as well, and its connection is the one that will stay, the application
        need not see this one come and go: it waits until the other opens, or for `EXPECTED` seconds."""
        peer = link.peer
        if not link.held and peer.public_key > self._context.own_key and self._context.expects(peer.public_key):
            link.held = True
            self._context.schedule.at(self._context.expected[peer.public_key], lambda: self._release(link, messages))
        else:
            self._opened(link, messages)

    def _release(self, link: Link, messages: Messages) -> None:
        if self._links.get(link.id) is link:
            self._opened(link, messages)

    def _opened(self, link: Link, messages: Messages) -> None:
        self._links.opened(link)
        self.close_rival(link)
        self._hand_out(link, messages)

    def adopt(self, link: Link, messages: Messages) -> None:
        """A dial that the table does not know by its key is the connection now."""
        link.state = State.OPEN
        self._links.add(link)
        self._hand_out(link, messages)

    def _hand_out(self, link: Link, messages: Messages) -> None:
        link.messages = messages
        link.peer.connected(self._context.schedule.now)
        self._context.counters.dialled += 1
        waiters, link.waiters = link.waiters, []
        self.welcome(link, waiters)
        self.run()

    def failed(self, link: Link, error: ConnectError) -> None:
        self._context.counters.failed += 1
        self._failed(link, error)

    def _failed(self, link: Link, error: ConnectError) -> None:
        peer = link.peer
        self._links.remove(link)
        rival = self._links.take_rival(link)
        peer.last_error = error
        soon = error.reason is Reason.NOT_CONFIRMED and peer.hangs_up(self._context.schedule.now)
        if not soon:
            peer.disconnected(self._context.schedule.now)
        replaced = rival is not None and self._promote(rival, link.waiters)
        will_retry = not replaced and self._context.running and peer.wanted and self.retry.add(peer, soon)
        self._context.emit(DialFailed(error, peer.public_key, will_retry))
        if not replaced:
            self.forget(peer)
            self.flushes.tried(peer.public_key)
            for on_result in link.waiters:
                on_result(error)
        self.run()

    def withdraw(self, link: Link, reason: Reason) -> list[Waiter]:
        """Take back a dial that is no connection yet, at no cost to the peer. Returns who waits for one."""
        self._links.remove(link)
        if link.cancel_wait is not None:
            link.cancel_wait()
        if link.state is State.DIALLING:
            self._context.counters.failed += 1
            self._context.effects.close(link.id, reason)
        return link.waiters

    def withdraw_successor(self, link: Link) -> None:
        """Take back the dial that is to replace a connection."""
        successor = self._links.take_successor(link)
        if successor is not None:
            self._context.counters.failed += 1
            self._context.effects.close(successor.id, Reason.DUPLICATE_CONNECTION)

    def _give_up(self, link: Link, reason: Reason) -> None:
        """Take back a dial, and disappoint who waits for it."""
        self.close_rival(link, reason)
        for on_result in self.withdraw(link, reason):
            on_result(link.peer.error(reason))

    def _clear(self, link: Link, reason: Reason = Reason.DUPLICATE_CONNECTION) -> None:
        """Nothing takes the place of this open connection."""
        self.withdraw_successor(link)
        self.close_rival(link, reason)

    def close_rival(self, link: Link, reason: Reason = Reason.DUPLICATE_CONNECTION) -> None:
        """Close the connection that waits for this one's place."""
        rival = self._links.take_rival(link)
        if rival is not None:
            self._context.effects.close(rival.id, reason)

    # -- any connection ------------------------------------------------------------------------------------------------

    def welcome(self, link: Link, waiters: list[Waiter]) -> None:
        """Hand out an open connection: to who asked for this peer, else to the application at large."""
        peer = link.peer
        self.queue.discard(peer)
        self.retry.discard(peer)
        self._context.emit(ConnectionOpened(peer.public_key, link.is_initiator))
        if not waiters:
            self._context.effects.deliver(link.id, peer)
        for on_result in waiters:
            on_result(link.id)
        self.flushes.tried(peer.public_key)

    def remove(self, link: Link, error: Exception | None) -> None:
        """An open connection ended."""
        self._clear(link)
        self._links.remove(link)
        link.peer.last_error, link.peer.ended = error, True
        if link.is_initiator:
            self._context.counters.dialled_closed += 1
        else:
            self._context.counters.accepted_closed += 1
        self._context.emit(ConnectionClosed(link.peer.public_key, link.is_initiator, error))

    def closed(self, link: Link, error: Exception | None) -> None:
        """An open connection ended by itself. One that waits takes its place, or who dialled dials again: both at once
        would collide.

        If it broke, the other side dials once as well, much later: a peer that did not get through four times in a row
        gives up until it looks again, which takes ten minutes.
        """
        peer = link.peer
        rival = self._links.take_rival(link)
        successor = self._links.take_successor(link) if rival is None else None
        self.remove(link, error)
        if rival is not None and self._promote(rival, []):
            return
        if successor is not None:
            self._links.add(successor)
        elif link.is_initiator:
            peer.disconnected(self._context.schedule.now)
            if self._context.running and peer.wanted:
                self.retry.add(peer)
        elif error is not None and self._context.running and peer.wanted:
            self.retry.add_once(peer)
        self.forget(peer)
        self.run()

    def _share(self, peer: PeerInfo, on_result: Waiter) -> None:
        link = self._links.of(peer.public_key)
        if link is not None and link.state is State.OPEN:
            on_result(link.id)
        else:
            on_result(peer.error(Reason.PEER_CONNECTION_FAILED, "opened"))  # it ended in this very moment

    def forget(self, peer: PeerInfo) -> None:
        """Drop what is known of a peer, unless there is a reason to keep it."""
        if not (peer.explicit or peer in self.queue or peer in self.retry or peer.public_key in self._links):
            self._book.forget(peer)

    def stop(self, close_open: bool, reason: Reason) -> None:
        """No dial any more; nobody waits any longer. The phase has changed already."""
        self.queue.clear()
        self.retry.clear()
        for link in self._links:
            if link.state is not State.OPEN:
                self._give_up(link, reason)
                continue
            self._clear(link, reason)
            if close_open:
                self._context.effects.close(link.id, reason)
                self.remove(link, None)
        for peer in self._book:
            peer.reset()
            peer.connected_at = None
            self.forget(peer)
        self.flushes.release(False)
