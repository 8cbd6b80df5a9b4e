"""A sign of life that is asked for on a stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from holepunch.core import Schedule
    from holepunch.udx import UdxStream

__all__ = ["Ping"]

PATIENCE: Final = 0.5
"""Seconds that a peer is given at least: what runs beside it on its machine, or in its program, may be busy."""
ROUND_TRIPS: Final = 4
"""Those that it is given at least."""
REPEATS: Final = 4
"""HEARTBEATs after the first, so that a path that loses one packet in ten, each way, hardly ever looks dead."""


class Ping:
    """Whether a stream's peer is still there. Its UDX answers, whatever its application does.

    Nothing is written on the stream for that: how much was, decides which of two connections stays.
    """

    __slots__ = ("_before", "_core", "_on_silence", "_repeats", "_schedule", "_touch", "_wait", "due")

    def __init__(
        self, core: UdxStream, schedule: Schedule, touch: Callable[[], None], on_silence: Callable[[], None]
    ) -> None:
        """Asks now, and again until the peer is heard. ``touch`` lets the driver send what the stream has to say;
        ``on_silence`` is called when the peer has had its time and the stream is still open."""
        self._core = core
        self._schedule = schedule
        self._touch = touch
        self._on_silence = on_silence
        self._before = core.packets_received
        patience = max(PATIENCE, ROUND_TRIPS * (core.rtt or 0.0))
        self.due = schedule.now + patience
        """By when a peer that is there has answered, in seconds on the endpoint's clock."""
        self._wait = patience / (REPEATS + 2)
        self._repeats = REPEATS
        self._ask()

    @property
    def answered(self) -> bool:
        """Whether anything has come from the peer since."""
        return self._core.packets_received > self._before

    def _ask(self) -> None:
        if self.answered or self._core.closed:
            return
        self._core.query()
        self._touch()
        if self._repeats:
            self._repeats -= 1
            self._schedule.after(self._wait, self._ask)
        else:
            self._schedule.at(self.due, self._end)

    def _end(self) -> None:
        if not (self.answered or self._core.closed):
            self._on_silence()
