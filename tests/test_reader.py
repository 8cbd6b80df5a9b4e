"""How an endpoint's reader answers: with as few packets as a dialogue takes, and whether or not anybody reads."""

from __future__ import annotations

import trio
import trio.testing

from holepunch.testing import VirtualNetwork
from tests.pairs import stream_pair

ROUNDS = 50


async def test_an_answer_carries_the_acknowledgement() -> None:
    async with stream_pair() as (a, b), trio.open_nursery() as nursery:

        async def echo() -> None:
            while message := await b.receive_some():
                await b.send_all(message)

        nursery.start_soon(echo)
        await a.send_all(b"warm up")
        await a.receive_some()
        before = a._raw.core.packets_received
        for _ in range(ROUNDS):
            await a.send_all(b"ping")
            assert await a.receive_some() == b"ping"
        # one packet each way, where a packet of its own for each ACK would make it two
        assert a._raw.core.packets_received - before < ROUNDS * 1.2
        await a.send_eof()


async def test_what_the_application_leaves_unread_is_acknowledged_too(autojump_clock: trio.testing.MockClock) -> None:
    async with (
        VirtualNetwork() as net,
        stream_pair((net.host("192.88.99.1"), net.host("192.88.99.2"))) as (a, _),
    ):
        for _ in range(ROUNDS):
            await a.send_all(b"is anybody there?")
            await trio.sleep(0.3)
            assert a._raw.core.idle
        assert a._raw.core.packets_retransmitted == 0


async def test_many_dialogues_at_once_all_go_on() -> None:
    async with stream_pair() as first, stream_pair() as second, stream_pair() as third, trio.open_nursery() as nursery:

        async def echo(stream: trio.abc.Stream) -> None:
            while message := await stream.receive_some():
                await stream.send_all(message)

        async def ask(stream: trio.abc.HalfCloseableStream) -> None:
            for _ in range(ROUNDS):
                await stream.send_all(b"ping")
                assert await stream.receive_some() == b"ping"
            await stream.send_eof()

        for a, b in (first, second, third):
            nursery.start_soon(echo, b)
            nursery.start_soon(ask, a)
