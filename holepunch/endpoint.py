"""One peer's sockets and tasks: decides whose datagram is this, drives every core, owns the one timer.

There is one reader task per socket and one timer task. Dispatch is synchronous: no await, channel or cancel scope per
packet. Demultiplexing order: a one-byte punch, UDX, the signalling network, STUN.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

from holepunch.containment import Containment
from holepunch.core import CLIENT, SERVER, Role, Schedule
from holepunch.nursery import Background, hidden_nursery
from holepunch.rawstreams import StreamTable
from holepunch.reader import Reader
from holepunch.sockets import SocketTable
from holepunch.udp import Received
from holepunch.udx import peek, run_of_one_stream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from holepunch.address import Address
    from holepunch.core import Random
    from holepunch.rawstreams import RawStream
    from holepunch.udp import Network

__all__ = ["Endpoint"]


class Endpoint:
    """The sockets of one peer, the streams over them, and the schedule its cores share."""

    def __init__(self, network: Network, host: str, rng: Random) -> None:
        self.schedule = Schedule()
        self.sockets = SocketTable(network, host)
        self.containment = Containment()
        self.streams = StreamTable(self.schedule, self.sockets, rng, self.wake_at, self.containment)
        self.network = network
        self.host = host
        self.over = False
        """Whether the block was left."""
        self.on_datagram: Callable[[Role, memoryview, Address], bool] = lambda role, view, source: False
        """The signalling network. False: not a datagram of its."""
        self.on_stun: Callable[[Role, memoryview, Address], None] = lambda role, view, source: None
        self.on_probe: Callable[[Role, Address], None] = lambda role, source: None
        self._sleep: trio.CancelScope | None = None
        self._written: dict[RawStream, Callable[[], None]] = {}
        """Streams that `touch_soon` was called for."""
        self._flusher: trio.lowlevel.Task | None = None
        """The task that drains them, while it has nothing to do."""

    @asynccontextmanager
    async def running(self, port: int) -> AsyncIterator[Background]:
        """Bind both main sockets, and serve them until the block is left. Raises ``OSError`` when ``port`` is taken."""
        async with hidden_nursery() as nursery:
            self.over = False  # after a port that was taken it may be tried again
            self.schedule.now = trio.current_time()
            self.sockets.on_open = lambda role, socket: nursery.start_soon(
                Reader(role, socket, self.streams, self._dispatch, self.now).run
            )
            self.sockets.on_blocked = lambda role, socket: nursery.start_soon(self.sockets.drain_backlog, role, socket)
            try:
                self.bind(port)
                nursery.start_soon(self._keep_time)
                nursery.start_soon(self._flush_written)
                yield nursery
            finally:
                self.over = True
                self.close()

    def bind(self, port: int) -> None:
        """Bind both main sockets. Raises ``OSError`` when ``port`` is taken."""
        self.sockets.bind(SERVER, port)
        self.sockets.bind(CLIENT, 0)

    def close(self) -> None:
        """Destroy every stream and close every socket; `bind` opens the main ones again."""
        self.streams.destroy_all(self.now())
        self.sockets.close_all()

    def now(self) -> float:
        """The time of this turn. Whoever calls a core from outside asks for it first."""
        now = trio.current_time()
        if now > self.schedule.now:
            self.schedule.now = now
        return now

    def touch(self, raw: RawStream) -> None:
        """A stream was changed by its owner: drain it."""
        self.streams.flush(raw, self.now())

    def touch_soon(self, raw: RawStream, prepare: Callable[[], None]) -> None:
        """As `touch`, once the running task yields, after a call to ``prepare``: what it writes until then leaves
        together."""
        self._written[raw] = prepare
        flusher, self._flusher = self._flusher, None
        if flusher is not None:
            trio.lowlevel.reschedule(flusher)

    async def settled(self) -> None:
        """Return once every stream whose own direction was ended has had that acknowledged, or is over."""
        await trio.lowlevel.checkpoint()
        while self.streams.ending:
            settled = trio.Event()
            self.streams.on_settled = settled.set
            await settled.wait()

    def wake_at(self, when: float) -> None:
        """The timer wakes at ``when`` or earlier."""
        sleep = self._sleep
        if sleep is not None and when < sleep.deadline:
            sleep.deadline = when

    async def _keep_time(self) -> None:
        self.schedule.on_earlier = self.wake_at
        while True:
            deadline = min(self.schedule.deadline(), self.streams.deadline())
            with trio.CancelScope(deadline=deadline) as self._sleep:
                await trio.sleep_forever()
            # the readers first: what has arrived already is not late
            await trio.lowlevel.checkpoint()
            # the schedule learns how late it is before it runs what is due: after a stall, actions tell it from haste
            now = self.now()
            self.schedule.advance(now)
            self.streams.expire(now)

    async def _flush_written(self) -> None:
        def abort(_: object) -> trio.lowlevel.Abort:
            self._flusher = None
            return trio.lowlevel.Abort.SUCCEEDED

        while True:
            if not self._written:
                self._flusher = trio.lowlevel.current_task()
                await trio.lowlevel.wait_task_rescheduled(abort)
            now = self.now()
            written, self._written = self._written, {}
            for raw, prepare in written.items():
                prepare()
                self.streams.flush(raw, now)

    def _dispatch(self, role: Role, received: Received, now: float, touched: dict[int, RawStream]) -> None:
        view, segment, source = received
        stream_id = peek(view)
        if len(view) > segment and (stream_id is None or not run_of_one_stream(view, segment)):
            for start in range(0, len(view), segment):
                single = view[start : start + segment]
                self._dispatch(role, Received(single, len(single), source), now, touched)
            return
        if stream_id is not None:
            raw = self.streams.receive(stream_id, received, role, now)
            if raw is not None:
                touched[stream_id] = raw
        else:
            self.containment.attempt(self._hand_over, role, view, source)

    def _hand_over(self, role: Role, view: memoryview, source: Address) -> None:
        """A datagram that is no stream's."""
        if len(view) == 1:
            self.on_probe(role, source)
        elif not self.on_datagram(role, view, source):
            self.on_stun(role, view, source)
