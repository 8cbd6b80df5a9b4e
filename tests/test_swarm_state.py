"""Swarms that remember: a restart needs no bootstrap node, and meets the peers of before at once."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
import trio

from holepunch.testing import VirtualNetwork
from swarm import DHT, DialStarted, KeyPair, PeerFound, Swarm, Topic
from swarm.state import NODES_FILE, PEERS_FILE, State
from swarm.testing import Testnet

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.virtual_time


class World:
    """A DHT whose bootstrap node can be taken away."""

    def __init__(self, network: VirtualNetwork, net: Testnet, entrance: trio.CancelScope) -> None:
        self.network = network
        self.bootstrap = net.bootstrap
        self.entrance = entrance

    def swarm(self, state: Path | None = None, identity: KeyPair | None = None) -> Swarm:
        return Swarm(identity, bootstrap=self.bootstrap, network=self.network.host(), state=state)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with VirtualNetwork() as network, trio.open_nursery() as nursery:
        entrance = trio.CancelScope()

        async def first(task_status: trio.TaskStatus[Testnet]) -> None:
            with entrance:
                async with Testnet(1, host="192.88.99.1", network=network.host("192.88.99.1")) as net:
                    task_status.started(net)
                    await trio.sleep_forever()

        async def others(net: Testnet, task_status: trio.TaskStatus[None]) -> None:
            async with (
                DHT(bootstrap=net.bootstrap, network=network.host(), ephemeral=False, firewalled=False) as a,
                DHT(bootstrap=net.bootstrap, network=network.host(), ephemeral=False, firewalled=False) as b,
                DHT(bootstrap=net.bootstrap, network=network.host(), ephemeral=False, firewalled=False) as c,
            ):
                for node in (a, b, c):
                    await node.bootstrapped()
                task_status.started()
                await trio.sleep_forever()

        net = await nursery.start(first)
        await nursery.start(others, net)
        yield World(network, net, entrance)
        nursery.cancel_scope.cancel()


def wait_for(file: Path) -> None:
    """Files are written by real threads, whatever the clock of the test."""
    while not file.exists():
        time.sleep(0.001)


async def meet(one: Swarm, other: Swarm, seconds: float = 30) -> None:
    with trio.fail_after(seconds):
        assert (await anext(one)).remote_public_key == other.public_key
        assert (await anext(other)).remote_public_key == one.public_key


async def test_restart_with_all_bootstrap_nodes_down_still_meets_its_peers(world: World, tmp_path: Path) -> None:
    async with world.swarm(tmp_path / "a") as a, world.swarm(tmp_path / "b") as b:
        a.join("room")
        b.join("room")
        await meet(a, b)
        await trio.sleep(30)
    world.entrance.cancel()
    await trio.sleep(60)
    async with world.swarm(tmp_path / "a") as a, world.swarm(tmp_path / "b") as b:
        a.join("another room")
        b.join("another room")
        await meet(a, b, seconds=3)  # once the bootstrap node was taken for gone
        await a.dht.bootstrapped()


async def test_peers_of_a_topic_are_dialled_before_the_first_lookup_answers(world: World, tmp_path: Path) -> None:
    async with world.swarm() as alice:
        alice.join("room", client=False)
        await alice.flush()
        async with world.swarm(tmp_path) as bob:
            bob.join("room", server=False)
            await meet(bob, alice)
        async with world.swarm(tmp_path) as bob:
            events = bob.events()
            started = trio.current_time()
            bob.join("room", server=False)
            seen = [await anext(events), await anext(events)]
            assert [type(event) for event in seen] == [PeerFound, DialStarted]
            assert trio.current_time() == started
            await meet(bob, alice)


async def test_announcing_only_dials_nobody_of_before(world: World, tmp_path: Path) -> None:
    async with world.swarm() as alice:
        alice.join("room", client=False)
        await alice.flush()
        async with world.swarm(tmp_path) as bob:
            bob.join("room", server=False)
            await meet(bob, alice)
        async with world.swarm(tmp_path) as bob:
            bob.join("room", client=False)
            assert not bob.peers


async def test_peer_that_nobody_knows_any_more_is_forgotten(world: World, tmp_path: Path) -> None:
    async with world.swarm() as alice, world.swarm(tmp_path) as bob:
        alice.join("room", client=False)
        await alice.flush()
        bob.join("room", server=False)
        await meet(bob, alice)
    await trio.sleep(3600)
    async with world.swarm(tmp_path) as bob:
        bob.join("room", server=False)
        await trio.sleep(300)
    state = State(tmp_path)
    state.load()
    assert state.peers_of(Topic.from_name("room")) == []


async def test_peers_are_written_while_the_swarm_runs(world: World, tmp_path: Path) -> None:
    async with world.swarm() as alice, world.swarm(tmp_path) as bob:
        alice.join("room", client=False)
        await alice.flush()
        bob.join("room", server=False)
        await meet(bob, alice)
        await trio.sleep(60)
        for file in (NODES_FILE, PEERS_FILE):
            await trio.to_thread.run_sync(wait_for, tmp_path / file)
        state = State(tmp_path)
        assert state.load()
        assert [key for key, _ in state.peers_of(Topic.from_name("room"))] == [alice.public_key]
