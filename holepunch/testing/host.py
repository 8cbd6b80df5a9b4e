"""A machine on the virtual internet, with sockets. Pure: what arrives goes to a callable."""

from __future__ import annotations

import errno
import os
import random
from functools import partial
from typing import TYPE_CHECKING

from holepunch.address import Address
from holepunch.testing.core import H, Node, Packet
from holepunch.udp import MAX_DATAGRAM

if TYPE_CHECKING:
    from collections.abc import Callable

    from holepunch.testing.core import Segment
    from holepunch.testing.link import Link

__all__ = ["DEFAULT_TTL", "Host"]

DEFAULT_TTL = 64
_EPHEMERAL = range(32768, 61000)
"""The ports that a socket gets when it asks for any."""


class Host(Node[H]):
    """A machine with sockets. While asleep it sends and receives nothing."""

    def __init__(self, segment: Segment[H], addresses: tuple[str, ...], link: Link) -> None:
        super().__init__(segment, addresses, link)
        self.asleep = False
        self._fell_asleep = self._slept = 0.0
        self._sockets: dict[Address, Callable[[bytes, int, Address], None]] = {}
        self._random = random.Random(f"{self.internet.seed} ports {next(self.internet.numbers)}")

    def open(
        self, on_datagrams: Callable[[bytes, int, Address], None], host: str = "0.0.0.0", port: int = 0
    ) -> Address:
        """Open a socket, port 0 on any free port; its address. Raises ``OSError`` as the system does.

        ``on_datagrams`` is called with payloads, the size of each, and their source.
        """
        if host not in ("0.0.0.0", *self.addresses) and not host.startswith("127."):
            raise OSError(errno.EADDRNOTAVAIL, f"cannot bind UDP {host}:{port}: {os.strerror(errno.EADDRNOTAVAIL)}")
        taken = {a.port for a in self._sockets if "0.0.0.0" in (host, a.host) or host == a.host}
        if port in taken or len(taken) >= len(_EPHEMERAL):
            raise OSError(errno.EADDRINUSE, f"cannot bind UDP {host}:{port}: {os.strerror(errno.EADDRINUSE)}")
        while not port or port in taken:
            port = self._random.choice(_EPHEMERAL)
        address = Address(host, port)
        self._sockets[address] = on_datagrams
        return address

    def shut(self, address: Address) -> None:
        """Close the socket that `open` returned this address of."""
        self._sockets.pop(address, None)

    def send(
        self,
        source: Address,
        data: bytes,
        segment: int,
        to: Address,
        ttl: int = 0,
        now: float | None = None,
        *,
        fragment: bool = False,
    ) -> None:
        """Send a datagram, or a run of them ``segment`` bytes each, from the socket with the address ``source``.

        ``now`` is the schedule's time unless given: give it where the schedule is behind. ``fragment``: too large a
        datagram crosses links in fragments.
        """
        internet = self.internet
        local = to.host in self.addresses or to.host.startswith("127.")
        if source.host == "0.0.0.0":
            source = Address(to.host if local else self.addresses[0], source.port)
        packet = Packet(data, segment, source, to, ttl or DEFAULT_TTL, fragment)
        if not data or min(segment, len(data)) > MAX_DATAGRAM:
            internet.drop("no datagram", packet)
        elif local:
            internet.schedule.at(internet.schedule.now if now is None else now, partial(self.arrive, packet))
        elif self.asleep:
            internet.drop("asleep", packet)
        elif source.host not in self.addresses:
            internet.drop("not from this address", packet)
        else:
            internet.carry(self.up, packet, self.segment.forward, now)

    def arrive(self, packet: Packet) -> None:
        if self.asleep:
            self.internet.drop("asleep", packet)
            return
        to = packet.to
        on_datagrams = self._sockets.get(to) or self._sockets.get(Address("0.0.0.0", to.port))
        if on_datagrams is None or not (to.host in self.addresses or to.host.startswith("127.")):
            self.internet.drop("no such socket", packet)
            return
        self.internet.tell("delivered", packet)
        on_datagrams(packet.data, packet.segment, packet.source)

    def sleep(self, now: float | None = None) -> None:
        """Close the lid. Sockets stay open, and what comes meanwhile is lost. For ``now`` see `send`."""
        if not self.asleep:
            self.asleep = True
            self._fell_asleep = self.internet.schedule.now if now is None else now

    def wake(self, now: float | None = None) -> None:
        """Open it. A node that runs here is told within seconds that the machine slept, if it did for 15 s or more."""
        if self.asleep:
            self.asleep = False
            self._slept += (self.internet.schedule.now if now is None else now) - self._fell_asleep

    def time_asleep(self) -> float:
        """Seconds of all sleep that is over. (Unlike on a real machine, what runs here is not stopped meanwhile.)"""
        return self._slept

    def move(self, segment: Segment[H], *addresses: str, link: Link | None = None) -> None:
        """Go to another network, or change address in this one. Sockets bound to 0.0.0.0 go along."""
        self._join(segment, addresses or (segment.free_address(),))
        self.link = link or segment.default_link
