"""What the tests of the public face share: a DHT on a virtual network, and the swarms and nodes on it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from holepunch.testing import VirtualNetwork
from swarm import DHT, KeyPair, Swarm
from swarm.testing import Testnet

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from swarm import Connection

__all__ = ["NOBODY", "Pair", "World", "internet"]

NOBODY = KeyPair.from_seed(bytes(32)).public_key
"""A key that nobody listens for."""


class Pair(NamedTuple):
    """A swarm that was dialled, and one that dialled it."""

    server: Swarm
    client: Swarm
    accepted: Connection
    dialled: Connection


class World:
    """Where swarms and nodes are made, each on a host of its own."""

    def __init__(self, network: VirtualNetwork, net: Testnet) -> None:
        self.network = network
        self.net = net

    def swarm(self, identity: KeyPair | None = None, **options: Any) -> Swarm:
        return Swarm(identity, **{"bootstrap": self.net.bootstrap, "network": self.network.host(), **options})

    def dht(self, **options: Any) -> DHT:
        return DHT(**{"bootstrap": self.net.bootstrap, "network": self.network.host(), **options})

    @asynccontextmanager
    async def pair(self, **options: Any) -> AsyncIterator[Pair]:
        """Two that are connected. The options are those of the server."""
        async with self.swarm(**options) as server, self.swarm() as client:
            server.join("a pair", client=False)
            await server.flush()
            dialled = await client.connect(server.public_key)
            yield Pair(server, client, await anext(server), dialled)


@asynccontextmanager
async def internet() -> AsyncIterator[World]:
    """A virtual internet with a DHT of three nodes."""
    async with VirtualNetwork() as network:
        host = network.host("192.88.99.1")
        async with Testnet(3, host="192.88.99.1", network=host) as net:
            yield World(network, net)
