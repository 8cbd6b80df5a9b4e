"""A connection as applications hold it: what it is, what its borders are, and when it is over."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from swarm import MessageChannel, PublicKey, Topic
from tests.contract import internet

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.contract import Pair

pytestmark = pytest.mark.virtual_time

TOPIC = Topic.from_name("a pair")


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    async with internet() as world, world.pair() as ends:
        yield ends


async def test_it_knows_both_ends(pair: Pair) -> None:
    server, client, accepted, dialled = pair
    for connection, other in ((accepted, client), (dialled, server)):
        key = connection.remote_public_key
        assert isinstance(key, PublicKey)
        assert len(key) == 32
        assert key == other.public_key
        assert connection in {accepted: 1, dialled: 2}
    assert (accepted.is_initiator, dialled.is_initiator) == (False, True)
    assert accepted.handshake_hash == dialled.handshake_hash
    assert accepted != dialled


async def test_topics_are_those_that_both_are_in(pair: Pair) -> None:
    server, client, accepted, dialled = pair
    assert (accepted.topics, dialled.topics) == ((), ())
    discovery = client.join(TOPIC, server=False)
    await client.flush()
    await trio.sleep(1)
    assert (accepted.topics, dialled.topics) == ((TOPIC,), (TOPIC,))
    assert client.peers[server.public_key].topics == (TOPIC,)
    await discovery.leave()
    await trio.sleep(1)
    assert (accepted.topics, dialled.topics) == ((), ())


async def test_path_is_there_from_the_first_moment_and_stays_after_the_last(pair: Pair) -> None:
    path = pair.dialled.path
    assert path.kind in ("direct", "lan", "relayed")
    assert type(path.kind) is str
    host, _, port = str(path.remote_address).rpartition(":")
    assert host.count(".") == 3
    assert port == str(path.remote_address.port)
    assert path.relay is None
    assert path.since <= trio.current_time()
    await pair.dialled.aclose()
    assert pair.dialled.path.remote_address == path.remote_address
    await trio.sleep(1)
    assert pair.accepted.path.kind == pair.dialled.path.kind == path.kind


async def test_frames_keep_borders_that_bytes_do_not(pair: Pair) -> None:
    await pair.dialled.send_frame(b"first")
    await pair.dialled.send_frame(b"second")
    assert await pair.accepted.receive_frame() == b"first"
    assert await pair.accepted.receive_some(3) == b"sec"
    await pair.dialled.send_frame(b"third")
    assert await pair.accepted.receive_frame() == b"ond"
    assert await pair.accepted.receive_frame() == b"third"
    await pair.dialled.send_eof()
    assert await pair.accepted.receive_frame() is None
    assert await pair.accepted.receive_some() == b""


async def test_no_bytes_are_the_end_and_nothing_else(pair: Pair) -> None:
    await pair.dialled.send_all(b"")
    with trio.move_on_after(30) as waiting:
        await pair.accepted.receive_some()
    assert waiting.cancelled_caught
    await pair.dialled.send_all(b"last")
    await pair.dialled.send_eof()
    assert await pair.accepted.receive_some() == b"last"
    assert await pair.accepted.receive_some() == b""
    await pair.accepted.send_all(b"the other way stays open")
    assert await pair.dialled.receive_some() == b"the other way stays open"


async def test_datagrams_come_beside_the_stream(pair: Pair) -> None:
    await pair.dialled.send_datagram(b"datagram")
    await pair.dialled.send_all(b"stream")
    assert await pair.accepted.receive_some() == b"stream"
    assert await pair.accepted.receive_datagram() == b"datagram"


async def test_messages_are_a_channel_of_objects(pair: Pair) -> None:
    here, there = pair.dialled.messages(), pair.accepted.messages()
    assert isinstance(here, MessageChannel)
    assert isinstance(here, trio.abc.Channel)
    for value in ({"a": [1, 2.5, None, b"x"]}, "text", True):
        await here.send(value)
        assert await there.receive() == value
    await here.aclose()
    assert [message async for message in there] == []


async def test_what_is_left_at_the_end_of_the_block_is_destroyed() -> None:
    async with internet() as world:
        async with world.pair() as (server, client, accepted, dialled):
            await dialled.send_all(b"never read")
        for connection in (accepted, dialled):
            for use in (connection.receive_some, connection.receive_frame, connection.receive_datagram):
                with pytest.raises(trio.ClosedResourceError):
                    await use()
            for send in (connection.send_all, connection.send_frame, connection.send_datagram):
                with pytest.raises(trio.ClosedResourceError):
                    await send(b"x")
            with pytest.raises(trio.ClosedResourceError):
                await connection.send_eof()
            await connection.aclose()
        assert server.connections == client.connections == ()
