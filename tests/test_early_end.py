"""A peer that finds the path first, and is gone before this side knows of it."""

from __future__ import annotations

import random

import trio
import trio.testing

from holepunch.core import SERVER
from holepunch.endpoint import Endpoint
from holepunch.keys import KeyPair
from holepunch.secure.noise import Handshake
from holepunch.stream import EncryptedStream
from holepunch.udp.system import SystemNetwork


async def test_stream_that_ended_before_it_was_connected_is_told_and_forgotten() -> None:
    keys = [KeyPair.from_seed(bytes([n]) * 32) for n in (1, 2, 3, 4)]
    dialler = Handshake("IK", True, keys[0], keys[1].public_key, b"", keys[2])
    server = Handshake("IK", False, keys[1], None, b"", keys[3])
    server.read(dialler.write())
    dialler.read(server.write())
    rng = random.Random(1)
    a, b = (Endpoint(SystemNetwork(), "127.0.0.1", random.Random(n)) for n in (2, 3))
    seen, ended = trio.Event(), []
    async with a.running(0), b.running(0):

        def let_in(role: int, source: object) -> bool:
            seen.set()
            return True

        own, other = a.streams.open(let_in), b.streams.open(lambda role, source: False)
        b.streams.connect(other, SERVER, a.sockets.local_address(SERVER), own)
        quick = EncryptedStream(b, b.streams[other], server.session, rng)
        quick.start()
        quick.destroy()
        with trio.fail_after(5):
            await seen.wait()
            await trio.testing.wait_all_tasks_blocked(0.01)
        a.streams.connect(own, SERVER, b.sockets.local_address(SERVER), other)
        stream = EncryptedStream(a, a.streams[own], dialler.session, rng)
        stream.on_close = lambda: ended.append(stream.cause)
        stream.start()
        assert [type(cause).__name__ for cause in ended] == ["Reset"]
        assert stream.is_closed
        assert len(a.streams) == 0
        await stream.aclose()
