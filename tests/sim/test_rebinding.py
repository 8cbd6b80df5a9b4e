"""A router that forgets, or moves, what it gave out while two peers talk through it."""

from __future__ import annotations

import pytest
import trio

from tests.sim.scene import scene

pytestmark = pytest.mark.virtual_time

PAIRS = [("home", "home"), ("fullcone", "home"), ("home", "fullcone")]


@pytest.mark.parametrize("side", ["server", "client"])
@pytest.mark.parametrize(("server", "client"), PAIRS)
async def test_a_flushed_router_breaks_no_connection(server: str, client: str, side: str) -> None:
    for seed in range(3):
        async with scene(server, client, seed) as made:
            await made.decided()
            await trio.sleep(3)
            host = made.server_host if side == "server" else made.client_host
            host.boxes[-1].flush()
            with trio.fail_after(5):
                await made.echo_of_now()
            assert len(made.opened) == 1


@pytest.mark.parametrize("how", ["port", "address"])
@pytest.mark.parametrize("side", ["server", "client"])
@pytest.mark.parametrize(("server", "client"), PAIRS)
async def test_a_peer_that_moved_is_found_again_within_seconds(server: str, client: str, side: str, how: str) -> None:
    async with scene(server, client, 0) as made:
        await made.decided()
        await trio.sleep(3)
        box = (made.server_host if side == "server" else made.client_host).boxes[-1]
        if how == "port":
            box.rebind()
        else:
            box.change_address()
        with trio.fail_after(6):
            await made.echo_of_now()


@pytest.mark.parametrize("how", ["port", "address"])
async def test_a_side_that_everyone_reaches_follows_its_peer_within_the_connection(how: str) -> None:
    async with scene("fullcone", "home", 0) as made:
        await made.decided()
        await trio.sleep(3)
        box = made.client_host.boxes[-1]
        if how == "port":
            box.rebind()
        else:
            box.change_address()
        with trio.fail_after(1):
            await made.echo_of_now()
        assert len(made.opened) == 1
