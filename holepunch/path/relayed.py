"""A connection that goes through a relay: its stream, its `Upgrade` and the relay, tied together. A thin shell."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from holepunch.path.challenge import Challenges
from holepunch.path.upgrade import Upgrade
from holepunch.udx import Event

if TYPE_CHECKING:
    from holepunch.core import Random
    from holepunch.endpoint import Endpoint
    from holepunch.punch.environment import Established
    from holepunch.punch.relaying import RelayWay
    from holepunch.stream import EncryptedStream
    from holepunch.udx.values import Route

__all__ = ["RelayLost", "RelayedPath"]

GRACE: Final = 2.0
"""Seconds that the relay is kept after its use, for packets that are still on their way through it."""


class RelayLost(ConnectionError):
    """The relay in the middle of a connection went away."""


class RelayedPath:
    """Made after the stream was started. It lives as long as the stream, and lets the relay go when it can."""

    def __init__(
        self, endpoint: Endpoint, stream: EncryptedStream, established: Established, way: RelayWay, rng: Random
    ) -> None:
        udx = established.remote_payload.udx
        assert udx is not None  # there would be no stream to connect to
        self._endpoint = endpoint
        self._stream = stream
        self._way = way
        self._raw = endpoint.streams[established.local_id]
        self._upgrade = Upgrade(
            self._raw.core,
            udx.id,
            Challenges(established.session.hash, is_initiator=established.session.initiator),
            endpoint.schedule,
            rng,
            decrypted=lambda: stream.bytes_decrypted,
            touch=partial(endpoint.touch, self._raw),
            on_direct=self._on_direct,
            on_done=self._let_go,
            on_lost=self._end_stream,
        )
        stream.relay = way.key
        stream.on_decrypted = self._upgrade.check
        way.on_direct = self._upgrade.offer
        way.watch(self._on_lost)
        self._raw.watch = self._upgrade
        self._stream_hears, self._raw.on_event = self._raw.on_event, self._on_event

    def _on_event(self, event: Event) -> None:
        if self._stream_hears is not None:
            self._stream_hears(event)
        if event in (Event.STALLED, Event.REVIVED) and not self._upgrade.direct:
            self._way.doubt(event is Event.STALLED)
        elif event is Event.CLOSED:
            self._upgrade.close()
            self._raw.watch = None
            self._way.settle(None)
            self._let_go()

    def _on_direct(self, route: Route) -> None:
        self._stream.relay = None
        self._stream.on_decrypted = None
        self._way.settle(route[0])
        # in order, and it takes the direct path: when it arrives the peer has everything that went through the relay
        self._stream.send_nothing()

    def _let_go(self) -> None:
        self._endpoint.schedule.after(GRACE, self._end)

    def _end(self) -> None:
        self._way.end()
        # from here on the connection is like any other direct one
        self._raw.watch = None
        if not self._stream.is_closed:
            self._stream.follow_peer()

    def _on_lost(self) -> None:
        if not self._upgrade.survives():
            self._end_stream()

    def _end_stream(self) -> None:
        self._stream.destroy(RelayLost("the relay between this side and the peer went away"))
