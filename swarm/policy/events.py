"""What a swarm reports, as frozen values. Errors are carried, never raised from here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from holepunch.fields import Fields

if TYPE_CHECKING:
    from holepunch.errors import ConnectError
    from holepunch.keys import PublicKey
    from swarm.topic import Topic

__all__ = [
    "BanLifted",
    "ConnectionClosed",
    "ConnectionOpened",
    "DialFailed",
    "DialStarted",
    "Event",
    "EventsMissed",
    "PeerBanned",
    "PeerFound",
    "RefreshFailed",
    "TopicRefreshed",
]


@dataclass(frozen=True, eq=False, repr=False)
class PeerFound(Fields):
    """A peer was found under a topic that it was not known to be in."""

    public_key: PublicKey
    topic: Topic


@dataclass(frozen=True, eq=False, repr=False)
class DialStarted(Fields):
    """A peer is being dialled."""

    public_key: PublicKey
    attempt: int
    """0 for the first dial; how many dials or short connections went before otherwise."""


@dataclass(frozen=True, eq=False, repr=False)
class DialFailed(Fields):
    """A dial ended without a connection. ``str(error)`` says why, and what to do."""

    error: ConnectError
    public_key: PublicKey
    will_retry: bool


@dataclass(frozen=True, eq=False, repr=False)
class ConnectionOpened(Fields):
    """A connection to a peer, dialled or accepted, is there."""

    public_key: PublicKey
    is_initiator: bool


@dataclass(frozen=True, eq=False, repr=False)
class ConnectionClosed(Fields):
    """A connection is there no more."""

    public_key: PublicKey
    is_initiator: bool
    error: Exception | None
    """``None`` for a connection that both sides ended in order."""


@dataclass(frozen=True, eq=False, repr=False)
class PeerBanned(Fields):
    """The swarm banned a peer by itself. `PeerInfo.ban`, which the application calls, is not reported."""

    public_key: PublicKey
    reason: str
    seconds: float | None
    """``None``: until `PeerInfo.unban`."""


@dataclass(frozen=True, eq=False, repr=False)
class BanLifted(Fields):
    """A ban expired or was lifted."""

    public_key: PublicKey


@dataclass(frozen=True, eq=False, repr=False)
class TopicRefreshed(Fields):
    """A topic was announced, looked up, or both."""

    topic: Topic
    announced: bool
    found: int
    """Other peers that this refresh saw, known before or not."""


@dataclass(frozen=True, eq=False, repr=False)
class RefreshFailed(Fields):
    """The DHT could not be asked. The next try comes by itself."""

    topic: Topic
    retry_in: float
    """Seconds."""


@dataclass(frozen=True, eq=False, repr=False)
class EventsMissed(Fields):
    """So many events were lost here, because this listener was too far behind. Each listener has its own."""

    count: int


Event = (
    PeerFound
    | DialStarted
    | DialFailed
    | ConnectionOpened
    | ConnectionClosed
    | PeerBanned
    | BanLifted
    | TopicRefreshed
    | RefreshFailed
    | EventsMissed
)
