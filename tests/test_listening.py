"""A swarm that is reached by its key, whatever topics it is in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from swarm import BootstrapError, ConnectError, KeyPair, PublicKey, Swarm

if TYPE_CHECKING:
    from swarm import Connection
    from tests.contract import World

pytestmark = pytest.mark.virtual_time


async def reached(swarm: Swarm, other: Swarm) -> Connection:
    with trio.fail_after(30):
        connection = await anext(swarm)
    assert connection.remote_public_key == other.public_key
    return connection


async def test_swarm_without_a_topic_is_reached_by_its_key(world: World) -> None:
    async with world.swarm() as server, world.swarm() as client:
        assert await server.listen()
        assert await server.listen(), "a second time"
        client.join_peer(server.public_key)
        await reached(server, client)


async def test_swarm_that_does_not_listen_is_not_reached(world: World) -> None:
    async with world.swarm() as server, world.swarm() as client:
        await server.dht.bootstrapped()
        with pytest.raises(ConnectError):
            await client.connect(server.public_key)


async def test_who_is_not_allowed_does_not_come_in_by_key_either(world: World) -> None:
    async with world.swarm(allow=lambda key: False) as server, world.swarm() as client:
        await server.listen()
        with pytest.raises(ConnectError):
            await client.connect(server.public_key)


async def test_topics_come_and_go_while_it_listens(world: World) -> None:
    async with world.swarm() as server, world.swarm() as client:
        await server.listen()
        async with server.join("room"):
            await server.flush()
        await client.connect(server.public_key)
        await reached(server, client)


async def test_suspended_swarm_listens_again_when_it_comes_back(world: World) -> None:
    async with world.swarm() as server, world.swarm() as client:
        await server.listen()
        await server.suspend()
        with pytest.raises(ConnectError):
            await client.connect(server.public_key)
        await server.resume()
        assert await server.listen()
        await client.connect(server.public_key)


async def test_listening_while_suspended_waits_for_the_resume_but_holds_nobody_up(world: World) -> None:
    async with world.swarm() as server, world.swarm() as client:
        await server.dht.bootstrapped()
        await server.suspend()
        assert not await server.listen()
        await server.resume()
        await trio.sleep(5)
        await client.connect(server.public_key)


async def test_suspend_ends_the_wait_for_the_announcement(world: World) -> None:
    results: list[bool] = []

    async def listen(swarm: Swarm) -> None:
        results.append(await swarm.listen())

    async with world.swarm() as server, trio.open_nursery() as nursery:
        await server.dht.bootstrapped()
        nursery.start_soon(listen, server)
        await trio.sleep(0.001)
        await server.suspend()
        await trio.lowlevel.checkpoint()
        assert results == [False]


async def test_without_a_network_the_error_says_so(world: World) -> None:
    async with Swarm(bootstrap=["192.88.99.200:49737"], network=world.network.host()) as swarm:
        with pytest.raises(BootstrapError):
            await swarm.listen()


async def test_node_of_a_swarm_does_not_take_the_key_that_the_swarm_listens_for(world: World) -> None:
    async with world.swarm() as swarm:
        await swarm.listen()
        with pytest.raises(ValueError, match=r"Swarm\.listen\(\)") as caught:
            await swarm.dht.listen()
        assert str(swarm.public_key) in str(caught.value)


async def test_swarm_does_not_take_the_key_that_its_node_listens_for(world: World) -> None:
    async with world.swarm() as swarm, world.swarm() as client:
        listener = await swarm.dht.listen()
        client_session = swarm.join("looked up only", server=False)
        for client_too in (True, False):
            with pytest.raises(ValueError, match=r"Swarm\.listen\(\)") as caught:
                swarm.join("room", client=client_too)
            assert str(swarm.public_key) in str(caught.value)
        with pytest.raises(ValueError, match=r"Swarm\.listen\(\)"):
            await client_session.refresh(server=True)
        with pytest.raises(ValueError, match=r"Swarm\.listen\(\)"):
            await swarm.listen()
        assert swarm.stats().topics == 1
        await client.connect(swarm.public_key)
        await listener.aclose()
        assert await swarm.join("room").flushed()


async def test_key_that_is_listened_for_is_named(world: World) -> None:
    pair = KeyPair.generate()
    async with world.swarm() as swarm, world.swarm() as client:
        listener = await swarm.dht.listen(pair)
        for again in (swarm.dht.listen, swarm.dht.relay):
            with pytest.raises(ValueError, match=str(PublicKey(pair.public_key))):
                await again(pair)
        await client.dht.connect(pair.public_key)
        await anext(listener)
        await listener.aclose()
