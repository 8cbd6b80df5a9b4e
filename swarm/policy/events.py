"""What a swarm reports, as frozen values. Errors are carried, never raised from here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

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


@dataclass(frozen=True)
class PeerFound:
    """A peer was found under a topic that it was not known to be in."""

    public_key: PublicKey
    topic: Topic


@dataclass(frozen=True)
class DialStarted:
    """A peer is being dialled."""

    public_key: PublicKey
    attempt: int
    """0 for the first dial; how many dials or short connections went before otherwise."""


@dataclass(frozen=True)
class DialFailed:
    """A dial ended without a connection. ``str(error)`` says why, and what to do."""

    error: ConnectError
    public_key: PublicKey
    will_retry: bool


@dataclass(frozen=True)
class ConnectionOpened:
    """A connection to a peer, dialled or accepted, is there."""

    public_key: PublicKey
    is_initiator: bool


@dataclass(frozen=True)
class ConnectionClosed:
    """A connection is there no more."""

    public_key: PublicKey
    is_initiator: bool
    error: Exception | None
    """``None`` for a connection that both sides ended in order."""


@dataclass(frozen=True)
class PeerBanned:
    """The swarm banned a peer by itself. `PeerInfo.ban`, which the application calls, is not reported."""

    public_key: PublicKey
    reason: str
    seconds: float | None
    """``None``: until `PeerInfo.unban`."""


@dataclass(frozen=True)
class BanLifted:
    """A ban expired or was lifted."""

    public_key: PublicKey


@dataclass(frozen=True)
class TopicRefreshed:
    """A topic was announced, looked up, or both."""

    topic: Topic
    announced: bool
    found: int
    """Other peers that this refresh saw, known before or not."""


@dataclass(frozen=True)
class RefreshFailed:
    """The DHT could not be asked. The next try comes by itself."""

    topic: Topic
    retry_in: float
    """Seconds."""


@dataclass(frozen=True)
class EventsMissed:
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
