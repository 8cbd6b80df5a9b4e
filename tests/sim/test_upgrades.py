"""With a relay agreed on, a pair of NATs that can be punched through is direct in the end, whatever comes first."""

from __future__ import annotations

import random

import pytest
import trio

from holepunch.testing import Link, VirtualNetwork
from swarm import DHT, Swarm
from tests.sim.scene import DELAY, echo, start_dht

pytestmark = pytest.mark.virtual_time


@pytest.mark.parametrize("client", ["open", "fullcone", "restricted", "home"])
@pytest.mark.parametrize("server", ["symmetric", "symmetric-seq"])
async def test_the_relay_is_left_when_the_punch_gets_through(server: str, client: str) -> None:
    for seed in range(4):
        async with VirtualNetwork(seed=seed) as network, trio.open_nursery() as nursery:
            bootstrap = await start_dht(network, nursery)
            host = network.host()
            there, here = (network.place(kind, link=Link(delay=DELAY)) for kind in (server, client))
            async with DHT(
                bootstrap=bootstrap, host=host.addresses[0], network=host, ephemeral=False, firewalled=False
            ) as node:
                through = (await node.relay()).public_key
                async with (
                    Swarm(bootstrap=bootstrap, network=there, relay_through=through, rng=random.Random(seed)) as a,
                    Swarm(bootstrap=bootstrap, network=here, relay_through=through, rng=random.Random(-1 - seed)) as b,
                ):
                    nursery.start_soon(a.serve, echo)
                    await a.join(bytes(32), client=False).flushed()
                    b.join(bytes(32), server=False)
                    connection = await anext(b)
                    with trio.fail_after(15):
                        while connection.path.kind != "direct":
                            await connection.send_frame(b"still here?")
                            assert await connection.receive_frame() == b"still here?"
                    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("how", ["rebind", "change_address"])
async def test_a_connection_that_left_its_relay_follows_a_peer_that_moves(how: str) -> None:
    async with VirtualNetwork(seed=1) as network, trio.open_nursery() as nursery:
        bootstrap = await start_dht(network, nursery)
        host = network.host()
        there, here = (network.place(kind, link=Link(delay=DELAY)) for kind in ("fullcone", "home"))
        async with DHT(
            bootstrap=bootstrap, host=host.addresses[0], network=host, ephemeral=False, firewalled=False
        ) as node:
            through = (await node.relay()).public_key
            async with (
                Swarm(bootstrap=bootstrap, network=there, relay_through=through, rng=random.Random(1)) as a,
                Swarm(bootstrap=bootstrap, network=here, relay_through=through, rng=random.Random(2)) as b,
            ):
                nursery.start_soon(a.serve, echo)
                await a.join(bytes(32), client=False).flushed()
                b.join(bytes(32), server=False)
                connection = await anext(b)
                for _ in range(10):
                    await connection.send_frame(b"hello")
                    assert await connection.receive_frame() == b"hello"
                    await trio.sleep(1)
                assert connection.path.kind == "direct"
                getattr(here.boxes[-1], how)()
                with trio.fail_after(1):
                    await connection.send_frame(b"still here?")
                    assert await connection.receive_frame() == b"still here?"
                assert b.connections == (connection,)
                nursery.cancel_scope.cancel()
