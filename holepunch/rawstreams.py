"""The UDX streams of an endpoint, by local id: packets in, packets out, one heap of deadlines. Reads no socket."""

from __future__ import annotations

import heapq
import math
from functools import partial
from typing import TYPE_CHECKING, Protocol

from holepunch.core import CLIENT, SERVER, Role
from holepunch.nursery import InternalError
from holepunch.udx import Event, UdxStream
from holepunch.udx.linger import LINGER_TIME

if TYPE_CHECKING:
    from collections.abc import Callable

    from holepunch.address import Address
    from holepunch.containment import Containment
    from holepunch.core import Random, Schedule
    from holepunch.relay.forwarding import Leg
    from holepunch.sockets import SocketTable
    from holepunch.udp import Received
    from holepunch.udx import Linger, Transmit
    from holepunch.udx.values import Route

__all__ = ["RawStream", "StreamTable"]


class Watch(Protocol):
    """Who decides which way a stream takes."""

    def before(self, view: memoryview, segment: int, route: Route) -> bool:
        """A run of packets for the stream came in. True: it is dealt with, and not for the stream."""

    def after(self, route: Route) -> None:
        """The stream has taken it."""


class RawStream:
    """A UDX stream of this endpoint, and who hears of it."""

    __slots__ = ("armed", "core", "ending", "follow", "on_event", "on_shutdown", "on_traffic", "watch")

    def __init__(self, core: UdxStream, on_traffic: Callable[[Role, Address], bool]) -> None:
        self.core = core
        self.on_traffic = on_traffic
        """Asked for packets on a socket that is not the stream's own, or while it has none. True: process them."""
        self.on_event: Callable[[Event], None] | None = None
        self.on_shutdown: Callable[[], None] | None = None
        """How the owner ends it when the endpoint does; without, the stream is destroyed and nobody told."""
        self.watch: Watch | None = None
        """Sees every packet, in place of ``on_traffic``, where the stream may have to follow its peer."""
        self.follow: Watch | None = None
        """Without ``watch``: sees the packets that come to the stream's socket from another address than its peer's."""
        self.ending = False
        """Its owner ended it, and waits for that to be acknowledged."""
        self.armed = math.inf
        """When the timer looks at this stream next."""


class StreamTable:
    """The UDX streams by their local id. Implements what dialling and accepting call `Streams`.

    A bug that one of them meets while it receives, sends or expires ends that one.
    """

    def __init__(
        self,
        schedule: Schedule,
        sockets: SocketTable,
        rng: Random,
        wake_at: Callable[[float], None],
        containment: Containment,
    ) -> None:
        self._schedule = schedule
        self._sockets = sockets
        self._rng = rng
        self._wake_at = wake_at
        self._containment = containment
        self._streams: dict[int, RawStream] = {}
        self._lingering: dict[int, Linger] = {}
        self._legs: dict[int, Leg] = {}
        self._heap: list[tuple[float, int, RawStream]] = []
        self._count = 0
        self.on_settled: Callable[[], None] | None = None
        """Called when a stream waits no longer for its end to be acknowledged."""

    def __len__(self) -> int:
        return len(self._streams)

    def open(self, on_traffic: Callable[[Role, Address], bool]) -> int:
        """A new stream under a random id that is free."""
        local_id = self._free_id()
        self._streams[local_id] = RawStream(UdxStream(local_id, now=self._schedule.now), on_traffic)
        return local_id

    def _free_id(self) -> int:
        while True:
            local_id = self._rng.randrange(1, 1 << 32)
            if not any(local_id in table for table in (self._streams, self._lingering, self._legs)):
                return local_id

    def connect(self, local_id: int, role: Role, address: Address, remote_id: int) -> None:
        raw = self._streams[local_id]
        raw.core.connect((role, address), remote_id, self._schedule.now)
        self.flush(raw, self._schedule.now)

    def discard(self, local_id: int) -> None:
        """Forget a stream that never got an owner."""
        raw = self._streams.pop(local_id, None)
        if raw is not None:
            raw.core.destroy()
            self.flush(raw, self._schedule.now)

    def __getitem__(self, local_id: int) -> RawStream:
        return self._streams[local_id]

    def receive(self, stream_id: int, received: Received, role: Role, now: float) -> RawStream | None:
        """One run for one stream. None: the id is not ours, and the run is somebody else's."""
        raw = self._streams.get(stream_id)
        if raw is None:
            self._containment.attempt(self._receive_for_others, stream_id, received, role, now)
            return None
        try:
            self._receive(raw, received, role, now)
        except Exception as bug:  # whatever it is: nobody expects it
            self._abandon(raw, bug)
        return raw

    def _receive(self, raw: RawStream, received: Received, role: Role, now: float) -> None:
        view, segment, source = received
        watch, route = raw.watch, raw.core.route
        if watch is None and route is not None and route[0] == role and route[1] != source:
            watch = raw.follow
        if watch is not None:
            if not watch.before(view, segment, (role, source)):
                raw.core.receive(view, segment, (role, source), now)
                watch.after((role, source))
        elif (route is not None and route[0] == role) or raw.on_traffic(role, source):
            raw.core.receive(view, segment, (role, source), now)

    def _receive_for_others(self, stream_id: int, received: Received, role: Role, now: float) -> None:
        view, segment, source = received
        leg = self._legs.get(stream_id)
        if leg is not None:
            transmit = leg.forward(received, role, now)
            if transmit is not None:
                self._sockets.transmit(transmit)
            return
        linger = self._lingering.get(stream_id)
        if linger is not None:
            for transmit in linger.receive(view, segment, (role, source)):
                self._sockets.transmit(transmit)

    # streams of others, as `holepunch.relay.server` wants them forwarded

    def add_leg(self, make: Callable[[int], Leg]) -> Leg:
        leg = make(self._free_id())
        self._legs[leg.local_id] = leg
        return leg

    def remove_leg(self, local_id: int) -> None:
        self._legs.pop(local_id, None)

    def transmit(self, transmit: Transmit) -> None:
        self._sockets.transmit(transmit)

    # own streams

    def flush(self, raw: RawStream, now: float) -> None:
        """Drain the core after a change: what it sends, what it reports, when it wants to be looked at again."""
        try:
            self._flush(raw, now)
        except Exception as bug:
            self._abandon(raw, bug)

    def _flush(self, raw: RawStream, now: float) -> None:
        core = raw.core
        core.flush(now)
        if core.transmits:
            self._send(core)
        if core.events:
            self._tell(raw)
        if core.closed:
            if raw.on_event is not None:  # else whoever opened it still has to hear of that, or to discard it
                self._retire(raw)
            return
        self._arm(raw)

    def _arm(self, raw: RawStream) -> None:
        deadline = raw.core.deadline()
        if deadline < raw.armed:
            raw.armed = deadline
            self._count += 1
            heapq.heappush(self._heap, (deadline, self._count, raw))
            self._wake_at(deadline)

    def report(self, raw: RawStream) -> None:
        """Tell what has arrived, and no more: `flush` must follow."""
        try:
            raw.core.report()
            self._tell(raw)
        except Exception as bug:
            self._abandon(raw, bug)

    def _tell(self, raw: RawStream) -> None:
        events, raw.core.events = raw.core.events, []
        for event in events:
            if event is Event.DRAINED:
                self._settle(raw)
            if raw.on_event is not None:
                raw.on_event(event)

    def _send(self, core: UdxStream) -> None:
        transmits, core.transmits = core.transmits, []
        transmit = self._sockets.transmit
        for run in transmits:
            transmit(run)

    def _abandon(self, raw: RawStream, bug: Exception) -> None:
        """A bug has left the stream in any state: destroy it, and tell its owner, as far as that still works."""
        self._containment.note(bug)
        error = InternalError("a bug of this library ended the stream; the log has its traceback")
        error.__cause__ = bug
        core = raw.core
        self._containment.attempt(core.destroy, error)
        self._containment.attempt(self._send, core)
        core.events.clear()
        if raw.on_event is not None:
            self._containment.attempt(raw.on_event, Event.CLOSED)
            self._retire(raw)

    @property
    def ending(self) -> int:
        """How many streams wait for their end to be acknowledged."""
        return sum(raw.ending for raw in self._streams.values())

    def _settle(self, raw: RawStream) -> None:
        raw.ending = False
        if self.on_settled is not None:
            self.on_settled()

    def _retire(self, raw: RawStream) -> None:
        core = raw.core
        if self._streams.pop(core.local_id, None) is None:
            return
        self._settle(raw)
        role = core.route[0] if core.route is not None else SERVER
        linger = core.linger()
        if linger is not None:
            self._lingering[core.local_id] = linger
            self._schedule.shared(LINGER_TIME, partial(self._forget, core.local_id, role))
        else:
            self._release(role)

    def _forget(self, local_id: int, role: Role) -> None:
        self._lingering.pop(local_id, None)
        self._release(role)

    def _release(self, role: Role) -> None:
        """A punch socket lives as long as a stream that goes through it."""
        if role > CLIENT and not any(r.core.route and r.core.route[0] == role for r in self._streams.values()):
            self._sockets.close(role)

    def deadline(self) -> float:
        return self._heap[0][0] if self._heap else math.inf

    def expire(self, now: float) -> None:
        """Let every stream whose time has come act. Its heap entry is never later than its deadline."""
        while self._heap and self._heap[0][0] <= now:
            at, _, raw = heapq.heappop(self._heap)
            if at != raw.armed or raw.core.closed:
                continue
            raw.armed = math.inf
            if raw.core.deadline() > now:
                self._arm(raw)
                continue
            try:
                raw.core.expire(now)
            except Exception as bug:
                self._abandon(raw, bug)
            self.flush(raw, now)

    def destroy_all(self, now: float) -> None:
        for raw in list(self._streams.values()):
            if raw.on_shutdown is not None:
                raw.on_shutdown()
            else:
                raw.core.destroy()
                self.flush(raw, now)
        self._streams.clear()
        self._lingering.clear()
        self._legs.clear()
