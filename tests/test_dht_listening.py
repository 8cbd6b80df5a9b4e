"""A key that is listened for on a DHT node: begun, cancelled, asked for twice, and left with the block."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from holepunch.secure.secretstream import EMPTY_FRAME, MAX_CONTROLS
from swarm import DHT, KeyPair

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from swarm import Connection
    from swarm.dht.dialling import Dialling
    from swarm.dht.listener import Listener
    from tests.contract import World

pytestmark = pytest.mark.virtual_time

PAIR = KeyPair.from_seed(bytes(32))

LISTEN = pytest.mark.parametrize("listen", [DHT.listen, DHT.relay])


async def announced(world: World) -> int:
    """How many nodes relay to the key."""
    async with world.dht() as node:
        return len([found async for found in node.find_peer(PAIR.public_key)])


async def connects(client: DHT, listener: Listener) -> None:
    with trio.fail_after(10):
        connection = await client.connect(PAIR.public_key)
        assert (await anext(aiter(listener))).handshake_hash == connection.handshake_hash


@LISTEN
@pytest.mark.parametrize("seconds", [0.0, 0.03, 0.05, 0.07])
async def test_listening_that_was_cancelled_leaves_nothing_and_may_begin_again(
    world: World, listen: Callable[[DHT, KeyPair], Awaitable[object]], seconds: float
) -> None:
    async with world.dht() as node:
        await node.bootstrapped()
        with trio.move_on_after(seconds) as scope:
            await listen(node, PAIR)
        assert scope.cancelled_caught
        await trio.sleep(30)
        assert await announced(world) == 0
        await listen(node, PAIR)
        assert await announced(world) == 3
    assert await announced(world) == 0


@LISTEN
async def test_listening_again_at_once_after_a_cancellation_stays_announced(
    world: World, listen: Callable[[DHT, KeyPair], Awaitable[object]]
) -> None:
    async with world.dht() as node:
        await node.bootstrapped()
        for _ in range(3):
            with trio.move_on_after(0.05) as scope:
                await listen(node, PAIR)
            assert scope.cancelled_caught
        await listen(node, PAIR)
        await trio.sleep(30)
        assert await announced(world) == 3


@LISTEN
async def test_key_that_is_listened_for_already_is_refused_and_goes_on(
    world: World, listen: Callable[[DHT, KeyPair], Awaitable[object]]
) -> None:
    async with world.dht() as client:
        async with world.dht() as node:
            listener = await node.listen(PAIR)
            for _ in range(2):
                with pytest.raises(ValueError, match="listened for already"):
                    await listen(node, PAIR)
            await connects(client, listener)
        with trio.fail_after(1), pytest.raises(trio.ClosedResourceError):
            await anext(aiter(listener))
        assert await announced(world) == 0


async def test_connection_that_comes_the_moment_its_dial_is_cancelled_is_closed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world.dht() as node, world.dht() as client:
        listener = await node.listen(PAIR)
        scope, opened = trio.CancelScope(), []
        dial = client.dial

        def dial_and_cancel(*args: Any) -> Dialling:
            key_pair, key, relays, done, *rest = args

            def on_open(connection: Connection) -> None:
                opened.append(connection)
                scope.cancel()
                done(connection)

            return dial(key_pair, key, relays, on_open, *rest)

        monkeypatch.setattr(client, "dial", dial_and_cancel)
        with scope:
            await client.connect(PAIR.public_key)
        assert scope.cancelled_caught
        assert opened[0].is_closed
        # the other end breaks, or has left the queue by then
        with pytest.raises((trio.BrokenResourceError, trio.TooSlowError)), trio.fail_after(10):
            await (await anext(aiter(listener))).receive_some()


async def test_closed_listener_makes_room_for_another_and_closing_it_again_does_not_touch_that(world: World) -> None:
    async with world.dht() as client, world.dht() as node:
        first = await node.listen(PAIR)
        await first.aclose()
        assert await announced(world) == 0
        second = await node.listen(PAIR)
        await first.aclose()
        first.close()
        await connects(client, second)


async def test_closing_that_was_cancelled_is_done_in_the_background(world: World) -> None:
    async with world.dht() as node:
        listener = await node.listen(PAIR)
        with trio.move_on_after(0):
            await listener.aclose()
        await trio.sleep(2)
        assert await announced(world) == 0


async def test_two_nodes_share_keep_alives_and_need_no_topic_for_it(world: World) -> None:
    async with world.dht() as server, world.dht() as client:
        listener = await server.listen(PAIR)
        dialled = await client.connect(PAIR.public_key)
        accepted = await anext(aiter(listener))
        assert dialled.controls_agreed
        assert accepted.controls_agreed
        await trio.sleep(100)
        assert 100 / 6.5 <= sum(dialled.message_bytes) / EMPTY_FRAME <= 100 / 4.5


async def test_node_without_topics_ignores_those_of_a_swarm(world: World) -> None:
    async with world.dht() as client, world.swarm(PAIR) as server:
        await server.listen()
        dialled = await client.connect(PAIR.public_key)
        accepted = await anext(server)
        for number in range(2 * MAX_CONTROLS):
            server.join(f"topic {number % 2}", client=False)
            await trio.sleep(0.1)
            await server.leave(f"topic {number % 2}")
        await accepted.send_all(b"still here")
        assert await dialled.receive_some() == b"still here"
        assert dialled.topics == ()
