"""What `make nat-matrix` runs: pairs of peers, each behind routers of some kind, and what each group should reach."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.nat.lab import Lab, Place

__all__ = ["CORE", "GOALS", "Goal", "Job", "matrix", "rebinds", "special"]

CORE = ("open", "firewall", "fullcone", "restricted", "home", "home-rand", "symmetric", "symmetric-seq", "cgnat")
RANDOM = {"symmetric", "symmetric-seq", "addrdep", "cgnat-symmetric"}

Rebind = Literal["flush", "ports", "address"]


@dataclass(frozen=True)
class Goal:
    """Seconds until data went both ways: the median, and what nine of ten runs stay below. For pairs that cannot
    connect: until the error that says so. For rebinding: until data goes both ways again."""

    median: float
    ninety: float
    fails: bool = False

    def __str__(self) -> str:
        what = "told" if self.fails else "met"
        return f"{what} in {self.median:g}, 90 % {self.ninety:g}"


GOALS = {
    "no random NAT": Goal(0.30, 0.40),
    "no random NAT, relay": Goal(0.30, 0.40),
    "random against consistent": Goal(3, 8),
    "sequential against consistent": Goal(1.5, 8),
    "random server, relay": Goal(1.3, 1.4),
    "random client, relay": Goal(1.3, 1.4),
    "random twice": Goal(15, 15, fails=True),
    "sequential twice": Goal(15, 15),
    "random twice, relay": Goal(0.5, 0.6),
    "same network": Goal(0.3, 0.4),
    "one carrier, no hairpin": Goal(15, 15, fails=True),
    "one carrier, no hairpin, relay": Goal(3, 3),
    "one carrier, hairpin": Goal(1.0, 1.2),
    "same private address": Goal(0.3, 0.4),
    "forwarded port": Goal(0.3, 5),
    "routers that answer": Goal(0.3, 0.4),
    "5 % loss": Goal(1.0, 2.5),
    "80 ms": Goal(1.2, 1.4),
    "random, 5 % loss": Goal(3, 8),
    "random, 80 ms": Goal(5.7, 9),
    "UDP blocked": Goal(15, 15, fails=True),
    "flushed client": Goal(0.4, 1),
    "flushed server": Goal(5.3, 5.5),
    "moved client": Goal(6, 6),
    "moved server": Goal(10, 10),
}


@dataclass
class Job:
    """One pair, and what came of its runs."""

    group: str
    name: str
    place: Callable[[Lab], tuple[Place, Place]]
    relay: bool = False
    rebind: Rebind | None = None
    side: Literal["server", "client"] = "client"
    seconds: list[float] = field(default_factory=list)
    direct: list[float] = field(default_factory=list)
    """Seconds until the path was direct, where it became so."""
    relayed: int = 0
    """Runs whose first path led through the relay."""
    failures: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        parts = []
        if self.seconds and not GOALS[self.group].fails:
            parts.append(f"{'R' if self.relayed else 'D'} {statistics.median(self.seconds):.2f}")
        if self.relayed and self.direct:
            parts.append(f"direct {statistics.median(self.direct):.1f}")
        return ", ".join([*parts, *dict.fromkeys(self.failures)])


def _pair(server: str, client: str, **options: Any) -> Callable[[Lab], tuple[Place, Place]]:
    return lambda lab: (lab.place(server, **options), lab.place(client, **options))


def _group(server: str, client: str, relay: bool) -> str:
    random = [kind for kind in (server, client) if kind in RANDOM]
    if not random:
        return "no random NAT, relay" if relay else "no random NAT"
    if len(random) == 2:
        return (
            "random twice, relay"
            if relay
            else "sequential twice"
            if set(random) == {"symmetric-seq"}
            else "random twice"
        )
    if relay:
        return "random server, relay" if server in RANDOM else "random client, relay"
    return "sequential against consistent" if random == ["symmetric-seq"] else "random against consistent"


def matrix(kinds: tuple[str, ...], *, relay: bool) -> Iterator[Job]:
    """Every kind against every other."""
    for server in kinds:
        for client in kinds:
            yield Job(_group(server, client, relay), f"{server} – {client}", _pair(server, client), relay=relay)


def _neighbours(kind: str) -> Callable[[Lab], tuple[Place, Place]]:
    def place(lab: Lab) -> tuple[Place, Place]:
        home = lab.place(kind)
        return home, type(home)(lab.neighbour(home.routers[0]), home.routers)

    return place


def _carrier(kind: str) -> Callable[[Lab], tuple[Place, Place]]:
    def place(lab: Lab) -> tuple[Place, Place]:
        one = lab.place(kind)
        return one, lab.behind(one.routers[-1])

    return place


def special() -> Iterator[Job]:
    """Pairs that a plain table cannot show."""
    for kind in ("home", "home-hairpin", "symmetric"):
        yield Job("same network", f"behind one {kind}", _neighbours(kind))
    yield Job("one carrier, no hairpin", "two homes", _carrier("cgnat"))
    yield Job("one carrier, no hairpin, relay", "two homes", _carrier("cgnat"), relay=True)
    yield Job("one carrier, hairpin", "two homes", _carrier("cgnat-hairpin"))
    yield Job("same private address", "two homes", _pair("home", "home", lan="192.168.1.0/24"))
    for kind in ("home", "symmetric"):
        yield Job("forwarded port", f"dmz – {kind}", _pair("dmz", kind))
    for answer in ("accept", "reject"):
        yield Job("routers that answer", answer, _pair("home", "home", wan_input=answer))
    for server, client in (
        ("addrdep", "home"),
        ("home", "addrdep"),
        ("cgnat-symmetric", "home"),
        ("home", "cgnat-symmetric"),
    ):
        yield Job("random against consistent", f"{server} – {client}", _pair(server, client))
    yield Job("5 % loss", "home – home", _pair("home", "home", loss=0.05))
    yield Job("80 ms", "home – home", _pair("home", "home", delay=0.08))
    yield Job("random, 5 % loss", "symmetric – home", _pair("symmetric", "home", loss=0.05))
    yield Job("random, 80 ms", "symmetric – home", _pair("symmetric", "home", delay=0.08))
    yield Job("UDP blocked", "open – udpblocked", _pair("open", "udpblocked"))


def rebinds() -> Iterator[Job]:
    """A router that forgets, or moves, what it gave out while two homes talk through it."""
    ways: tuple[Rebind, ...] = ("flush", "ports", "address")
    sides: tuple[Literal["server", "client"], ...] = ("client", "server")
    for side in sides:
        for way in ways:
            group = f"{'flushed' if way == 'flush' else 'moved'} {side}"
            yield Job(group, f"home – home, {way}", _pair("home", "home"), rebind=way, side=side)
