"""A private network of one DHT node: STUN servers are the witnesses that its peers lack.

Over the virtual network in real time: its clock cannot wait for threads.
"""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio

from holepunch.testing import VirtualNetwork
from swarm import DHT, ConnectError, Reason
from swarm.testing import Testnet
from tests.nat_stun.servers import honest, server_on

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SERVERS = ("stun1.example", "stun2.example", "stun3.example")


@asynccontextmanager
async def peers(*kinds: str, stun: bool = True) -> AsyncIterator[list[DHT]]:
    """Peers in these places, and a DHT of one node."""
    async with VirtualNetwork(seed=3) as network, AsyncExitStack() as stack:
        for number, name in enumerate(SERVERS):
            host = network.host(f"192.88.100.{number + 1}")
            network.names[name] = list(host.addresses)
            await stack.enter_async_context(server_on(host, honest))
        entrance = network.host("192.88.99.1")
        net = await stack.enter_async_context(Testnet(1, host="192.88.99.1", network=entrance))
        servers = [f"{name}:3478" for name in SERVERS] if stun else []
        yield [
            await stack.enter_async_context(
                DHT(bootstrap=net.bootstrap, network=network.place(kind), stun_servers=servers)
            )
            for kind in kinds
        ]


@pytest.mark.parametrize(
    ("kind", "verdict"),
    [("home", "consistent"), ("home-rand", "consistent"), ("symmetric", "random"), ("symmetric-seq", "random")],
)
async def test_a_lone_node_learns_its_nat_from_stun_servers(kind: str, verdict: str) -> None:
    async with peers(kind) as (dht,):
        await dht.bootstrapped()
        async with trio.open_nursery() as nursery:
            for name in SERVERS:
                nursery.start_soon(dht.ask_stun, f"{name}:3478")
        nat = dht.nat
        assert nat.kind == verdict
        assert {witness.kind for witness in nat.witnesses} == {"dht", "stun"}
        assert all((address.port == 0) == (verdict == "random") for address in nat.public_addresses)


async def test_two_nats_are_punched_with_the_help_of_stun_servers_only() -> None:
    async with peers("home", "home-rand") as (server, client):
        listener = await server.listen()
        connection = await client.connect(listener.public_key)
        assert connection.path.kind == "direct"
        await connection.aclose()


async def test_without_them_nobody_can_tell() -> None:
    async with peers("home", "home-rand", stun=False) as (server, client):
        listener = await server.listen()
        with pytest.raises(ConnectError) as caught:
            await client.connect(listener.public_key)
        assert caught.value.reason is Reason.HOLEPUNCH_PROBE_TIMEOUT


async def test_a_verdict_from_stun_servers_says_why_two_random_nats_cannot_meet() -> None:
    async with peers("symmetric", "symmetric") as (server, client):
        listener = await server.listen()
        with pytest.raises(ConnectError) as caught:
            await client.connect(listener.public_key)
        assert caught.value.reason is Reason.HOLEPUNCH_DOUBLE_RANDOMIZED_NATS
        assert caught.value.attempt.local_nat == caught.value.attempt.remote_nat == "random"
