"""STUN servers that do what they should not, and one that does what it should. None is coturn: see `test_coturn`."""

from __future__ import annotations

import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from holepunch.address import Address
    from holepunch.udp import Network, UdpSocket

    Answer = Callable[[bytes, Address], Iterable[bytes]]

__all__ = ["attribute", "honest", "mapped", "response", "server_on", "serving"]

MAPPED, XOR_MAPPED, SOFTWARE = 0x0001, 0x0020, 0x8022


def attribute(kind: int, value: bytes, length: int | None = None) -> bytes:
    """Padded to four bytes, as RFC 5389 has it."""
    declared = len(value) if length is None else length
    return kind.to_bytes(2, "big") + declared.to_bytes(2, "big") + value + bytes(-len(value) % 4)


def mapped(address: Address, kind: int = MAPPED, family: int = 1) -> bytes:
    return attribute(kind, bytes([0, family]) + address.port.to_bytes(2, "big") + socket.inet_aton(address.host))


def response(request: bytes, *attributes: bytes, kind: int = 0x0101, length: int | None = None) -> bytes:
    body = b"".join(attributes)
    declared = len(body) if length is None else length
    return kind.to_bytes(2, "big") + declared.to_bytes(2, "big") + request[4:20] + body


def honest(request: bytes, source: Address) -> list[bytes]:
    return [response(request, attribute(SOFTWARE, b"odd"), mapped(source))]


async def _serve(sock: UdpSocket, answer: Answer) -> None:
    while True:
        await sock.wait_readable()
        for received in sock.receive():
            for data in answer(bytes(received.view), received.source):
                sock.send((data,), received.source)


@asynccontextmanager
async def server_on(network: Network, answer: Answer, host: str = "0.0.0.0", port: int = 3478) -> AsyncIterator[int]:
    """A server on a host of a network, real or virtual. Gives its port."""
    sock = network.bind(host, port)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_serve, sock, answer)
            yield sock.local_address.port
            nursery.cancel_scope.cancel()
    finally:
        sock.close()


@asynccontextmanager
async def serving(network: Network, answer: Answer = honest) -> AsyncIterator[str]:
    """A server on loopback; what to give as ``stun_servers``."""
    async with server_on(network, answer, "127.0.0.1", 0) as port:
        yield f"127.0.0.1:{port}"
