"""Everything that a swarm decides, in one pure core: its inputs. What each part decides is in the part.

**Nothing here waits.** A callable that is handed over is called exactly once, never before the method that took it has
returned; some are due at once, so the driver looks at the schedule's deadline after every call, as for any core.
Protocol: hyperswarm 4.17 index.js.
"""

from __future__ import annotations

from collections import ChainMap
from types import MappingProxyType
from typing import TYPE_CHECKING

from holepunch.errors import ConnectError, Reason
from holepunch.keys import PublicKey
from swarm.policy.accepting import Acceptor
from swarm.policy.context import Context, Limits, Phase
from swarm.policy.dialling import Dialler
from swarm.policy.events import PeerBanned
from swarm.policy.finding import Finder
from swarm.policy.gate import Gate, Verdict
from swarm.policy.links import Links, State
from swarm.policy.peers import PeerBook
from swarm.policy.rendezvous import Rendezvous
from swarm.policy.session import Session
from swarm.policy.stalling import Stalls

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from holepunch.address import Address
    from holepunch.core import Random, Schedule
    from holepunch.signaller import Cancel
    from swarm.policy.effects import Effects
    from swarm.policy.links import Messages, Waiter
    from swarm.policy.peers import PeerInfo
    from swarm.policy.retry import Backoffs
    from swarm.stats import Stats
    from swarm.topic import Topic

__all__ = ["Policy"]


class Policy:
    """Who to look for, to dial, to let in, to keep, to dial again.

    ``asks``: the application wants to be asked about each peer, through `Effects.ask`. ``turn`` is called
    before what the application asks of a `PeerInfo` is done, so that the schedule is told the time. ``backoffs`` and
    ``jitter`` are in seconds, see `retry`.
    """

    def __init__(
        self,
        public_key: bytes,
        schedule: Schedule,
        rng: Random,
        effects: Effects,
        *,
        limits: Limits | None = None,
        asks: bool = False,
        turn: Callable[[], None] = lambda: None,
        backoffs: Backoffs | None = None,
        jitter: float | None = None,
    ) -> None:
        self.public_key = PublicKey(public_key)
        self._context = Context(self.public_key, schedule, rng, effects, limits or Limits())
        self._links = Links()
        self._topics: dict[Topic, Rendezvous] = {}
        self._book = PeerBook(
            schedule, lambda peer: self._dialler.shun(peer), lambda peer: self._dialler.lifted(peer), turn
        )
        self._gate = Gate(self._context, asks, lambda key: self.ban(key, "Peer is firewalled"))
        self._dialler = Dialler(
            self._context,
            self._book,
            self._links,
            self._gate,
            lambda rival, waiters: self._acceptor.promote(rival, waiters),
            backoffs,
            jitter,
        )
        self._stalls = Stalls(self._context, self._links, self._dialler)
        self._finder = Finder(self._context, self._book, self._links, self._dialler)
        self._acceptor = Acceptor(self._context, self._book, self._links, self._gate, self._dialler)

    # -- what there is -------------------------------------------------------------------------------------------------

    @property
    def peers(self) -> Mapping[bytes, PeerInfo]:
        """Every peer that is remembered, by public key; a live view."""
        return MappingProxyType(self._book.by_key)

    @property
    def seen_peers(self) -> Mapping[bytes, PeerInfo]:
        """These, and those that were forgotten after a dial that failed or a connection that ended; a live view."""
        return MappingProxyType(ChainMap(self._book.by_key, self._book.recent))

    @property
    def topics(self) -> Sequence[Topic]:
        """The joined topics, in the order of joining."""
        return [topic for topic, rendezvous in self._topics.items() if rendezvous.sessions]

    @property
    def explicit_peers(self) -> Sequence[PublicKey]:
        return [peer.public_key for peer in self._dialler.explicit]

    @property
    def suspended(self) -> bool:
        return self._context.phase is Phase.SUSPENDED

    @property
    def connecting(self) -> int:
        """Dials in progress."""
        return len(self._links.dialling)

    def connection(self, public_key: bytes) -> int | None:
        """The link of the open connection to this peer."""
        link = self._links.of(public_key)
        return link.id if link is not None and link.state is State.OPEN else None

    def stats(self) -> Stats:
        from swarm.stats import Accepted, Dialled, Stats  # when asked for: importing a swarm takes long enough

        counts = self._context.counters
        return Stats(
            dialled=Dialled(counts.attempted, counts.dialled, counts.failed, counts.dialled_closed),
            accepted=Accepted(counts.accepted, counts.accepted_closed, counts.refused),
            updates=counts.updates,
            bans=counts.bans,
            connections=len(self._links) - self.connecting,
            connecting=self.connecting,
            queued=len(self._dialler.queue),
            waiting=len(self._dialler.retry),
            peers=len(self._book),
            topics=len(self.topics),
        )

    # -- topics --------------------------------------------------------------------------------------------------------

    def join(self, topic: Topic, *, server: bool = True, client: bool = True, limit: int | None = None) -> Session:
        """Announce a topic, look it up and dial who is found, until the session is left. Raises ``ValueError`` as
        `Session.refresh` does.

        A topic that is being left is joined anew once nothing of it is announced any more.
        """
        if self._context.phase is Phase.CLOSED:
            raise RuntimeError("the swarm is closed")
        rendezvous = self._topics.get(topic)
        if rendezvous is None:
            rendezvous = Rendezvous(topic, self._context, self._finder, self.suspended, lambda: self._drop(topic))
        session = Session(rendezvous, self.leave)
        rendezvous.sessions.append(session)
        try:
            session.refresh(server=server, client=client, limit=limit)
        except (TypeError, ValueError):
            rendezvous.sessions.remove(session)
            raise
        if len(rendezvous.sessions) == 1:
            self._topics.pop(topic, None)
            self._topics[topic] = rendezvous
            self._context.effects.topics_changed()
        return session

    def leave(self, topic: Topic, on_left: Callable[[], None]) -> None:
        """End every session of a topic. Its connections stay open, but are not dialled again for its sake."""
        rendezvous = self._topics.get(topic)
        if rendezvous is None:
            self._context.soon(on_left)
            return
        rendezvous.leave(on_left)
        self._context.effects.topics_changed()
        for peer in self._book.recent.values():
            peer.drop_topic(topic)
        self._dialler.unwanted(*[peer for peer in self._book if peer.drop_topic(topic) and not peer.wanted])

    def _drop(self, topic: Topic) -> None:
        self._topics.pop(topic, None)

    # -- peers ---------------------------------------------------------------------------------------------------------

    def remember(self, topic: Topic, public_key: bytes, relay_addresses: Sequence[Address]) -> None:
        """A peer of a joined topic from an earlier run: dialled at once, while the first look-up is on its way, unless
        the topic's limit is reached.

        It does not count as found, so that the topic is looked up as if nothing were known.
        """
        rendezvous = self._topics.get(topic)
        if rendezvous is not None and rendezvous.sessions and self._context.running and public_key != self.public_key:
            rendezvous.remember(public_key, relay_addresses)

    def shares(self, public_key: bytes, topic: Topic) -> None:
        """A peer has shown, over its connection, that it is in this topic. Nothing happens unless it is joined."""
        peer = self._book.get(public_key)
        if peer is not None and self._is_joined(topic):
            self._finder.shares(peer, topic)

    def _is_joined(self, topic: Topic) -> bool:
        rendezvous = self._topics.get(topic)
        return rendezvous is not None and bool(rendezvous.sessions)

    def join_peer(self, public_key: bytes) -> None:
        """Connect to this peer and dial it again for ever. The own key is ignored."""
        if public_key != self.public_key:
            self._dialler.join_peer(self._book.add(public_key))

    def leave_peer(self, public_key: bytes) -> None:
        """Dial it no more for its own sake. An open connection stays."""
        peer = self._book.get(public_key)
        if peer is not None and peer.explicit:
            self._dialler.leave_peer(peer)

    def connect(self, public_key: bytes, on_result: Waiter) -> Cancel:
        """Dial one peer at once, whatever the limits; a connection there is, or a dial in progress, is shared.

        ``on_result`` gets the link, which is then not delivered to the application at large, or a `ConnectError`. The
        connection that the peer may have begun meanwhile will do. Raises ``ValueError`` for the own key.
        """
        if public_key == self.public_key:
            raise ValueError("a swarm does not connect to its own public key")
        return self._dialler.connect(self._book.add(public_key), on_result)

    def ban(self, public_key: bytes, reason: str, seconds: float | None = None) -> None:
        """Ban a peer in the swarm's own name, and report it. An open connection stays open. How long who is banned
        already stays so is settled: nothing happens."""
        peer = self._book.add(public_key)
        if peer.banned:
            return
        self._book.refuse(peer, seconds)
        self._context.counters.bans += 1
        self._context.emit(PeerBanned(peer.public_key, reason, seconds))

    def answer(self, question: int, allowed: bool | None) -> None:
        """The application's answer to `Effects.ask`; ``None`` when it could not give one. A refused peer is banned."""
        verdict = Verdict.UNANSWERED if allowed is None else Verdict.ALLOWED if allowed else Verdict.REFUSED
        self._gate.answer(question, verdict)

    # -- connections ---------------------------------------------------------------------------------------------------

    def dial_opened(self, link: int, messages: Messages) -> None:
        """A dial became a connection: the peer's header verified."""
        entry = self._links.get(link)
        if entry is not None and entry.predecessor is not None:
            self._stalls.opened(entry.predecessor, messages)
        elif entry is not None and entry.state is State.DIALLING:
            self._dialler.opened(entry, messages)

    def dial_failed(self, link: int, error: ConnectError) -> None:
        entry = self._links.get(link)
        if entry is not None and entry.predecessor is not None:
            self._stalls.failed(entry.predecessor, error)
        elif entry is not None and entry.state is State.DIALLING:
            self._dialler.failed(entry, error)

    def stalled(self, link: int) -> None:
        """Nothing was acknowledged on an open connection for some seconds: its path may be gone."""
        entry = self._links.get(link)
        if entry is not None and entry.state is State.OPEN:
            self._stalls.stalled(entry)

    def revived(self, link: int) -> None:
        """Something came from the peer again."""
        entry = self._links.get(link)
        if entry is not None:
            self._stalls.revived(entry)

    def admit(self, public_key: bytes, decide: Callable[[bool], None], topics: Sequence[Topic] = ()) -> None:
        """A peer's handshake came in. ``decide(False)``: it is to hear nothing. ``topics``: those it showed."""
        self._acceptor.admit(public_key, decide, topics)

    def new_link(self) -> int:
        """The number under which the driver keeps a connection that came in."""
        return self._links.new_id()

    def accepted(self, link: int, public_key: bytes, messages: Messages) -> None:
        """A connection that came in is one: the peer's header verified. Not before, or a replayed handshake would
        replace a good connection."""
        self._acceptor.accepted(link, public_key, messages)

    def closed(self, link: int, error: Exception | None) -> None:
        """A connection ended by itself. Links that the policy closed, or never knew, are ignored."""
        entry = self._links.get(link)
        if entry is not None and entry.held and entry.state is State.DIALLING:
            self._dialler.failed(entry, entry.peer.error(Reason.PEER_CONNECTION_FAILED, "opened"))
            return
        if entry is None or entry.state is not State.OPEN:
            return
        primary = self._links.of(entry.peer.public_key)
        if primary is not None and primary is not entry:
            self._links.take_rival(primary)
        else:
            self._dialler.closed(entry, error)

    # -- the whole -----------------------------------------------------------------------------------------------------

    def flush(self, on_done: Callable[[bool], None]) -> None:
        """After every topic was refreshed, and every peer known by then was tried once or the limits let no more be
        tried. It promises no connection. False: a topic could not be refreshed, which is tried again by itself, or the
        swarm was suspended or closed before."""
        failed: list[Rendezvous] = []

        def refreshing(topic: Rendezvous) -> Callable[[Callable[[], None]], None]:
            def begin(then: Callable[[], None]) -> None:
                def ended(ok: bool) -> None:
                    if not ok:
                        failed.append(topic)
                    then()

                topic.flushed(ended)

            return begin

        self._after_all(
            [refreshing(topic) for topic in self._topics.values() if topic.sessions],
            lambda: self._flush_dials(on_done, failed),
        )

    def _flush_dials(self, on_done: Callable[[bool], None], failed: Sequence[Rendezvous]) -> None:
        if not self._context.running:
            on_done(False)
            return
        refreshed = not any(topic.sessions for topic in failed)  # one that was left meanwhile did not fail
        keys = [peer.public_key for peer in self._dialler.queue]
        keys += [link.peer.public_key for link in self._links.dialling.values()]
        if keys:
            self._dialler.flushes.add(keys, lambda tried: on_done(tried and refreshed))
            self._dialler.run()
        else:
            on_done(refreshed)

    def network_changed(self) -> None:
        """Interfaces changed, or the network is back: find out which connections are dead, and announce anew."""
        if self._context.running:
            self._probe()
            for rendezvous in list(self._topics.values()):
                rendezvous.renew()

    def woke_up(self) -> None:
        """The clock jumped: as `network_changed`, but the network may need a moment."""
        if self._context.running:
            self._probe()
            for rendezvous in list(self._topics.values()):
                rendezvous.renew_soon()

    def _probe(self) -> None:
        for link in self._links:
            if link.state is State.OPEN:
                self._context.effects.ping(link.id)

    def suspend(self, on_done: Callable[[], None]) -> None:
        """Close every connection, unannounce every topic, dial and accept nothing until `resume`."""
        self._stop(Phase.SUSPENDED, on_done)

    def resume(self) -> None:
        if self.suspended:
            self._context.phase = Phase.RUNNING
            for rendezvous in list(self._topics.values()):
                rendezvous.resume()
            self._dialler.run()

    def close(self, on_done: Callable[[], None]) -> None:
        """Leave every topic, dial and accept nothing any more. Open connections are left to the driver."""
        self._stop(Phase.CLOSED, on_done)

    def _stop(self, phase: Phase, on_done: Callable[[], None]) -> None:
        if self._context.phase is not Phase.CLOSED:
            self._context.phase = phase
        suspending = phase is Phase.SUSPENDED
        self._dialler.stop(suspending, Reason.SUSPENDED if suspending else Reason.REFUSED)
        self._gate.close()
        topics = list(self._topics.values())
        self._after_all((r.suspend if suspending else r.leave for r in topics), on_done)

    def _after_all(self, begins: Iterable[Callable[[Callable[[], None]], None]], on_done: Callable[[], None]) -> None:
        """Begin each, and call back when the last has called back."""
        begins = list(begins)
        left = len(begins)
        if not left:
            self._context.soon(on_done)

        def one_done() -> None:
            nonlocal left
            left -= 1
            if not left:
                on_done()

        for begin in begins:
            begin(one_done)
