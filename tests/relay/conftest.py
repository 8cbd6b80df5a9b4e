"""A virtual internet with a DHT and a blind relay, on which swarms and nodes are placed behind NATs; and two muxes."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from holepunch.testing import Link, VirtualNetwork
from swarm import DHT
from swarm.testing import Testnet
from tests.relay.muxes import Two

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from holepunch.testing import VirtualHost
    from swarm.dht.relay import Relay


class World:
    """Delays are 15 ms a link, as in a city; nodes are seven, so that NATs can be judged."""

    def __init__(self, network: VirtualNetwork, net: Testnet) -> None:
        self.network = network
        self.net = net
        self.hosts: list[VirtualHost] = []
        """Of the nodes, in the order of their making."""

    @asynccontextmanager
    async def node(self, place: str = "open", **options: object) -> AsyncIterator[DHT]:
        host = self.network.place(place, link=Link(delay=0.015))
        self.hosts.append(host)
        async with DHT(bootstrap=self.net.bootstrap, network=host, **options) as dht:  # type: ignore[arg-type]
            await dht.bootstrapped()
            yield dht

    @asynccontextmanager
    async def relay(self) -> AsyncIterator[Relay]:
        async with self.node(ephemeral=False, firewalled=False) as dht:
            yield await dht.relay()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with VirtualNetwork(seed=7) as network:
        host = network.host("192.88.99.1", link=Link(delay=0.015))
        async with Testnet(7, host="192.88.99.1", network=host) as net:
            yield World(network, net)


@pytest.fixture
def two() -> Two:
    return Two()
