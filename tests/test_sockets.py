"""What an endpoint's sockets do with runs that the system has no room for."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest
import trio

from holepunch.address import Address
from holepunch.core import SERVER
from holepunch.sockets import BACKLOG, SocketTable
from holepunch.udx import Transmit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holepunch.compact import Buffer
    from holepunch.udp import Network, UdpSocket

TO = Address("192.0.2.1", 1)


class Full:
    """A socket without room, until it is given some."""

    local_address = Address("192.0.2.2", 2)

    def __init__(self) -> None:
        self.room = False
        self.sent: list[tuple[bytes, int, bool]] = []

    def send_segments(self, buffers: Sequence[Buffer], segment: int, to: Address, fragment: bool = False) -> bool:
        if self.room:
            self.sent.append((b"".join(buffers), segment, fragment))
        return self.room

    async def wait_writable(self) -> None:
        await trio.lowlevel.checkpoint()


class Bound:
    def __init__(self, socket: Full) -> None:
        self._socket = socket

    def bind(self, host: str, port: int) -> UdpSocket:
        return cast("UdpSocket", self._socket)


@pytest.fixture
def full() -> Full:
    return Full()


@pytest.fixture
def table(full: Full) -> SocketTable:
    table = SocketTable(cast("Network", Bound(full)), "0.0.0.0")
    table.on_open = table.on_blocked = lambda role, socket: None
    table.bind(SERVER, 0)
    return table


async def test_what_waits_for_room_is_a_copy_for_a_peer_may_acknowledge_what_has_not_left(
    full: Full, table: SocketTable
) -> None:
    payload = bytearray(b"first second")
    table.transmit(Transmit(SERVER, TO, [payload], 6))
    table.transmit(Transmit(SERVER, TO, [memoryview(payload)[:5]], 5, fragment=True))
    payload[:] = b"somebody's  "
    full.room = True
    await table.drain_backlog(SERVER, cast("UdpSocket", full))
    assert full.sent == [(b"first second", 6, False), (b"first", 5, True)]


async def test_what_waits_is_bounded(full: Full, table: SocketTable) -> None:
    run = bytes(1 << 16)
    for _ in range(2 * BACKLOG // len(run)):
        table.transmit(Transmit(SERVER, TO, [run], 1024))
    full.room = True
    await table.drain_backlog(SERVER, cast("UdpSocket", full))
    assert len(full.sent) == BACKLOG // len(run)
