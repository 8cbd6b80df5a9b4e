"""A sign of life that was asked for on a stream. Sends nothing itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from holepunch.udx import UdxStream

__all__ = ["Ping"]

PATIENCE: Final = 0.5
"""Seconds that a peer is given at least: what runs beside it on its machine, or in its program, may be busy."""
ROUND_TRIPS: Final = 4
"""Those that it is given at least: one for the answer, two until UDX sends the packet once more, one for that."""


class Ping:
    """Whether a stream's peer is still there. Its UDX answers, whatever its application does.

    One that has left so much unread that its window is closed may do so late.
    """

    __slots__ = ("_before", "_core", "due")

    def __init__(self, core: UdxStream, now: float) -> None:
        """Made just before a packet leaves that has to be acknowledged."""
        self._core = core
        self._before = core.packets_received
        self.due = now + max(PATIENCE, ROUND_TRIPS * (core.rtt or 0.0))
        """By when a peer that is there has answered, in seconds on the endpoint's clock."""

    @property
    def answered(self) -> bool:
        """Whether anything has come from the peer since."""
        return self._core.packets_received > self._before
