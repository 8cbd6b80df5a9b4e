"""The endpoint over real sockets: what leaves when."""

from __future__ import annotations

import random
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from holepunch.endpoint import Endpoint
from holepunch.udp.system import SystemNetwork
from tests.pairs import connected

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from holepunch.stream import EncryptedStream
    from holepunch.udx import UdxStream


@asynccontextmanager
async def ends() -> AsyncIterator[tuple[EncryptedStream, EncryptedStream, UdxStream]]:
    """Both ends of a stream, and the core of the first one."""
    network = SystemNetwork()
    a, b = (Endpoint(network, "127.0.0.1", random.Random(seed)) for seed in (1, 2))
    local_id = random.Random(1).randrange(1, 1 << 32)
    async with a.running(0), b.running(0):
        left, right = connected(a, b)
        yield left, right, a.streams[local_id].core


async def receive(stream: EncryptedStream, size: int) -> bytes:
    received = b""
    while len(received) < size:
        received += await stream.receive_some()
    return received


async def test_small_writes_of_one_turn_share_packets() -> None:
    async with ends() as (left, right, core):
        before = core.packets_sent
        for number in range(100):
            await left.send_all(number.to_bytes(1, "big") * 10)
        assert await receive(right, 1000) == b"".join(bytes([number]) * 10 for number in range(100))
        assert core.packets_sent - before < 10


async def test_write_is_not_held_back_until_the_next_one() -> None:
    async with ends() as (left, right, _):
        for number in range(100):
            await left.send_all(b"ping%02d" % number)
            assert await receive(right, 6) == b"ping%02d" % number


async def test_what_was_written_before_the_end_arrives() -> None:
    async with ends() as (left, right, _):
        for _ in range(50):
            await left.send_all(b"0123456789")
        await left.send_eof()
        assert await receive(right, 500) == b"0123456789" * 50
        assert await right.receive_some() == b""
