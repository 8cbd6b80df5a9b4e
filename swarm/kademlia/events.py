"""What happens to a node that other parts act on, and who is told."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from holepunch.signaller import Cancel

__all__ = ["Event", "Subscribers"]


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


class Subscribers:
    """Who is told of events, in the order of subscribing."""

    __slots__ = ("_listeners",)

    def __init__(self) -> None:
        self._listeners: list[Callable[[Event], None]] = []

    def add(self, listener: Callable[[Event], None]) -> Cancel:
        """From now on. Cancelling again does nothing."""
        self._listeners.append(listener)

        def leave() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return leave

    def tell(self, event: Event) -> None:
        """Those who leave meanwhile are still told."""
        for listener in tuple(self._listeners):
            listener(event)

    def clear(self) -> None:
        """Nobody is told any more."""
        self._listeners.clear()
