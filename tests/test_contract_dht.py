"""What a node of the DHT promises, as far as no other room has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from swarm import Connection, KeyPair

if TYPE_CHECKING:
    from tests.contract import World

pytestmark = pytest.mark.virtual_time

TARGET = bytes(range(32))
PAIR = KeyPair.from_seed(b"\x01" * 32)


async def test_what_is_announced_is_found_until_it_is_unannounced(world: World) -> None:
    async with world.dht() as one, world.dht() as other:
        assert (await one.announce(TARGET, PAIR)).nodes
        replies = [reply async for reply in other.lookup(TARGET)]
        assert {peer.public_key for reply in replies for peer in reply.peers} == {PAIR.public_key}
        await one.unannounce(TARGET, PAIR)
        assert [reply async for reply in other.lookup(TARGET)] == []


async def test_nodes_are_found_and_a_search_may_be_left_early(world: World) -> None:
    async with world.dht() as dht:
        found = {reply.from_ async for reply in dht.find_node(TARGET)}
        assert found == {node.local_address for node in world.net.nodes}
        for _ in range(3):
            async for _reply in dht.find_node(TARGET):
                break


async def test_values_are_found_by_hash_and_by_key(world: World) -> None:
    async with world.dht() as one, world.dht() as other:
        target = await one.immutable_put(b"a value")
        assert await other.immutable_get(target) == b"a value"
        assert await other.immutable_get(TARGET) is None
        await one.mutable_put(PAIR, b"first", seq=1)
        await one.mutable_put(PAIR, b"second", seq=2)
        found = await other.mutable_get(PAIR.public_key)
        assert found is not None
        assert (found.seq, found.value) == (2, b"second")
        assert await other.mutable_get(PAIR.public_key.hex(), seq=3) is None


async def test_listener_is_announced_when_it_is_returned_and_connected_to_by_its_key(world: World) -> None:
    async with world.dht() as server, world.dht() as client:
        listener = await server.listen(PAIR)
        assert listener.public_key == PAIR.public_key
        assert [reply async for reply in client.find_peer(listener.public_key)]
        other = KeyPair.from_seed(b"\x03" * 32)
        dialled = await client.connect(listener.public_key, key_pair=other)
        accepted = await anext(aiter(listener))
        for connection in (dialled, accepted):
            assert isinstance(connection, Connection)
        assert accepted.remote_public_key == other.public_key
        await listener.aclose()
        await listener.aclose()
        assert [connection async for connection in listener] == []
        assert [reply async for reply in client.find_peer(listener.public_key)] == []


async def test_each_connect_of_a_node_is_a_connection_of_its_own(world: World) -> None:
    async with world.dht() as server, world.dht() as client:
        listener = await server.listen()
        one, two = await client.connect(listener.public_key), await client.connect(listener.public_key)
        assert one is not two
        await one.send_all(b"one")
        await two.send_all(b"two")
        assert {await (await anext(listener)).receive_some() for _ in range(2)} == {b"one", b"two"}


async def test_ping_tells_the_round_trip_or_that_there_is_none(world: World) -> None:
    async with world.dht() as dht:
        rtt = await dht.ping(world.net.nodes[1].local_address)
        assert rtt is not None
        assert rtt >= 0
        before = trio.current_time()
        assert await dht.ping("192.88.99.99:1") is None
        assert trio.current_time() - before == pytest.approx(4, abs=0.5)
