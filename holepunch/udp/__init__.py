"""What the rest of the library asks of UDP, as protocols: batches of datagrams in and out, no await per datagram.

No socket in here. `holepunch.udp.system` is the real thing, `holepunch.testing` a virtual network of the same shape.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holepunch.address import Address
    from holepunch.compact import Buffer

__all__ = ["MAX_DATAGRAM", "MAX_SEGMENTS", "Network", "Received", "UdpSocket"]

MAX_DATAGRAM = 65507
"""The largest payload of one IPv4 datagram, and so of one run of segments: 65535 less the IP and UDP headers."""
MAX_SEGMENTS = 64
"""Datagrams of one run: UDP_MAX_SEGMENTS of Linux before 6.9."""


class Received(NamedTuple):
    """A datagram, or a run of equally sized ones from one source that the system handed over together."""

    view: memoryview
    """The payloads, one after the other. Valid until the next ``receive()`` of any socket of the same network."""
    segment: int
    """Bytes per datagram; the last one of a run may be shorter. ``len(view)`` when there is one datagram only."""
    source: Address


class UdpSocket(Protocol):
    """A bound IPv4 UDP socket. Only the two waits are asynchronous."""

    @property
    def local_address(self) -> Address:
        """Where it is bound; the host is 0.0.0.0 when that was asked for."""

    @property
    def receive_buffer(self) -> int:
        """Bytes that the kernel granted to queue between two calls of `receive`."""

    def receive(self) -> list[Received]:
        """What has arrived, at most a bounded batch of it; empty when nothing has.

        A full batch does not mean that more is there, nor a short one that nothing is: wait and call again. Errors that
        earlier sends brought back (port unreachable and the like) are no datagrams and are skipped, as are empty ones.
        Raises ``trio.ClosedResourceError`` after `close`.
        """

    async def wait_readable(self) -> None:
        """Return when `receive` has something. Raises ``trio.ClosedResourceError`` when closed before or meanwhile."""

    async def wait_writable(self) -> None:
        """Return when a send that returned False is worth trying again. Raises as `wait_readable`."""

    def send(self, buffers: Sequence[Buffer], to: Address, ttl: int = 0) -> bool:
        """Send one datagram gathered from ``buffers``; ``ttl`` 0 is the system's own.

        False: the system has no room, nothing was sent. True says no more than UDP does: whatever else goes wrong
        (no route, too large, refused by a local firewall) is a lost datagram.
        Raises ``trio.ClosedResourceError`` after `close`.
        """

    def send_segments(self, buffers: Sequence[Buffer], segment: int, to: Address, fragment: bool = False) -> bool:
        """Send a run: ``buffers`` one after the other, cut every ``segment`` bytes.

        No buffer may lie across a cut. ``fragment``: a datagram too large for a link on the way travels in fragments;
        else it is lost there. False: the system ran out of room, and all, some or none of the run is lost. Otherwise as
        `send`.
        """

    def close(self) -> None:
        """Free the port. Tasks in a wait get ``trio.ClosedResourceError``. Closing again does nothing."""


class Network(Protocol):
    """Where sockets come from: the system, or a host of a virtual network."""

    def bind(self, host: str, port: int) -> UdpSocket:
        """Bind to a local IPv4 address; port 0 is any free one. Raises ``OSError`` that names host and port."""

    def local_hosts(self) -> list[str]:
        """IPv4 addresses that neighbours could reach this host at; 127.0.0.1 when there are none. Where the system does
        not say, those that it named last."""

    async def resolve(self, host: str) -> list[str]:
        """IPv4 addresses of a name, or the address itself. Raises ``OSError`` when there are none."""
