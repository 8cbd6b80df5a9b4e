"""`Swarm.serve`: a handler for each connection, what may be one, and what becomes of its errors."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import pytest
import trio

if TYPE_CHECKING:
    from swarm import Connection
    from tests.contract import World

pytestmark = pytest.mark.virtual_time


async def test_serve_runs_a_handler_for_each_and_outlives_their_errors(world: World) -> None:
    served: list[bytes] = []

    async def handler(connection: Connection) -> None:
        data = await connection.receive_some()
        served.append(data)
        await connection.send_all(data.upper())
        raise RuntimeError("a handler's own error")

    async with world.swarm() as server, trio.open_nursery() as nursery:
        server.join("echo", client=False)
        await server.flush()
        await nursery.start(server.serve, handler)
        for word in (b"one", b"two"):
            async with world.swarm() as client:
                connection = await client.connect(server.public_key)
                await connection.send_all(word)
                assert await connection.receive_some() == word.upper()
                assert await connection.receive_some() == b""
        assert served == [b"one", b"two"]
        nursery.cancel_scope.cancel()


async def test_strict_serve_lets_a_handler_s_error_out(world: World) -> None:
    async def handler(connection: Connection) -> None:
        raise LookupError("mine")

    async with world.swarm() as server, world.swarm() as client:
        server.join("strict", client=False)
        await server.flush()
        with pytest.RaisesGroup(LookupError, flatten_subgroups=True):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(partial(server.serve, handler, strict=True))
                await client.connect(server.public_key)
                await trio.sleep_forever()


async def takes_none() -> None:
    pass


async def generates(connection: Connection) -> Any:
    yield connection


@pytest.mark.parametrize("handler", [5, None, "handler", takes_none, generates, lambda: None])
async def test_serve_refuses_what_can_be_no_handler_at_once(world: World, handler: Any) -> None:
    async with world.swarm() as swarm:
        with pytest.raises(TypeError, match="a handler is an async function of one connection"), trio.fail_after(1):
            await swarm.serve(handler)


async def test_handler_that_is_not_async_ends_serve(world: World) -> None:
    async with world.swarm() as server, world.swarm() as client:
        server.join("x", client=False)
        await server.flush()
        await client.connect(server.public_key)
        with pytest.raises(TypeError, match="returned None"), trio.fail_after(1):
            await server.serve(cast("Any", lambda connection: None))


async def test_handler_may_be_a_function_that_returns_what_is_awaited(world: World) -> None:
    async with world.swarm() as server, world.swarm() as client, trio.open_nursery() as nursery:
        server.join("x", client=False)
        await server.flush()
        nursery.start_soon(server.serve, lambda connection: connection.send_all(b"hello"))
        connection = await client.connect(server.public_key)
        assert await connection.receive_some() == b"hello"
        nursery.cancel_scope.cancel()


async def test_connection_that_was_lost_in_a_task_of_its_handler_is_no_error(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(connection: Connection) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connection.receive_some)
            nursery.start_soon(connection.receive_datagram)

    caplog.set_level(logging.INFO, "swarm.serving")
    async with world.swarm() as server, trio.open_nursery() as nursery:
        server.join("x", client=False)
        await server.flush()
        nursery.start_soon(server.serve, handler)
        async with world.swarm() as client:
            connection = await client.connect(server.public_key)
            await trio.sleep(1)
            connection.destroy()
            await trio.sleep(1)
        nursery.cancel_scope.cancel()
    (record,) = [record for record in caplog.records if record.name == "swarm.serving"]
    assert record.levelno == logging.INFO
    assert record.exc_info is None
