"""Connections that wait for the application: what ended meanwhile keeps nobody out, and what was asked for gets in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

if TYPE_CHECKING:
    from swarm import Connection, Swarm
    from tests.contract import World

pytestmark = pytest.mark.virtual_time


async def test_peers_that_came_and_went_while_nobody_looked_keep_nobody_out(world: World) -> None:
    async with world.swarm(max_peers=2) as server:
        server.join("room", client=False)
        await server.flush()
        for _ in range(5):
            async with world.swarm() as passer_by:
                await passer_by.connect(server.public_key)
                await trio.sleep(1)
                assert len(server.connections) == 1
            await trio.sleep(1)
        async with world.swarm() as client:
            await client.connect(server.public_key)
            with trio.fail_after(1):
                connection = await anext(server)
            assert connection.remote_public_key == client.public_key


async def test_what_a_peer_said_before_it_left_is_still_received(world: World) -> None:
    async with world.swarm(max_peers=2) as server:
        server.join("room", client=False)
        await server.flush()
        async with world.swarm() as passer_by:
            connection = await passer_by.connect(server.public_key)
            await connection.send_frame(b"I was here")
            await trio.sleep(1)
            connection.destroy()
        await trio.sleep(1)
        assert server.connections == ()
        connection = await anext(server)
        assert await connection.receive_frame() == b"I was here"
        with pytest.raises(trio.BrokenResourceError):
            await connection.receive_frame()


async def test_a_living_peer_is_worth_more_than_what_those_said_that_left(world: World) -> None:
    async with world.swarm(max_peers=1) as server:
        server.join("room", client=False)
        await server.flush()
        for _ in range(2):
            async with world.swarm() as client:
                connection = await client.connect(server.public_key)
                await connection.send_frame(b"I was here")
                await trio.sleep(1)
                assert [one.remote_public_key for one in server.connections] == [client.public_key]
            await trio.sleep(20)


async def test_peers_that_the_application_asked_for_wait_on_top_of_max_peers(world: World) -> None:
    async with world.swarm(max_peers=1) as server, world.swarm() as other, world.swarm() as friend:
        for swarm in (other, friend):
            swarm.join("room", client=False)
            await swarm.flush()
        server.join("room", server=False)
        await server.flush()
        for swarm in (other, friend):
            server.join_peer(swarm.public_key)
        await trio.sleep(5)
        assert len(server.connections) == 2
        with trio.fail_after(1):
            keys = {(await anext(server)).remote_public_key for _ in range(2)}
        assert keys == {other.public_key, friend.public_key}


async def test_listener_of_a_node_forgets_those_that_left_too(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swarm.dht.listener.BACKLOG", 2)
    async with world.dht() as server, world.dht() as client:
        listener = await server.listen()
        for _ in range(4):
            (await client.connect(listener.public_key)).destroy()
            await trio.sleep(1)
        await client.connect(listener.public_key)
        with trio.fail_after(1):
            connection = await anext(listener)
        assert not connection.is_closed


async def test_taker_that_is_cancelled_takes_nothing(world: World) -> None:
    got: list[Connection] = []

    async def take(swarm: Swarm) -> None:
        got.append(await anext(swarm))

    async with world.swarm() as server, world.swarm() as client:
        server.join("room", client=False)
        await server.flush()
        with trio.move_on_after(1):
            await take(server)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(take, server)
            nursery.start_soon(take, server)
            await client.connect(server.public_key)
            await trio.sleep(1)
            assert len(got) == 1
            nursery.cancel_scope.cancel()
        assert len(got) == 1
