"""Whether the peer of a stream is there, asked and answered by packets alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from holepunch.testing import Link, VirtualNetwork
from tests.pairs import stream_pair

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from holepunch.ping import Ping
    from holepunch.stream import EncryptedStream
    from holepunch.testing import VirtualHost

pytestmark = pytest.mark.virtual_time

Ends = tuple["EncryptedStream", "EncryptedStream", "VirtualHost", "VirtualHost"]


@pytest.fixture(params=[0.005, 0.15])
async def ends(request: pytest.FixtureRequest) -> AsyncIterator[Ends]:
    """Both ends of a stream, and their hosts, some time after it opened."""
    async with VirtualNetwork() as network:
        hosts = network.host(link=Link(delay=request.param)), network.host()
        async with stream_pair(hosts) as (a, b):
            await trio.sleep(2)
            yield a, b, *hosts


async def asked(stream: EncryptedStream) -> tuple[Ping, float]:
    stream._endpoint.now()  # as where datagrams and timers are dealt with
    ping = stream.ping()
    assert ping is not None
    assert not ping.answered
    return ping, ping.due - trio.current_time()


async def test_peer_that_is_there_answers_in_time_although_nobody_reads(ends: Ends) -> None:
    a, b, _, _ = ends
    for stream in (a, b):
        ping, patience = await asked(stream)
        await trio.sleep(patience / 3)
        assert ping.answered


async def test_peer_that_is_gone_does_not_answer(ends: Ends) -> None:
    a, _, _, host = ends
    host.sleep()
    ping, patience = await asked(a)
    await trio.sleep(patience)
    assert not ping.answered
    await trio.sleep(15)
    assert a.is_closed


async def test_question_that_was_lost_is_answered_in_time_all_the_same(ends: Ends) -> None:
    a, _, _, host = ends
    host.sleep()
    ping, patience = await asked(a)
    assert a.path.rtt is not None
    await trio.sleep(a.path.rtt)
    host.wake()
    await trio.sleep(patience - a.path.rtt)
    assert ping.answered


async def test_on_a_path_that_loses_packets_an_answer_comes_in_time(ends: Ends) -> None:
    a, _, host, _ = ends
    host.link = Link(delay=host.link.delay, loss=0.05)
    for _ in range(50):
        ping, patience = await asked(a)
        await trio.sleep(patience)
        assert ping.answered


async def test_asking_writes_nothing_unless_the_peer_is_silent(ends: Ends) -> None:
    a, _, _, host = ends
    written = a.message_bytes
    _, patience = await asked(a)
    await trio.sleep(patience)
    assert a.message_bytes == written
    host.sleep()
    _, patience = await asked(a)
    await trio.sleep(patience + 0.01)
    assert a.message_bytes > written


async def test_stream_whose_own_direction_ended_can_ask(ends: Ends) -> None:
    a, _, _, _ = ends
    await a.send_eof()
    ping, patience = await asked(a)
    await trio.sleep(patience / 2)
    assert ping.answered


async def test_stream_that_ended_cannot_ask(ends: Ends) -> None:
    _, b, _, _ = ends
    b.destroy()
    assert b.ping() is None
