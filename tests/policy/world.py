"""Policies against each other: an in-memory DHT, dials and connections on one virtual clock. No swarm, no packets."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from holepunch.address import Address
from holepunch.core import Entry, Schedule
from holepunch.errors import Attempt, ConnectError, Reason
from holepunch.keys import PublicKey
from swarm.policy import Policy
from swarm.topic import Topic

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from swarm.policy import Event, PeerInfo

MAX_STEPS = 200_000
PATIENCE = 0.5
NODES = (Address("10.0.0.1", 1), Address("10.0.0.2", 2))


class Bug(ConnectError):
    """Raised for a connection that the network of the test broke."""

    def __init__(self, reason: Reason = Reason.PEER_CONNECTION_FAILED) -> None:
        super().__init__(reason, Attempt())


@dataclass(eq=False)
class End:
    """One end of a connection."""

    host: Host
    link: int
    is_initiator: bool
    open: bool = False
    """The policy of this end knows it as a connection."""
    gone: bool = False
    read: int = 0
    written: int = 0
    other: End | None = None

    @property
    def remote(self) -> Host:
        assert self.other is not None
        return self.other.host


@dataclass(eq=False)
class Ping:
    due: float
    answered: bool = False


@dataclass(eq=False)
class Query:
    closest: Sequence[Address] = ()
    entries: list[Entry] = field(default_factory=list)

    def cancel(self) -> None:
        for entry in self.entries:
            entry.cancel()


class Host:
    """One swarm: the effects of its policy, carried out in the world."""

    def __init__(self, world: World, number: int, **options: Any) -> None:
        self.world = world
        self.public_key = PublicKey(number.to_bytes(4, "big") * 8)
        self.alive = True
        self.reachable = True
        """Dials to it get through."""
        self.hangs_up = False
        """It ends those that do, as a Node peer that holds another connection for alive."""
        self.allow: Callable[[bytes], bool | None] | None = None
        self.asked: list[bytes] = []
        self.asked_topics: list[tuple[Topic, ...]] = []
        self.events: list[Event] = []
        self.refusals: list[tuple[bytes, str]] = []
        self.delivered: list[End] = []
        self.on_connection: Callable[[End, PeerInfo], None] | None = None
        self.on_close: Callable[[int, Reason], None] | None = None
        self.dials: list[tuple[float, Host]] = []
        self.pinged: list[int] = []
        self.searches: list[tuple[float, str]] = []
        self.find: Callable[[bytes, Sequence[Address]], None] | None = None
        """Reports a peer to its latest search."""
        self.ends: dict[int, End] = {}
        self.policy = Policy(self.public_key, world.schedule, world.rng, self, **options)

    def __repr__(self) -> str:
        return f"Host({self.public_key[3]})"

    @property
    def open(self) -> list[End]:
        """Its connections of now."""
        return [end for end in self.ends.values() if end.open]

    @property
    def remotes(self) -> list[Host]:
        return sorted((end.remote for end in self.open), key=lambda host: host.public_key)

    def info(self, other: Host) -> PeerInfo:
        return self.policy.peers[other.public_key]

    def seen(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def end(self, end: End, error: Exception | None = None) -> None:
        """The application, or the path, ends a connection."""
        assert end.open
        self.world.cut(end)
        self.policy.closed(end.link, error)

    def talk(self, other: Host) -> None:
        """Messages go both ways."""
        for end in self.open:
            if end.remote is other and end.other is not None:
                for side in (end, end.other):
                    side.read += 10
                    side.written += 10

    # Effects

    def dial(self, link: int, public_key: PublicKey, relay_addresses: Sequence[Address]) -> None:
        self.ends[link] = End(self, link, True)
        self.world.dial(self.ends[link], public_key)

    def close(self, link: int, reason: Reason) -> None:
        if self.on_close is not None:
            self.on_close(link, reason)
        end = self.ends.get(link)
        if end is not None:
            self.world.cut(end, Bug(reason))

    def ping(self, link: int) -> Ping:
        self.pinged.append(link)
        return self.world.ping(self.ends[link])

    def deliver(self, link: int, peer: PeerInfo) -> None:
        end = self.ends[link]
        self.delivered.append(end)
        if self.on_connection is not None:
            on_connection = self.on_connection
            self.world.schedule.after(0, lambda: on_connection(end, peer))

    def lookup(
        self,
        topic: Topic,
        nodes: Sequence[Address],
        withdraw: bool,
        on_found: Callable[[bytes, Sequence[Address]], None],
        on_end: Callable[[bool], None],
    ) -> Query:
        self.searches.append((self.world.schedule.now, "withdraw" if withdraw else "lookup"))
        return self.world.search(self, topic, on_found, on_end, removes=withdraw)

    def announce(
        self,
        topic: Topic,
        nodes: Sequence[Address],
        clear: bool,
        on_found: Callable[[bytes, Sequence[Address]], None],
        on_end: Callable[[bool], None],
    ) -> Query:
        self.searches.append((self.world.schedule.now, "clear" if clear else "announce"))
        return self.world.search(self, topic, on_found, on_end, stores=True)

    def unannounce(self, topic: Topic, nodes: Sequence[Address], on_end: Callable[[], None]) -> None:
        self.searches.append((self.world.schedule.now, "unannounce"))

        def end() -> None:
            self.world.records.get(topic, {}).pop(self.public_key, None)
            on_end()

        self.world.schedule.after(self.world.delay(), end)

    def ask(self, question: int, public_key: PublicKey, topics: Sequence[Topic]) -> None:
        self.asked.append(public_key)
        self.asked_topics.append(tuple(topics))
        if self.allow is not None:
            allow = self.allow
            self.world.schedule.after(0, lambda: self.policy.answer(question, allow(public_key)))

    def refused(self, public_key: PublicKey, obstacle: str) -> None:
        self.refusals.append((public_key, obstacle))

    def topics_changed(self) -> None:
        pass

    def emit(self, event: Event) -> None:
        self.events.append(event)


class World:
    """The DHT and the network. A record is stored after it was looked up, as in HyperDHT's announce."""

    def __init__(self, seed: int = 1, jitter: float = 0.0) -> None:
        self.schedule = Schedule(1000.0)
        self.rng = random.Random(seed)
        self.jitter = jitter
        self.hosts: dict[bytes, Host] = {}
        self.records: dict[Topic, dict[bytes, tuple[Address, ...]]] = {}
        self.offline = False
        self.silence = 1.0
        """Seconds until a dial that nobody answers fails."""
        self.pong = 0.02
        """Seconds until a ping is answered, and `PATIENCE` those that it is waited for."""

    def host(self, number: int, **options: Any) -> Host:
        """A swarm; the bigger its number, the bigger its key. One of the same number takes the place of the older."""
        host = Host(self, number, **options)
        self.hosts[host.public_key] = host
        return host

    def delay(self) -> float:
        return 0.01 + self.jitter * self.rng.random()

    def run(self, seconds: float = 0.0) -> None:
        until = self.schedule.now + seconds
        for _ in range(MAX_STEPS):
            deadline = self.schedule.deadline()
            if deadline > until:
                self.schedule.advance(until)
                return
            self.schedule.advance(deadline)
        raise AssertionError("the world never comes to rest")

    def flush(self, *hosts: Host) -> list[bool]:
        """Every host's flush, at one time."""
        results: list[bool] = []
        for host in hosts:
            host.policy.flush(results.append)
        self.until(lambda: len(results) == len(hosts))
        return results

    def until(self, condition: Callable[[], bool], seconds: float = 60.0) -> None:
        until = self.schedule.now + seconds
        while not condition():
            assert self.schedule.deadline() <= until, "it never came to be"
            self.schedule.advance(self.schedule.deadline())

    def kill(self, host: Host) -> None:
        """As by SIGKILL: nothing is said, and the others notice after a while."""
        host.alive = False
        for end in list(host.ends.values()):
            end.gone, end.open = True, False
            end.host.ends.pop(end.link, None)
            other = end.other
            if other is not None:
                self.schedule.after(2.0, partial(self._lost, other, Bug()))

    # What effects lead to

    def search(
        self,
        host: Host,
        topic: Topic,
        on_found: Callable[[bytes, Sequence[Address]], None],
        on_end: Callable[[bool], None],
        stores: bool = False,
        removes: bool = False,
    ) -> Query:
        query = Query()
        host.find = on_found
        records = self.records.setdefault(topic, {})

        def look() -> None:
            if self.offline:
                on_end(False)
                return
            query.closest = NODES
            if removes:
                records.pop(host.public_key, None)
            found = list(records.items())
            self.rng.shuffle(found)
            for key, relays in found * 2:  # several nodes tell the same
                on_found(key, relays)
            if stores:
                query.entries.append(self.schedule.after(self.delay(), store))
            else:
                on_end(True)

        def store() -> None:
            if host.alive:
                records[host.public_key] = NODES[:1]
                on_end(True)

        query.entries.append(self.schedule.after(self.delay(), look))
        return query

    def dial(self, end: End, public_key: bytes) -> None:
        target = self.hosts.get(public_key)
        if target is not None:
            end.host.dials.append((self.schedule.now, target))

        def fail(reason: Reason) -> None:
            if not end.gone:
                end.gone = True
                end.host.ends.pop(end.link, None)
                end.host.policy.dial_failed(end.link, Bug(reason))

        def arrive() -> None:
            if target is None or not target.alive or not target.reachable:
                self.schedule.after(self.silence, lambda: fail(Reason.PEER_NOT_FOUND))
            elif target.hangs_up:
                fail(Reason.NOT_CONFIRMED)
            elif end.host.alive and not end.gone:
                target.policy.admit(end.host.public_key, decide)

        def decide(allowed: bool) -> None:
            if not allowed:
                self.schedule.after(self.silence, lambda: fail(Reason.PEER_CONNECTION_FAILED))
            elif target is not None and target.alive and not end.gone:
                end.other = End(target, target.policy.new_link(), False, other=end)
                self.schedule.after(self.delay(), lambda: self._opened(end))
                self.schedule.after(self.delay(), lambda: self._accepted(end))

        self.schedule.after(self.delay(), arrive)

    def _opened(self, end: End) -> None:
        if not end.gone:
            end.open = True
            end.host.policy.dial_opened(end.link, lambda: (end.read, end.written))

    def _accepted(self, dialled: End) -> None:
        end = dialled.other
        assert end is not None
        if not end.gone and end.host.alive:
            end.host.ends[end.link] = end
            end.open = True
            end.host.policy.accepted(end.link, dialled.host.public_key, lambda: (end.read, end.written))

    def ping(self, end: End) -> Ping:
        ping = Ping(self.schedule.now + PATIENCE)

        def answer() -> None:
            ping.answered = end.other is not None and not end.other.gone and end.other.host.alive

        self.schedule.after(self.pong, answer)
        return ping

    def cut(self, end: End, error: Bug | None = None) -> None:
        """One end closes: the other hears of it a little later."""
        if end.gone:
            return
        end.gone, end.open = True, False
        end.host.ends.pop(end.link, None)
        other = end.other
        if other is not None:
            self.schedule.after(self.delay(), lambda: self._lost(other, error))

    def _lost(self, end: End, error: Bug | None) -> None:
        if end.gone:
            return
        was_open, end.gone, end.open = end.open, True, False
        end.host.ends.pop(end.link, None)
        if not end.host.alive:
            return
        if was_open:
            end.host.policy.closed(end.link, error)
        elif end.is_initiator:
            end.host.policy.dial_failed(end.link, error or Bug())

    # What must hold

    def check(self) -> None:
        """At rest: one connection for each pair, the same at both ends, and each policy knows its own."""
        for host in self.hosts.values():
            remotes = host.remotes if host.alive else []
            assert len(set(remotes)) == len(remotes), f"{host} has two connections to one peer"
            for end in host.open:
                assert end.other is not None
                assert end.other.open, f"{host} holds a connection that {end.remote} does not"
                assert host.policy.connection(end.remote.public_key) == end.link
            if host.alive:
                assert host.policy.stats().connections == len(remotes)


TOPIC = Topic.from_name("the usual place")


def established(world: World, dialler: Host, server: Host) -> None:
    """A connection that ``dialler`` began; both keep the other in mind."""
    server.policy.join(TOPIC, client=False)
    world.flush(server)
    dialler.policy.join(TOPIC, server=False)
    world.run(1)
    assert dialler.remotes == [server]
