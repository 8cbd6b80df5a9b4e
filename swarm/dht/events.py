"""What happens to a node that other parts act on."""

from __future__ import annotations

from enum import Enum

__all__ = ["Event"]


class Event(Enum):
    """What subscribers are told."""

    BOOTSTRAPPED = "bootstrapped"
    """The bootstrap procedure ended, successful or not (no node answered so far: ``Node.rpc.responses == 0``). Once."""
    PERSISTENT = "persistent"
    """The node has an id now: it serves storage commands, and others put it in their tables."""
    EPHEMERAL = "ephemeral"
    """The node has no id any more."""
    WAKE_UP = "wake-up"
    """The clock jumped, or the node was resumed."""
    NETWORK_CHANGE = "network-change"
    """The system's own addresses changed."""
    NETWORK_UPDATE = "network-update"
    """The system's own addresses changed, or ``online`` or ``degraded`` did."""
    NAT_UPDATE = "nat-update"
    """The own address as others see it (``sampler``) changed."""
