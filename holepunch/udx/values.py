"""What a UDX stream hands to its driver, and how it ends. Values only: nothing here has behaviour."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from holepunch.address import Address
from holepunch.core import Role
from holepunch.errors import SwarmError

if TYPE_CHECKING:
    from holepunch.compact import Buffer

__all__ = ["Event", "Reset", "Route", "StreamError", "TimedOut", "Transmit"]

Route = tuple[Role, Address]
"""Which own socket, and which remote address."""


class Transmit(NamedTuple):
    """A run of datagrams to send: ``buffers``, concatenated, are cut every ``segment`` bytes.

    No buffer straddles a cut; only the last datagram may be shorter than ``segment``. The buffers are valid until the
    stream is called again: a driver that cannot send them at once copies them. The peer may acknowledge what has not
    left yet, and then they are used for other packets, of other streams even.
    """

    role: Role
    to: Address
    buffers: list[Buffer]
    segment: int
    fragment: bool = False
    """The datagrams may be larger than the path carries whole: let routers cut them."""


class Event(Enum):
    """What happened to a stream since its events were drained last. Each is reported once, not once per packet."""

    READABLE = "bytes to take"
    WRITABLE = "the queue that was full has room again"
    MESSAGE = "an unordered message arrived"
    ROUTE_CHANGED = "everything sent to the old route is acknowledged"
    STALLED = "nothing was acknowledged through two retransmission timeouts: the path may be gone"
    REVIVED = "a packet came in again"
    ENDED = "the remote's end is reached: what can be taken now is all there will be"
    DRAINED = "everything written is acknowledged, the end included"
    CLOSED = "no packet will be sent or accepted any more; `error` says why"


class StreamError(SwarmError):
    """Why a stream closed before both directions had ended."""


class Reset(StreamError):
    """The remote destroyed the stream (ECONNRESET in Node)."""

    def __init__(self) -> None:
        super().__init__("the remote destroyed the stream")


class TimedOut(StreamError):
    """Nothing that was sent has been acknowledged through seven retransmission timeouts (ETIMEDOUT in Node)."""

    def __init__(self) -> None:
        super().__init__("the remote acknowledges nothing any more")
