"""The system's UDP sockets, as `holepunch.udp` asks for them. No protocol in here, and no task."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import sys
from typing import TYPE_CHECKING

import trio

from holepunch.address import Address
from holepunch.udp.fragments import forbid_fragments
from holepunch.udp.interfaces import local_hosts
from holepunch.udp.libc import load
from holepunch.udp.receive import ReceiveTier, enable_coalescing, open_receiver
from holepunch.udp.send import MessageArray, Sender, SendTier

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holepunch.compact import Buffer
    from holepunch.udp import Received
    from holepunch.udp.receive import Receiver

__all__ = ["ReceiveTier", "SendTier", "SystemNetwork", "SystemSocket"]

_WANTED_BUFFER = 8 << 20
_LEAST_BUFFER = 256 << 10
"""Buffer sizes to ask for, halved until the system grants one. 8 MB is 10 ms at the pace of a local transfer."""

# options that the socket module has no names for
_SO_BUFFER_FORCE = {socket.SO_RCVBUF: 33, socket.SO_SNDBUF: 32}


class SystemSocket:
    """A bound, non-blocking socket (`holepunch.udp.UdpSocket`). It owns a file descriptor and no buffers."""

    __slots__ = ("_receiver", "_sender", "_socket", "local_address", "receive_buffer")

    def __init__(self, sock: socket.socket, receiver: Receiver, sender: Sender) -> None:
        self._socket = sock
        self._receiver = receiver
        self._sender = sender
        self.local_address = Address(*sock.getsockname())
        # Linux reports the double of what it granted: the rest is for its own bookkeeping.
        doubled = 2 if sys.platform == "linux" else 1
        self.receive_buffer = sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // doubled

    @property
    def send_tier(self) -> SendTier:
        """How runs are sent at present."""
        return self._sender.tier

    def fileno(self) -> int:
        """The file descriptor, for options of the caller's own; -1 when closed."""
        return self._socket.fileno()

    def receive(self) -> list[Received]:
        if self._socket.fileno() < 0:
            raise trio.ClosedResourceError
        return self._receiver.receive(self._socket)

    async def wait_readable(self) -> None:
        if self._socket.fileno() < 0:
            raise trio.ClosedResourceError
        await trio.lowlevel.wait_readable(self._socket)

    async def wait_writable(self) -> None:
        if self._socket.fileno() < 0:
            raise trio.ClosedResourceError
        await trio.lowlevel.wait_writable(self._socket)

    def send(self, buffers: Sequence[Buffer], to: Address, ttl: int = 0) -> bool:
        if self._socket.fileno() < 0:
            raise trio.ClosedResourceError
        return self._sender.send(buffers, to, ttl)

    def send_segments(self, buffers: Sequence[Buffer], segment: int, to: Address, fragment: bool = False) -> bool:
        if self._socket.fileno() < 0:
            raise trio.ClosedResourceError
        if fragment:
            return self._sender.send_fragmentable(buffers, segment, to)
        return self._sender.send_segments(buffers, segment, to)

    def close(self) -> None:
        if self._socket.fileno() >= 0:
            if trio.lowlevel.in_trio_run():  # also closed after a run, when nothing can be waiting any more
                trio.lowlevel.notify_closing(self._socket)
            self._socket.close()


class SystemNetwork:
    """This machine (`holepunch.udp.Network`). Its sockets share buffers, so use one network in one thread only.

    Each socket takes the best way to send and receive that works on it; ``receive_tier`` and ``send_tier`` rule out
    better ones.
    """

    def __init__(self, *, receive_tier: ReceiveTier | None = None, send_tier: SendTier | None = None) -> None:
        self._receive_tier = receive_tier
        self._send_tier = send_tier
        self._receiver: Receiver | None = None
        self._hosts = ["127.0.0.1"]
        libc = load()
        self._array = MessageArray(libc) if libc is not None else None

    @property
    def receive_tier(self) -> ReceiveTier | None:
        """How datagrams are received; None before the first socket is bound."""
        return self._receiver.tier if self._receiver is not None else None

    def bind(self, host: str, port: int) -> SystemSocket:
        """Raises ``ValueError`` when ``host`` is no IPv4 address, ``OSError`` that names host and port when refused."""
        ipaddress.IPv4Address(host)
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            if self._receiver is None:
                self._receiver = open_receiver(sock, self._receive_tier)
            _configure(sock)
            enable_coalescing(sock, self._receiver.tier)
            sock.bind((host, port))
            return SystemSocket(sock, self._receiver, Sender(sock, self._array, self._send_tier))
        except OSError as error:
            sock.close()
            raise OSError(error.errno, f"cannot bind UDP {host}:{port}: {error.strerror}") from error
        except BaseException:
            sock.close()
            raise

    def local_hosts(self) -> list[str]:
        with contextlib.suppress(OSError):  # without a file descriptor left: what they were
            self._hosts = local_hosts()
        return list(self._hosts)

    async def resolve(self, host: str) -> list[str]:
        try:
            found = await trio.socket.getaddrinfo(host, None, family=socket.AF_INET, type=socket.SOCK_DGRAM)
        except ValueError as error:  # a name that cannot even be asked for
            raise OSError(f"{host!r} does not resolve: {error}") from error
        return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _configure(sock: socket.socket) -> None:
    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        _enlarge(sock, option)
    # as libudx: the sender's own probing finds out what fits
    forbid_fragments(sock)


def _enlarge(sock: socket.socket, option: int) -> None:
    if sys.platform == "linux":
        try:
            sock.setsockopt(socket.SOL_SOCKET, _SO_BUFFER_FORCE[option], _WANTED_BUFFER)  # for the privileged
            return
        except OSError:
            pass  # the plain option is cut down to net.core.rmem_max without an error
    size = _WANTED_BUFFER
    while size >= _LEAST_BUFFER:
        try:
            sock.setsockopt(socket.SOL_SOCKET, option, size)
            return
        except OSError:
            size //= 2
