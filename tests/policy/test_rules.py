"""What holds whatever happens, in whatever order: one policy, driven at random."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from holepunch.address import Address
from holepunch.core import Schedule
from holepunch.errors import ConnectError, Reason
from swarm.policy import Limits, Policy
from swarm.topic import Topic
from tests.policy.notes import Notes

if TYPE_CHECKING:
    from collections.abc import Callable

    from holepunch.signaller import Cancel
    from swarm.policy import Session

OWN = b"\x05" * 32
KEYS = [bytes([number]) * 32 for number in range(1, 10) if number != 5]
TOPICS = [Topic.from_name(name) for name in "ab"]
NODE = Address("10.0.0.1", 1)

keys = st.sampled_from(KEYS)
topics = st.sampled_from(TOPICS)


class Rules(RuleBasedStateMachine):
    @initialize(
        limits=st.builds(
            Limits,
            max_peers=st.integers(1, 4),
            max_parallel=st.integers(1, 3),
            max_client_connections=st.sampled_from([None, 1, 2]),
            max_server_connections=st.sampled_from([None, 1, 2]),
        ),
        asks=st.booleans(),
        seed=st.integers(0, 99),
    )
    def begin(self, limits: Limits, asks: bool, seed: int) -> None:
        self.schedule = Schedule()
        self.world = Notes(OWN, self.schedule)
        self.limits = limits
        self.policy = Policy(OWN, self.schedule, random.Random(seed), self.world, limits=limits, asks=asks)
        self.sessions: list[Session] = []
        self.beyond_limits: set[bytes] = set()
        """Keys that were ever named by the application."""
        self.banned: set[bytes] = set()
        self.due: list[list[object]] = []
        """What each callable that must be called once was called with."""
        self.cancels: list[tuple[Cancel, list[object]]] = []
        self.closed: list[int] = []

    def once(self) -> Callable[..., None]:
        calls: list[object] = []
        self.due.append(calls)

        def call(*given: object) -> None:
            assert not calls, "called twice"
            calls.append(given)

        return call

    # The application

    @rule(topic=topics, server=st.booleans(), limit=st.sampled_from([None, 1, 3]))
    def join(self, topic: Topic, server: bool, limit: int | None) -> None:
        session = self.policy.join(topic, server=server, client=not server or limit != 1, limit=limit)
        session.flushed(self.once())
        self.sessions.append(session)

    @precondition(lambda self: self.sessions)
    @rule(data=st.data(), topic_too=st.booleans())
    def leave(self, data: st.DataObject, topic_too: bool) -> None:
        session = data.draw(st.sampled_from(self.sessions))
        if topic_too:
            self.policy.leave(session.topic, self.once())
        else:
            session.leave(self.once())

    @precondition(lambda self: any(not session.ended for session in self.sessions))
    @rule(data=st.data(), server=st.booleans())
    def refresh(self, data: st.DataObject, server: bool) -> None:
        session = data.draw(st.sampled_from([session for session in self.sessions if not session.ended]))
        session.refresh(server=server, client=True)

    @rule(key=st.sampled_from([*KEYS, OWN]))
    def join_peer(self, key: bytes) -> None:
        self.beyond_limits.add(key)
        self.policy.join_peer(key)

    @rule(key=keys)
    def leave_peer(self, key: bytes) -> None:
        self.policy.leave_peer(key)

    @rule(key=keys)
    def connect(self, key: bytes) -> None:
        self.beyond_limits.add(key)
        call = self.once()
        self.cancels.append((self.policy.connect(key, call), self.due[-1]))
        assert not self.due[-1], "called before it returned"

    @precondition(lambda self: self.cancels)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        cancel, calls = self.cancels.pop(data.draw(st.integers(0, len(self.cancels) - 1)))
        cancel()
        if not calls:
            calls.append("cancelled")

    @rule(topic=topics, key=st.sampled_from([*KEYS, OWN]))
    def remember(self, topic: Topic, key: bytes) -> None:
        self.policy.remember(topic, key, [NODE])

    @rule(key=keys, seconds=st.sampled_from([None, 3.0]), own_name=st.booleans())
    def ban(self, key: bytes, seconds: float | None, own_name: bool) -> None:
        peer = self.policy.peers.get(key)
        if own_name or peer is None:
            lasts = peer is not None and peer.banned
            self.policy.ban(key, "for the test", seconds)
            if lasts:
                return  # as long as it did before
        else:
            peer.ban(seconds)
        if seconds is None:
            self.banned.add(key)
        else:
            self.banned.discard(key)

    @rule(key=keys)
    def unban(self, key: bytes) -> None:
        self.banned.discard(key)
        if key in self.policy.peers:
            self.policy.peers[key].unban()

    @rule(key=keys, value=st.booleans())
    def reconnect(self, key: bytes, value: bool) -> None:
        if key in self.policy.peers:
            self.policy.peers[key].reconnect = value

    @rule()
    def flush(self) -> None:
        self.policy.flush(self.once())

    @rule()
    def suspend(self) -> None:
        self.policy.suspend(self.once())
        assert not self.world.open
        assert not self.world.dials
        assert not any(query.active for query in self.world.searches)
        stats = self.policy.stats()
        assert (stats.queued, stats.waiting, stats.connections, stats.connecting) == (0, 0, 0, 0)

    @rule()
    def resume(self) -> None:
        self.policy.resume()

    # The network

    @precondition(lambda self: self.world.dials)
    @rule(data=st.data(), reason=st.sampled_from([None, Reason.PEER_NOT_FOUND, Reason.CANNOT_HOLEPUNCH]))
    def dial_ends(self, data: st.DataObject, reason: Reason | None) -> None:
        link = data.draw(st.sampled_from(sorted(self.world.dials)))
        key = self.world.dials.pop(link)
        if reason is None:
            self.world.open[link] = (key, True)
            self.policy.dial_opened(link, lambda: (0, 0))
        else:
            self.policy.dial_failed(link, ConnectError(reason))
            self.closed.append(link)

    @rule(key=st.sampled_from([*KEYS, OWN]), messages=st.sampled_from([(0, 0), (9, 9)]))
    def comes_in(self, key: bytes, messages: tuple[int, int]) -> None:
        link = self.policy.new_link()
        self.world.open[link] = (key, False)
        self.policy.accepted(link, key, lambda: messages)

    @rule(key=st.sampled_from([*KEYS, OWN]))
    def asks_to_come_in(self, key: bytes) -> None:
        self.policy.admit(key, self.once())

    @precondition(lambda self: self.world.open)
    @rule(data=st.data(), error=st.sampled_from([None, ConnectError(Reason.PEER_CONNECTION_FAILED)]))
    def ends(self, data: st.DataObject, error: Exception | None) -> None:
        link = data.draw(st.sampled_from(sorted(self.world.open)))
        del self.world.open[link]
        self.closed.append(link)
        self.policy.closed(link, error)

    @precondition(lambda self: self.world.open)
    @rule(data=st.data(), stalled=st.booleans())
    def stalls_or_revives(self, data: st.DataObject, stalled: bool) -> None:
        link = data.draw(st.sampled_from(sorted(self.world.open)))
        if stalled:
            self.policy.stalled(link)
        else:
            self.policy.revived(link)

    @precondition(lambda self: self.world.pings)
    @rule(data=st.data())
    def peer_answers(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self.world.pings)).answered = True

    @precondition(lambda self: self.closed)
    @rule(data=st.data())
    def late_reports(self, data: st.DataObject) -> None:
        link = data.draw(st.sampled_from(self.closed))
        self.policy.closed(link, None)
        self.policy.stalled(link)
        self.policy.revived(link)
        self.policy.dial_opened(link, lambda: (0, 0))
        self.policy.dial_failed(link, ConnectError(Reason.PEER_NOT_FOUND))

    @precondition(lambda self: any(query.active for query in self.world.searches))
    @rule(data=st.data(), found=st.lists(st.sampled_from([*KEYS, OWN]), max_size=6), ok=st.booleans())
    def search_ends(self, data: st.DataObject, found: list[bytes], ok: bool) -> None:
        query = data.draw(st.sampled_from([query for query in self.world.searches if query.active]))
        query.closest = [NODE]
        for key in found:
            if query.active:
                query.on_found(key, [NODE])
        if query.active:
            query.active = False
            query.on_end(ok)

    @precondition(lambda self: self.world.unannounces)
    @rule()
    def unannounced(self) -> None:
        self.world.unannounces.pop()()

    @precondition(lambda self: self.world.questions)
    @rule(data=st.data(), allowed=st.sampled_from([True, False, None]))
    def answer(self, data: st.DataObject, allowed: bool | None) -> None:
        question = data.draw(st.sampled_from(sorted(self.world.questions)))
        key = self.world.questions.pop(question)
        self.policy.answer(question, allowed)
        if key in self.policy.peers and self.policy.peers[key].banned:
            self.banned.discard(key)  # perhaps for other reasons than before

    @rule()
    def network_changes(self) -> None:
        self.policy.network_changed()

    @rule()
    def wakes_up(self) -> None:
        self.policy.woke_up()

    @rule(seconds=st.sampled_from([0.0, 0.3, 1.0, 3.5, 20.0, 800.0]))
    def time_passes(self, seconds: float) -> None:
        until = self.schedule.now + seconds
        for _ in range(10_000):
            if self.schedule.deadline() > until:
                break
            self.schedule.advance(self.schedule.deadline())
        else:
            raise AssertionError("the policy never comes to rest")
        self.schedule.advance(until)
        if seconds >= 3.5:
            self.world.questions.clear()  # unanswered by now

    # What holds

    @invariant()
    def there_is_at_most_one_connection_for_each_key(self) -> None:
        rivals = {link.rival.id for link in self.policy._links if link.rival is not None}
        open_keys = [key for link, (key, _) in self.world.open.items() if link not in rivals]
        assert len(set(open_keys)) == len(open_keys)
        assert OWN not in open_keys
        dialled = {link.peer.public_key for link in self.policy._links.dialling.values()}
        for link, (key, _) in self.world.open.items():
            if link not in rivals and key not in dialled:  # else it is not handed out yet
                assert self.policy.connection(key) == link

    @invariant()
    def no_limit_is_exceeded(self) -> None:
        links = self.policy._links
        others = {link.peer.public_key for link in links} - self.beyond_limits
        assert len(others) <= self.limits.max_peers
        own = sum(not link.by_application for link in links.dialling.values())
        assert own + links.successors <= self.limits.max_parallel
        if self.limits.max_server_connections is not None:
            assert links.servers <= self.limits.max_server_connections
        if self.limits.max_client_connections is not None:
            clients = {link.peer.public_key for link in links if link.is_initiator} - self.beyond_limits
            assert len(clients) <= self.limits.max_client_connections

    @invariant()
    def the_table_of_links_counts_right(self) -> None:
        links = list(self.policy._links)
        assert self.policy._links.clients == sum(link.is_initiator for link in links)
        assert self.policy._links.servers == sum(not link.is_initiator for link in links)
        rivals = [link.rival.id for link in links if link.rival is not None]
        assert {link.id for link in links if link.id in self.world.open} | set(rivals) == set(self.world.open)
        successors = {link.successor.id for link in links if link.successor is not None}
        assert self.policy._links.successors == len(successors)
        assert {*self.world.dials} <= {*self.policy._links.dialling} | successors
        assert successors <= {*self.world.dials}

    @invariant()
    def no_peer_is_forgotten_or_dialled_while_banned(self) -> None:
        for key in self.banned:
            assert self.policy.peers[key].banned
            assert key not in self.world.dials.values()

    @invariant()
    def a_peer_is_remembered_exactly_as_long_as_there_is_a_reason(self) -> None:
        dialler, links = self.policy._dialler, self.policy._links
        for key, peer in self.policy.peers.items():
            places = [peer in dialler.queue, peer in dialler.retry, key in links]
            assert sum(places) <= 1
            assert any(places) or peer.banned or peer.explicit
            if peer in dialler.queue or peer in dialler.retry:
                assert peer.wanted
                assert not peer.banned
        for peer in [*dialler.queue, *dialler.explicit, *(link.peer for link in links)]:
            assert self.policy.peers[peer.public_key] is peer

    @invariant()
    def counts_add_up(self) -> None:
        stats = self.policy.stats()
        dialled = stats.dialled
        held = {link.id for link in self.policy._links.dialling.values() if link.held}
        assert dialled.attempted == dialled.opened + dialled.failed + len(self.world.dials) + len(held)
        mine = [link for link in self.policy._links if link.id in self.world.open and link.id not in held]
        assert dialled.opened - dialled.closed == sum(link.is_initiator for link in mine)
        assert stats.accepted.opened - stats.accepted.closed == sum(not link.is_initiator for link in mine)
        assert stats.connections == len(mine)

    def teardown(self) -> None:
        if not hasattr(self, "policy"):
            return
        self.policy.close(self.once())
        while self.world.unannounces:
            self.world.unannounces.pop()()
        self.time_passes(20.0)
        assert not any(query.active for query in self.world.searches)
        assert not self.world.dials
        assert all(self.due), "a callable was never called"
        for link in list(self.world.open):
            del self.world.open[link]
            self.policy.closed(link, None)
        assert all(peer.banned or peer.explicit for peer in self.policy.peers.values())
        assert self.policy.topics == []


Rules.TestCase.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)
TestRules = Rules.TestCase
