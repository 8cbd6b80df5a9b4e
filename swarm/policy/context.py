"""What all parts of one policy share: who we are, the time, chance, limits, counts, and the way out. Decides nothing
but the budget of connections.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from holepunch.arguments import check_integer
from swarm.policy.events import ConnectionClosed, ConnectionOpened, DialFailed, DialStarted

if TYPE_CHECKING:
    from collections.abc import Callable

    from holepunch.core import Entry, Random, Schedule
    from holepunch.keys import PublicKey
    from swarm.policy.effects import Effects
    from swarm.policy.events import Event

__all__ = ["MAX_PARALLEL", "MAX_PEERS", "Context", "Counters", "Limits", "Phase"]

MAX_PEERS = 64
"""Hyperswarm's own number."""

MAX_PARALLEL = 8
"""Node dials 3 at a time. A dial has at most 10 requests in flight and the DHT's congestion window takes 80 a slot
(dht-rpc), so 8 dials fill one slot and the topics' own queries still have the rest of the window. An unreachable peer
holds its place for 4 to 10 seconds: with 3 places, as many dead records stop all dialling for that long."""

EXPECTED = 1.0
"""Seconds after its handshake that a connection which the peer began is waited for. Two round trips and a lost packet
or two; what waits for it is a connection of our own, which is then handed out."""

_UPDATES = (DialStarted, DialFailed, ConnectionOpened, ConnectionClosed)


class Limits:
    """How many connections there may be; ``None`` is no limit, for those that may be it. Raises ``TypeError``, and
    ``ValueError`` for a number below 1."""

    __slots__ = ("max_client_connections", "max_parallel", "max_peers", "max_server_connections")

    def __init__(
        self,
        max_peers: int = MAX_PEERS,
        max_parallel: int = MAX_PARALLEL,
        max_client_connections: int | None = None,
        max_server_connections: int | None = None,
    ) -> None:
        self.max_peers: Final = check_integer(max_peers, "max_peers", 1)
        """Connections open or being dialled, of both kinds. Peers of `join_peer` and `connect` may come on top."""
        self.max_parallel: Final = check_integer(max_parallel, "max_parallel", 1)
        """Dials in progress at a time that the swarm began by itself."""
        self.max_client_connections: Final = max_client_connections
        self.max_server_connections: Final = max_server_connections
        for name in ("max_client_connections", "max_server_connections"):
            value = getattr(self, name)
            if value is not None:
                check_integer(value, name, 1)

    def room_to_dial(self, links: int, clients: int, explicit: int) -> bool:
        """Whether one more peer found by topic may be dialled (hyperswarm index.js, `_withinMaxPeers`).

        The more peers are explicit, the smaller the part of the budget that is spent on others.
        """
        factor = 1 if explicit == 0 else 2 if explicit < 2 else 3 if explicit < 4 else 4
        return factor * links < self.max_peers and (
            self.max_client_connections is None or clients < self.max_client_connections
        )

    def room_to_accept(self, servers: int) -> bool:
        return self.max_server_connections is None or servers < self.max_server_connections


class Counters:
    """See `swarm.stats`."""

    def __init__(self) -> None:
        self.attempted = 0
        self.dialled = 0
        self.failed = 0
        self.dialled_closed = 0
        self.accepted = 0
        self.accepted_closed = 0
        self.refused = 0
        self.updates = 0
        self.bans = 0


class Phase(Enum):
    RUNNING = auto()
    SUSPENDED = auto()
    CLOSED = auto()


class Context:
    __slots__ = ("counters", "effects", "expected", "limits", "own_key", "phase", "rng", "schedule")

    def __init__(self, own_key: PublicKey, schedule: Schedule, rng: Random, effects: Effects, limits: Limits) -> None:
        self.own_key = own_key
        self.schedule = schedule
        self.rng = rng
        self.effects = effects
        self.limits = limits
        self.counters = Counters()
        self.expected: dict[bytes, float] = {}
        """Peers whose handshakes were let in, and until when a connection may come of it."""
        self.phase = Phase.RUNNING

    @property
    def running(self) -> bool:
        return self.phase is Phase.RUNNING

    def soon(self, action: Callable[[], None]) -> Entry:
        """Call back once whatever is happening now has returned."""
        return self.schedule.after(0.0, action)

    def expect(self, public_key: bytes) -> None:
        """This peer's handshake was let in."""
        now = self.schedule.now
        self.expected = {key: until for key, until in self.expected.items() if until > now}
        self.expected[public_key] = now + EXPECTED

    def expects(self, public_key: bytes) -> bool:
        return self.expected.get(public_key, 0.0) > self.schedule.now

    def emit(self, event: Event) -> None:
        if isinstance(event, _UPDATES):
            self.counters.updates += 1
        self.effects.emit(event)
