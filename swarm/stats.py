"""What a swarm did so far and has now, as values to show or export. Counts nothing itself."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Accepted", "Dialled", "NodeStats", "Stats"]


@dataclass(frozen=True, slots=True)
class Dialled:
    """Connections this side began. ``attempted`` = ``opened`` + ``failed`` + those in progress."""

    attempted: int
    opened: int
    failed: int
    """Ended without opening, whatever the cause: unreachable, replaced by the peer's own dial, no longer wanted."""
    closed: int
    """Opened, and ended since."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """Connections that peers began. A peer that was refused before its handshake was answered counts as refused too."""

    opened: int
    closed: int
    refused: int


@dataclass(frozen=True, slots=True)
class Stats:
    """One moment of a swarm. Counts start with the swarm; the lower half is what there is now."""

    dialled: Dialled
    accepted: Accepted
    updates: int
    """Dials begun and failed, connections opened and closed."""
    bans: int

    connections: int
    connecting: int
    queued: int
    waiting: int
    """Peers whose next dial waits for a retry timer."""
    peers: int
    topics: int

    def to_dict(self) -> dict[str, Any]:
        """Nested plain values, ready for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class NodeStats:
    """One moment of a DHT node. Those in ``_total`` count from its start."""

    nodes: int
    """Of the routing table."""
    online: bool
    """Nodes answer, as of the last few seconds."""
    degraded: bool
    """Most requests get no answer."""
    persistent: bool
    """It stores for others."""
    firewalled: bool
    """Strangers are not known to reach it."""
    streams: int
    """Connections, and dials and handshakes that have a stream already."""
    requests_in_flight: int
    responses_total: int
    timeouts_total: int
    bugs_total: int
    """Bugs of this library that were met, each of which ended one stream, or lost one datagram. The log has them."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)
