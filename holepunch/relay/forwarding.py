"""The data path of a blind relay: what comes for one stream leaves for another, with another id and nothing else
changed (blind-relay.md section 3). No UDX state: retransmission and congestion control are the peers' own. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from holepunch.udx.packet import DESTROY, HEADER_SIZE, header, header_words
from holepunch.udx.values import Transmit

if TYPE_CHECKING:
    from collections.abc import Callable

    from holepunch.udp import Received
    from holepunch.udx.values import Route

__all__ = ["Budget", "Leg", "join"]

ALIVE: Final = 6.0
"""Seconds after its last packet that a peer counts as using the relay: one that does sends at least every 5 s."""


class Budget:
    """Bytes per second that one client may have forwarded, one second's worth at once."""

    __slots__ = ("_at", "_left", "_rate")

    def __init__(self, rate: float, now: float) -> None:
        """``rate``: ``math.inf`` for no limit."""
        self._rate = rate
        self._left = rate
        self._at = now

    def take(self, size: int, now: float) -> bool:
        """False: nothing was taken, there is not enough."""
        self._left = min(self._rate, self._left + self._rate * (now - self._at)) if now > self._at else self._left
        self._at = now
        if size > self._left:
            return False
        self._left -= size
        return True


class Leg:
    """One peer's end of a link. `join` two of them, and each forwards to the other's peer.

    The peer is where its connection to the relay comes from: both use one socket. Of that host the first packet tells
    the port, so that nobody else, even who knows the id, can take traffic away or have it sent to others.
    """

    __slots__ = (
        "_budget",
        "_control",
        "_fixed",
        "_header",
        "_on_end",
        "bytes",
        "dropped",
        "heard_at",
        "local_id",
        "other",
        "packets",
        "remote_id",
        "route",
    )

    def __init__(
        self,
        local_id: int,
        remote_id: int,
        control: Callable[[], Route | None],
        budget: Budget,
        on_end: Callable[[], None],
    ) -> None:
        """``control``: the present route of the peer's connection to the relay. ``on_end``: a peer destroyed it."""
        self.local_id = local_id
        self.remote_id = remote_id
        self.route = control()
        self.other: Leg | None = None
        self.heard_at: float | None = None
        self.bytes = self.packets = self.dropped = 0
        self._control = control
        self._fixed = False
        self._budget = budget
        self._on_end = on_end
        self._header: bytes | None = None
        """Of the packet sent to this peer last."""

    def forward(self, received: Received, role: int, now: float) -> Transmit | None:
        """One run of this peer's datagrams, on its way to the other; None: it goes nowhere."""
        view, segment, source = received
        other = self.other
        if other is None or other.route is None or not self._is_peer((role, source)):
            self.dropped += 1
            return None
        size = len(view)
        if not self._budget.take(size, now):
            self.dropped += -(-size // segment)
            return None
        self.heard_at = now
        self.bytes += size
        self.packets += -(-size // segment)
        run = bytearray(view)
        for at, octet in enumerate(other.remote_id.to_bytes(4, "little"), 4):
            # every datagram of the run has its id there, the last and shorter one, too
            run[at::segment] = bytes((octet,)) * len(range(at, size, segment))
        last = (size - 1) // segment * segment
        other._header = bytes(run[last : last + HEADER_SIZE])
        if run[last + 2] & DESTROY:
            self._on_end()
        return Transmit(*other.route, [run], segment)

    def _is_peer(self, route: Route) -> bool:
        if route == self.route and self._fixed:
            return True
        control = self._control()
        if control is None or route[0] != control[0] or route[1].host != control[1].host:
            return False
        if self._fixed and route != control:
            return False
        self.route = route
        self._fixed = True
        return True

    def destroy(self, now: float) -> Transmit | None:
        """Tell this leg's peer, in the other's name, that the stream is over. None: it does not use the relay (any
        more), or was never sent anything."""
        if self._header is None or self.route is None or self.heard_at is None or now - self.heard_at > ALIVE:
            return None
        _, _, window, seq, ack = header_words(memoryview(self._header))
        # not below what the peer expects next, or it would not be obeyed (udx.md section 5)
        packet = header(DESTROY, self.remote_id, window, seq + 1, ack)
        return Transmit(*self.route, [packet], HEADER_SIZE)


def join(a: Leg, b: Leg) -> None:
    a.other, b.other = b, a
