"""A peer whose address changes under a direct connection, as when its router forgets its ports. A pure core.

**The stream follows only once ordered data that arrived from there has decrypted.** Until then, and whatever else comes
from anywhere, packets go where they went. A copy of an old packet moves nothing. (RFC 9000 section 9.3; a Node peer
does not follow at all.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from holepunch.core import Schedule
    from holepunch.udx import UdxStream
    from holepunch.udx.values import Route

__all__ = ["Following"]

_NUMBER: Final = slice(12, 16)
"""Where a UDX header has the packet's number (udx.md section 1)."""
_HALF: Final = 1 << 31
_MASK: Final = (1 << 32) - 1


class _Mark(NamedTuple):
    """Data that continued the stream came from ``route``."""

    route: Route
    number: int
    received: int
    """Bytes that had arrived before it."""


class Following:
    """One connection. It is told of the packets that come from elsewhere than the stream sends to, and of no others."""

    __slots__ = ("_core", "_decrypted", "_mark", "_moved", "_number", "_received", "_schedule", "_touch")

    def __init__(
        self, core: UdxStream, schedule: Schedule, *, decrypted: Callable[[], int], touch: Callable[[], None]
    ) -> None:
        """``decrypted`` counts the bytes of the stream that decrypted so far; ``touch`` has the core drained."""
        self._core = core
        self._schedule = schedule
        self._decrypted = decrypted
        self._touch = touch
        self._mark: _Mark | None = None
        self._moved: int | None = None
        """The number of the packet that the last move rests on: what the peer sent before it came from where it was."""
        self._number = self._received = 0

    def before(self, view: memoryview, segment: int, route: Route) -> bool:
        """A run of packets came in from elsewhere. The stream takes it in any case."""
        self._number = int.from_bytes(view[_NUMBER], "little")
        self._received = self._core.bytes_received
        return False

    def after(self, route: Route) -> None:
        """The stream has taken it."""
        # the earliest from there is proven first, and the application may read late
        is_first = self._mark is None or self._mark.route != route
        if is_first and self._core.bytes_received > self._received and self._is_news():
            self._mark = _Mark(route, self._number, self._received)
        self.check()

    def _is_news(self) -> bool:
        return self._moved is None or 0 < (self._number - self._moved) & _MASK < _HALF

    def check(self) -> None:
        """Something may have decrypted."""
        mark = self._mark
        if mark is None or self._decrypted() <= mark.received:
            return
        self._mark = None
        core = self._core
        if not core.closed and core.route != mark.route:
            self._moved = mark.number
            core.change_route(mark.route, core.remote_id, self._schedule.now, leave=True)
            core.send_last_again()
            self._touch()
