"""The task that reads one socket: it hands out what has arrived, and lets each stream answer once per drain.

It decides when to look for packets, and for how long. What a datagram means is decided elsewhere.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

import trio

if TYPE_CHECKING:
    from collections.abc import Callable

    from holepunch.core import Role
    from holepunch.rawstreams import RawStream, StreamTable
    from holepunch.udp import Received, UdpSocket

__all__ = ["Reader"]

ANSWER_PASSES = 2
"""Passes of the scheduler after which every task that was woken has had its turn: within one the order is random."""
POLL_PASSES = 24
"""Passes for which a socket is polled before its reader sleeps. They take about as long as it takes to sleep and be
woken, so that polling in vain at most doubles the price of a packet (competitive spinning: Karlin et al., 1990)."""
SOON = 0.0005
"""Seconds between two messages of a dialogue that is worth polling for: one on this host, or this network."""
DIALOGUE = 4
"""Messages that came soon, one after the other, before polling begins."""


class Dispatch(Protocol):
    """Gives a datagram, or a run of them, to whom it is for. ``touched`` collects the streams that got something."""

    def __call__(self, role: Role, received: Received, now: float, touched: dict[int, RawStream], /) -> None: ...


class Reader:
    """Reads one socket until that is closed."""

    def __init__(
        self, role: Role, socket: UdpSocket, streams: StreamTable, dispatch: Dispatch, now: Callable[[], float]
    ) -> None:
        self._role = role
        self._socket = socket
        self._streams = streams
        self._dispatch = dispatch
        self._now = now
        self._owing: dict[int, RawStream] = {}
        """Streams whose ACK waits for what the application answers."""
        self._came_soon = 0
        """Messages in a row that polling would have caught."""

    async def run(self) -> None:
        """Return once the socket is closed."""
        with suppress(trio.ClosedResourceError):
            looked = self._now()
            while True:
                await self._socket.wait_readable()
                soon = self._now() - looked < SOON
                if self._drain():
                    self._came_soon = self._came_soon + 1 if soon else 0
                    await self._attend()
                looked = self._now()

    async def _attend(self) -> None:
        """A little has arrived. Whoever it woke goes first: its answer carries the ACK, and saves both sides a packet.

        In a dialogue, poll for what the peer says to that: to be woken for it would take longer than the rest.
        """
        polls = self._came_soon >= DIALOGUE
        passes = 0
        while passes < (POLL_PASSES if polls else ANSWER_PASSES):
            await trio.lowlevel.checkpoint()
            passes += 1
            if passes >= ANSWER_PASSES and self._owing:
                self._acknowledge()
            if polls and self._drain():
                passes = 0
        if polls:
            self._came_soon = 0

    def _acknowledge(self) -> None:
        now = self._now()
        owing, self._owing = self._owing, {}
        for raw in owing.values():
            if raw.core.owes_ack:
                self._streams.flush(raw, now)

    def _drain(self) -> bool:
        """Hand out one batch of what has arrived; then let each stream that got something answer once.

        True: some got so little that the application may answer at once. `_acknowledge` must follow.
        """
        drained = self._socket.receive()
        if not drained:
            return False
        now = self._now()
        touched: dict[int, RawStream] = {}
        for received in drained:
            self._dispatch(self._role, received, now, touched)
        answerable = {stream_id: raw for stream_id, raw in touched.items() if raw.core.ack_can_wait}
        self._owing |= answerable
        for stream_id, raw in touched.items():
            if stream_id in answerable:
                self._streams.report(raw)
            else:
                self._streams.flush(raw, now)
        return bool(answerable)
