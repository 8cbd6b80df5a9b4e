"""The sockets of an endpoint, by role. Sends, and keeps what the kernel has no room for yet; receives nothing."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import trio

from holepunch.core import CLIENT, Role

if TYPE_CHECKING:
    from collections.abc import Callable

    from holepunch.address import Address
    from holepunch.udp import Network, UdpSocket
    from holepunch.udx import Transmit

__all__ = ["SocketTable"]

BACKLOG = 4 << 20
"""Bytes that wait for a socket whose kernel buffer is full. What comes on top is lost, as it would be in the kernel."""


class SocketTable:
    """The sockets by role. Implements `holepunch.core.Sockets`."""

    def __init__(self, network: Network, host: str) -> None:
        self._network = network
        self._host = host
        self._sockets: dict[Role, UdpSocket] = {}
        self._backlogs: dict[Role, deque[tuple[bytes, int, Address, bool]]] = {}
        self._next_role = CLIENT + 1
        self.on_open: Callable[[Role, UdpSocket], None]
        self.on_blocked: Callable[[Role, UdpSocket], None]

    def bind(self, role: Role, port: int) -> None:
        self._adopt(role, self._network.bind(self._host, port))

    def open(self) -> Role:
        role = self._next_role
        # punch sockets leave by the default route whatever the main sockets are bound to, unless that is loopback
        self._adopt(role, self._network.bind(self._host, 0))
        self._next_role += 1
        return role

    def _adopt(self, role: Role, socket: UdpSocket) -> None:
        self._sockets[role] = socket
        self.on_open(role, socket)

    def close(self, role: Role) -> None:
        socket = self._sockets.pop(role, None)
        self._backlogs.pop(role, None)
        if socket is not None:
            socket.close()

    def close_all(self) -> None:
        for role in list(self._sockets):
            self.close(role)

    def __len__(self) -> int:
        return len(self._sockets)

    def local_address(self, role: Role) -> Address:
        return self._sockets[role].local_address

    def send(self, role: Role, data: bytes, to: Address, ttl: int = 0) -> None:
        socket = self._sockets.get(role)
        # one datagram that does not fit the kernel's buffer is lost: whoever sent it repeats it
        if socket is not None:
            socket.send((data,), to, ttl)

    def transmit(self, transmit: Transmit) -> None:
        """Send a run of datagrams; what the kernel has no room for waits, in order, up to `BACKLOG`."""
        role, to, buffers, segment, fragment = transmit
        socket = self._sockets.get(role)
        if socket is None:
            return
        backlog = self._backlogs.get(role)
        if backlog is None and socket.send_segments(buffers, segment, to, fragment):
            return
        if backlog is None:
            backlog = self._backlogs[role] = deque()
            self.on_blocked(role, socket)
        if sum(len(run) for run, *_ in backlog) < BACKLOG:
            backlog.append((b"".join(buffers), segment, to, fragment))

    async def drain_backlog(self, role: Role, socket: UdpSocket) -> None:
        """Send what waits, as the kernel makes room."""
        while True:
            try:
                await socket.wait_writable()
            except trio.ClosedResourceError:
                return
            backlog = self._backlogs.get(role)
            while backlog:
                run, segment, to, fragment = backlog[0]
                if not socket.send_segments((run,), segment, to, fragment):
                    break
                backlog.popleft()
            else:
                self._backlogs.pop(role, None)
                return
