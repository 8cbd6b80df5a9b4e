"""Many peers behind one NAT that dial one peer at once: all get through, and nobody sends more than is documented."""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING, cast

import pytest
import trio

from holepunch.punch.limits import PROBES_PER_SECOND
from holepunch.punch.strategies import BIRTHDAY_SOCKETS, TICK
from holepunch.testing import Link, VirtualNetwork
from swarm import Swarm
from tests.sim.scene import DELAY, echo, start_dht

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holepunch.address import Address
    from holepunch.compact import Buffer
    from holepunch.testing import VirtualHost
    from holepunch.testing.network import VirtualSocket
    from holepunch.udp import UdpSocket

pytestmark = pytest.mark.virtual_time

CROWD = 10
OTHERS = 50
"""Probes per second besides those of a search: the first to each address, and the echoes."""


class CountingNetwork:
    """A host, and the one-byte datagrams that leave it, by the second."""

    def __init__(self, host: VirtualHost) -> None:
        self.probes: Counter[int] = Counter()
        self.local_hosts = host.local_hosts
        self.resolve = host.resolve
        self._host = host

    def bind(self, host: str, port: int) -> UdpSocket:
        return cast("UdpSocket", CountingSocket(self._host.bind(host, port), self.probes))


class CountingSocket:
    def __init__(self, socket: VirtualSocket, probes: Counter[int]) -> None:
        self._socket = socket
        self._probes = probes

    def __getattr__(self, name: str) -> object:
        return getattr(self._socket, name)

    def send(self, buffers: Sequence[Buffer], to: Address, ttl: int = 0) -> bool:
        if sum(map(len, buffers)) == 1:
            self._probes[int(trio.current_time())] += 1
        return self._socket.send(buffers, to, ttl)


async def test_ten_peers_behind_one_random_nat_reach_one_peer_within_its_limit_of_probes() -> None:
    async with VirtualNetwork(seed=1) as network, trio.open_nursery() as nursery:
        bootstrap = await start_dht(network, nursery)
        link = Link(delay=DELAY)
        router, there = network.nat(None, "symmetric", link=link), network.place("home", link=link)
        server_network = CountingNetwork(there)
        crowd = [CountingNetwork(router.host()) for _ in range(CROWD)]
        topic = bytes(32)
        arrived = 0
        all_arrived = trio.Event()

        async def visit(host: CountingNetwork, seed: int) -> None:
            nonlocal arrived
            async with Swarm(bootstrap=bootstrap, network=host, rng=random.Random(seed)) as swarm:
                swarm.join(topic, server=False)
                connection = await anext(swarm)
                await connection.send_frame(b"hello")
                assert await connection.receive_frame() == b"hello"
                arrived += 1
                if arrived == CROWD:
                    all_arrived.set()
                await all_arrived.wait()

        async with Swarm(bootstrap=bootstrap, network=server_network, rng=random.Random(99)) as server:
            nursery.start_soon(server.serve, echo)
            await server.join(topic, client=False).flushed()
            with trio.fail_after(20):
                async with trio.open_nursery() as visits:
                    for seed, host in enumerate(crowd):
                        visits.start_soon(visit, host, seed)
            assert max(server_network.probes.values()) <= PROBES_PER_SECOND + OTHERS
            for host in crowd:
                assert max(host.probes.values()) <= BIRTHDAY_SOCKETS + 1 / TICK + OTHERS
            nursery.cancel_scope.cancel()
