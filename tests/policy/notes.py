"""What one policy asks for, noted and checked, and carried out by nobody: for tests that drive it at random."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from holepunch.address import Address
    from holepunch.core import Schedule
    from holepunch.errors import Reason
    from swarm.policy import Event, PeerInfo
    from swarm.topic import Topic

__all__ = ["Notes", "Ping", "Query"]


@dataclass(eq=False)
class Query:
    topic: Topic
    on_found: Callable[[bytes, Sequence[Address]], None]
    on_end: Callable[[bool], None]
    closest: Sequence[Address] = ()
    active: bool = True

    def cancel(self) -> None:
        self.active = False


@dataclass(eq=False)
class Ping:
    due: float
    answered: bool = False


class Notes:
    """Effects that only note what was asked for, and check that it may be asked for."""

    def __init__(self, own_key: bytes, schedule: Schedule) -> None:
        self.own_key = own_key
        self.schedule = schedule
        self.pings: list[Ping] = []
        self.dials: dict[int, bytes] = {}
        self.open: dict[int, tuple[bytes, bool]] = {}
        self.searches: list[Query] = []
        self.unannounces: list[Callable[[], None]] = []
        self.questions: dict[int, bytes] = {}
        self.delivered: list[int] = []

    def dial(self, link: int, public_key: bytes, relay_addresses: Sequence[Address]) -> None:
        assert public_key != self.own_key
        assert public_key not in self.dials.values()
        self.dials[link] = public_key

    def close(self, link: int, reason: Reason) -> None:
        known = self.dials.pop(link, None) is not None
        assert known ^ (self.open.pop(link, None) is not None)

    def ping(self, link: int) -> Ping | None:
        assert link in self.open
        self.pings.append(Ping(self.schedule.now + 0.5))
        return self.pings[-1]

    def deliver(self, link: int, peer: PeerInfo) -> None:
        assert link not in self.delivered
        assert self.open[link][0] == peer.public_key
        self.delivered.append(link)

    def lookup(self, topic: Topic, nodes: Any, withdraw: bool, on_found: Any, on_end: Any) -> Query:
        assert not any(query.active and query.topic == topic for query in self.searches)
        query = Query(topic, on_found, on_end)
        self.searches.append(query)
        return query

    def announce(self, topic: Topic, nodes: Any, clear: bool, on_found: Any, on_end: Any) -> Query:
        return self.lookup(topic, nodes, False, on_found, on_end)

    def unannounce(self, topic: Topic, nodes: Any, on_end: Any) -> None:
        assert not any(query.active and query.topic == topic for query in self.searches)
        self.unannounces.append(on_end)

    def ask(self, question: int, public_key: bytes, topics: Sequence[Topic]) -> None:
        self.questions[question] = public_key

    def refused(self, public_key: bytes, obstacle: str) -> None:
        pass

    def topics_changed(self) -> None:
        pass

    def emit(self, event: Event) -> None:
        hash(event)
