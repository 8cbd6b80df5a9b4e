"""What is left of a closed stream: enough to answer a peer that missed our last packet, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from holepunch.errors import DecodeError
from holepunch.udx.packet import DATA, END, HEADER_SIZE, decode, expand, header
from holepunch.udx.values import Transmit

if TYPE_CHECKING:
    from holepunch.udx.values import Route

__all__ = ["LINGER_TIME", "Linger"]

LINGER_TIME: Final = 20.0
"""How long a driver keeps it, in seconds. A peer that waits for its last ACK gives up after 13 (udx.md section 5)."""


class Linger:
    """Answers for the id of a closed stream: repeats the last ACK, or the DESTROY, to a peer that still sends.

    Replies go to the route the stream had. At most one for each run, so that it sends no more than it gets.
    """

    __slots__ = ("_end", "_reply", "_route")

    def __init__(self, route: Route, remote_id: int, flags: int, window: int, seq: int, ack: int) -> None:
        """``flags`` 0 to acknowledge, for ever, what is below ``ack``; or DESTROY, to all that is sent."""
        self._route = route
        self._reply = header(flags, remote_id, window, seq, ack)
        self._end = None if flags else ack

    def receive(self, view: memoryview, segment: int, route: Route) -> list[Transmit]:
        """One run of datagrams for the id, and what to send in answer (mostly nothing)."""
        for at in range(0, len(view), segment):
            try:
                packet = decode(view[at : at + segment])
            except DecodeError:
                continue
            if packet.flags & (DATA | END) and (self._end is None or expand(packet.seq, self._end) < self._end):
                return [Transmit(*self._route, [self._reply], HEADER_SIZE)]
        return []
