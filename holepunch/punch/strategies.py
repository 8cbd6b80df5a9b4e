"""How two punching sides find each other, by the NAT of each: which socket probes which address, and when.

Each strategy is a sequence over what the puncher lends it, and ends when its tries are used up: a hit closes it from
outside. A random NAT gives every destination another port. 256 sockets behind one hold 256 of some 64 500 ports open
towards the peer, so each probe of the peer to a random port hits one of them with a chance of 1 in 252.

Many such NATs take the next port each time. Then the 256 ports are the next ones after the last that was seen, and the
peer, if told that one, hits at once (Node neither tells nor heeds it). Node: hyperdht lib/holepuncher.js.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from holepunch.address import Address
from holepunch.punch.scope import pause

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from holepunch.core import Random, Role, Schedule
    from holepunch.punch.limits import RandomPunchLimit
    from holepunch.punch.scope import Steps

__all__ = [
    "BIRTHDAY_SOCKETS",
    "DEFAULT_TTL",
    "OPENING_TTL",
    "Prober",
    "from_many_sockets",
    "middle_port",
    "steady",
    "to_many_ports",
]

DEFAULT_TTL = 64
OPENING_TTL = 5
"""Passes the own NAT, and with it opens the way back, but expires before the peer's router. A router that meets a
packet before its own host sent one may set the pair of addresses aside for itself."""

STEADY_TIMES = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0)
"""When each address is probed, in seconds. (Node: every second; a lost probe costs it a second.)"""
STEADY_UNVERIFIED = (0.0, 3.0, 7.0)
"""The times at which addresses that were not proven to be the peer's are probed too."""
STEADY_PATIENCE = 1.0
"""Seconds after the last probe in which its answer may come."""

BIRTHDAY_SOCKETS = 256
PIONEERS = 8
"""Sockets whose first probe may go all the way: a peer that does not filter by port is reached at once."""
SETTLE = 0.1
"""Seconds between the opening probes and the first further one."""
TICK = 0.02
"""Seconds between the steps of a random punch."""
BIRTHDAY_PROBES = 1750
"""Probes after the opening ones, one each tick: 35 s."""
CYCLE_RATE = 500
"""Probes per second when both sides hold many sockets, and only one pair of them fits."""
SEARCH_PROBES = 3000
"""Probes after which a search gives up. That none of them hits one of 256 ports has a chance of 1 in 100 000."""
FIRST_PORT = 1000
LAST_PORT = 65535
WINDOW = 320
"""Ports after the last one seen, among which those of the peer's sockets are: 256, and some for its other traffic."""
WINDOW_STRIDE = 97
"""Far between one probe and the next, and no divisor of `WINDOW`: each of its ports comes once in a pass."""
WINDOW_PASSES = 2


class Prober(Protocol):
    """The part of a puncher that strategies use."""

    schedule: Schedule
    rng: Random
    limit: RandomPunchLimit
    remote_addresses: Sequence[tuple[Address, bool]]
    """The peer's addresses, and whether each one's host was proven to be the peer's. It changes as the peer tells."""

    @property
    def roles(self) -> Sequence[Role]:
        """The sockets that are held."""

    def open_socket(self) -> bool:
        """Hold one more socket. False: the system has none left."""

    def probe(self, to: Address, *, role: Role | None = None, ttl: int = DEFAULT_TTL) -> None: ...


def steady(prober: Prober) -> Steps[None]:
    """Both NATs keep their port: one byte to each address of the peer, again and again."""
    now = 0.0
    for at in STEADY_TIMES:
        if at > now:
            yield from pause(prober.schedule, at - now)
            now = at
        for address, verified in prober.remote_addresses:
            if verified or at in STEADY_UNVERIFIED:
                prober.probe(address)
    yield from pause(prober.schedule, STEADY_PATIENCE)


def to_many_ports(prober: Prober, host: str, hint: int) -> Steps[None]:
    """Only the peer's NAT is random: probe ports of its host, from the one socket that it probes.

    ``hint``: the last port its NAT gave out, if that takes one after the other; 0: any port is as likely.
    """
    ports = _ports(prober.rng, hint)
    credit = 1.0
    for _ in range(SEARCH_PROBES):
        while credit < 1.0:
            yield from pause(prober.schedule, TICK)
            credit += prober.limit.search_rate * TICK
        prober.probe(Address(host, next(ports)))
        credit -= 1.0
    yield from pause(prober.schedule, STEADY_PATIENCE)


def _ports(rng: Random, hint: int) -> Iterator[int]:
    if hint:
        for n in range(WINDOW * WINDOW_PASSES):
            yield _following(hint, 1 + (WINDOW // 2 + n * WINDOW_STRIDE) % WINDOW)
    while True:
        yield rng.randrange(FIRST_PORT, LAST_PORT + 1)


def _following(port: int, distance: int) -> int:
    """The port ``distance`` after ``port``; the last is followed by the first."""
    return FIRST_PORT + (port - FIRST_PORT + distance) % (LAST_PORT + 1 - FIRST_PORT)


def middle_port(hint: int) -> int:
    """The port that the peer will hold most surely, when its NAT takes one after the other."""
    return _following(hint, BIRTHDAY_SOCKETS // 2)


def from_many_sockets(prober: Prober, to: Address, *, both: bool = False) -> Steps[None]:
    """The own NAT is random: hold many of its ports open towards one address of the peer.

    ``both``: the peer's is random too, each side takes ports one after the other, and each has been told the last. Then
    the address is the one that the peer's middle socket will have. That socket probes the one that this side's middle
    socket will have, so that the two meet if neither prediction is off by more than half the number of sockets.
    """
    while len(prober.roles) < BIRTHDAY_SOCKETS and prober.open_socket():
        ttl = DEFAULT_TTL if len(prober.roles) <= PIONEERS and not both else OPENING_TTL
        prober.probe(to, role=prober.roles[-1], ttl=ttl)
    yield from pause(prober.schedule, SETTLE)
    roles = tuple(prober.roles)
    each_tick = round(CYCLE_RATE * TICK) if both else 1
    for n in range(BIRTHDAY_PROBES):
        # the first cycle keeps the opened ports open; from the second on the peer's NAT has seen its own host probe
        ttl = OPENING_TTL if n < len(roles) and not both else DEFAULT_TTL
        prober.probe(to, role=roles[n % len(roles)], ttl=ttl)
        if n % each_tick == 0:
            yield from pause(prober.schedule, TICK)
