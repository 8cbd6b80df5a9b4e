"""A peer that dies without a word and comes back with its key, while the other side holds an idle connection of it."""

from __future__ import annotations

import random
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
import trio

from holepunch.testing import Link, VirtualNetwork
from swarm import KeyPair, Swarm, Topic
from tests.sim.scene import start_dht

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from holepunch.testing import VirtualHost
    from swarm import Connection

pytestmark = pytest.mark.virtual_time

ROOM = Topic.from_name("room")
SMALL, BIG = sorted((KeyPair.from_seed(bytes([n]) * 32) for n in (1, 2)), key=lambda pair: pair.public_key)
NEAR = Link(delay=0.02)
FAR = Link(delay=0.075)
"""For both peers: 300 ms round trip."""
QUIET = 4.0
"""Seconds without a word, in which not even a keep-alive has left."""


@dataclass
class Peer:
    """A swarm in a home, and every connection that it handed out."""

    swarm: Swarm
    host: VirtualHost
    met: list[Connection] = field(default_factory=list)


class Town:
    """Where peers live as long as the town does."""

    def __init__(
        self, network: VirtualNetwork, nursery: trio.Nursery, bootstrap: list[str], link: Link, seed: int
    ) -> None:
        self.network = network
        self.link = link
        self._nursery = nursery
        self._bootstrap = bootstrap
        self._rng = random.Random(seed)

    async def start(self, key: KeyPair, *, instead_of: Peer | None = None) -> Peer:
        """A peer in the topic of all. Another process with the same key has another port: what is sent to the old one
        gets to nobody who would answer."""
        home = self.network.place("home", link=self.link) if instead_of is None else instead_of.host.boxes[0].host()
        swarm = Swarm(key, network=home, bootstrap=self._bootstrap, rng=random.Random(self._rng.random()))
        peer = Peer(swarm, home)
        await self._nursery.start(self._live, peer)
        return peer

    async def _live(self, peer: Peer, task_status: trio.TaskStatus[None]) -> None:
        async with peer.swarm:
            peer.swarm.join(ROOM)
            task_status.started()
            async for connection in peer.swarm:
                peer.met.append(connection)

    async def pair(self, dies: KeyPair, stays: KeyPair, *, dials: KeyPair) -> tuple[Peer, Peer]:
        """Two peers with one idle connection. ``dials``: who began it."""
        peers = {}
        found = stays if dials is dies else dies
        peers[found] = await self.start(found)
        await peers[found].swarm.flush()
        peers[dials] = await self.start(dials)
        await connected(peers[dies], peers[stays])
        await trio.sleep(QUIET)
        assert peers[dials].met[0].is_initiator
        return peers[dies], peers[stays]


def the_same(a: Peer, b: Peer) -> bool:
    """Both hold one connection, and it is the same one."""
    hashes = [[connection.handshake_hash for connection in peer.swarm.connections] for peer in (a, b)]
    return hashes[0] == hashes[1] and len(hashes[0]) == 1


async def connected(a: Peer, b: Peer) -> None:
    with trio.fail_after(30):
        while not the_same(a, b):
            assert max(len(peer.swarm.connections) for peer in (a, b)) <= 1
            await trio.sleep(0.01)


@asynccontextmanager
async def town(link: Link, seed: int = 0) -> AsyncIterator[Town]:
    async with VirtualNetwork(seed=seed) as network, trio.open_nursery() as nursery:
        yield Town(network, nursery, await start_dht(network, nursery), link, seed)
        nursery.cancel_scope.cancel()


async def time_to_come_back(made: Town, dies: KeyPair, stays: KeyPair, dials: KeyPair) -> float:
    """Seconds from the start of its second life until both have the same connection."""
    dead, other = await made.pair(dies, stays, dials=dials)
    dead.host.sleep()
    began = trio.current_time()
    again = await made.start(dies, instead_of=dead)
    await connected(again, other)
    seconds = trio.current_time() - began
    with pytest.raises(trio.BrokenResourceError):
        await other.met[0].receive_some()
    await again.met[0].send_all(b"back")
    assert await other.met[1].receive_some() == b"back"
    await trio.sleep(30)
    assert len(other.met) == 2
    assert len(again.met) == 1
    return seconds


@pytest.mark.parametrize("dials", [SMALL, BIG], ids=["smaller dialled", "bigger dialled"])
@pytest.mark.parametrize(("dies", "stays"), [(SMALL, BIG), (BIG, SMALL)], ids=["smaller dies", "bigger dies"])
async def test_a_peer_that_restarts_is_back_within_a_second(dies: KeyPair, stays: KeyPair, dials: KeyPair) -> None:
    for seed in range(3):
        async with town(NEAR, seed) as made:
            assert await time_to_come_back(made, dies, stays, dials) < 1


async def test_over_a_long_way_it_is_back_within_two_seconds() -> None:
    async with town(FAR) as made:
        assert await time_to_come_back(made, SMALL, BIG, SMALL) < 2


@pytest.mark.parametrize("link", [NEAR, FAR, Link(delay=0.02, loss=0.03), Link(delay=0.01, jitter=0.1)], ids=str)
async def test_of_two_processes_with_one_key_the_first_keeps_its_idle_connection(link: Link) -> None:
    async with town(link) as made:
        first, other = await made.pair(SMALL, BIG, dials=BIG)
        (old,) = other.swarm.connections
        second = await made.start(SMALL, instead_of=first)
        while not second.met:
            assert other.swarm.connections == (old,)
            await trio.sleep(0.01)
        with pytest.raises(trio.BrokenResourceError):
            await second.met[0].receive_some()
        assert other.swarm.connections == (old,)
        await first.met[-1].send_all(b"still here")
        assert await old.receive_some() == b"still here"


@pytest.mark.parametrize("apart", [0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5])
@pytest.mark.parametrize("link", [NEAR, FAR], ids=["near", "far"])
async def test_two_that_dial_each_other_have_one_connection_which_is_the_same(link: Link, apart: float) -> None:
    for first, second in ((SMALL, BIG), (BIG, SMALL)):
        async with town(link) as made:
            one = await made.start(first)
            await trio.sleep(apart)
            other = await made.start(second)
            await connected(one, other)
            for _ in range(100):
                await trio.sleep(0.1)
                assert the_same(one, other)
            assert len(one.met) <= 2
            assert len(other.met) <= 2
