"""Real routers that forget, or move, what they gave out while two peers talk through them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from tests.nat.meeting import dht, meeting

if TYPE_CHECKING:
    from tests.nat.lab import Lab

PATIENCE = 10.0
"""Seconds. It takes 3.5 on a machine that has time; a connection that nobody mends is given up after 13."""


@pytest.mark.parametrize("side", ["server", "client"])
async def test_a_flushed_router_breaks_no_connection(lab: Lab, side: str) -> None:
    server, client = lab.place("home"), lab.place("home")
    async with dht(lab) as bootstrap, meeting(bootstrap, server.host, client.host, pings=True) as met:
        await met.echo_of_now()
        (server if side == "server" else client).routers[0].apply()
        with trio.fail_after(PATIENCE):
            await met.echo_of_now()
        assert met.opened == 1


@pytest.mark.parametrize(("side", "how"), [("client", "ports"), ("server", "address")])
async def test_a_peer_that_moved_is_found_again_within_seconds(lab: Lab, side: str, how: str) -> None:
    server, client = lab.place("home"), lab.place("home")
    async with dht(lab) as bootstrap, meeting(bootstrap, server.host, client.host, pings=True) as met:
        await met.echo_of_now()
        router = (server if side == "server" else client).routers[0]
        if how == "ports":
            router.rebind()
        else:
            router.change_address()
        with trio.fail_after(PATIENCE):
            await met.echo_of_now()


async def test_a_peer_that_everyone_reaches_follows_the_other_within_the_connection(lab: Lab) -> None:
    server, client = lab.place("fullcone"), lab.place("home")
    async with dht(lab) as bootstrap, meeting(bootstrap, server.host, client.host, pings=True) as met:
        await met.echo_of_now()
        client.routers[0].rebind()
        with trio.fail_after(PATIENCE):
            await met.echo_of_now()
        assert met.opened == 1
