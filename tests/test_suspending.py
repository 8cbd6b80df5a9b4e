"""A DHT node, or a swarm, that leaves the network for a while: whatever it was doing, it is gone, and it comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from holepunch.testing import Link, VirtualNetwork
from swarm import DHT, ConnectError, Connection, KeyPair, Reason, Swarm
from tests.sim.scene import start_dht

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from holepunch.errors import Stage
    from holepunch.testing import VirtualHost
    from swarm.dht.listener import Listener

pytestmark = pytest.mark.virtual_time

PAIR = KeyPair.from_seed(bytes(32))
LINK = Link(delay=0.015)


class World:
    """A virtual internet with a DHT of nine nodes."""

    def __init__(self, network: VirtualNetwork, bootstrap: list[str]) -> None:
        self._network = network
        self._bootstrap = bootstrap

    def place(self, kind: str = "open") -> VirtualHost:
        return self._network.place(kind, link=LINK)

    def node(self, at: str | VirtualHost = "open", **options: object) -> DHT:
        host = self.place(at) if isinstance(at, str) else at
        return DHT(bootstrap=self._bootstrap, network=host, **options)  # type: ignore[arg-type]

    def swarm(self, kind: str = "open") -> Swarm:
        return Swarm(bootstrap=self._bootstrap, network=self.place(kind))


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with VirtualNetwork() as network, trio.open_nursery() as nursery:
        yield World(network, await start_dht(network, nursery))
        nursery.cancel_scope.cancel()


async def connects(client: DHT, listener: Listener) -> Connection:
    with trio.fail_after(20):
        connection = await client.connect(listener.public_key)
        while (await anext(listener)).handshake_hash != connection.handshake_hash:
            continue  # one of before
    return connection


def holds_nothing(node: DHT) -> bool:
    """Neither streams nor sockets, and nobody punches."""
    endpoint = node._endpoint
    return not len(endpoint.streams) and not len(endpoint.sockets) and not len(node._environment.probes)


# -- once, twice, not at all


async def test_suspended_node_is_gone_and_comes_back_to_its_port(world: World) -> None:
    async with world.node() as node, world.node() as other:
        await node.bootstrapped()
        address = node.local_address
        for _ in range(2):
            for _ in range(2):
                await node.suspend()
                assert node.local_address == address
                assert holds_nothing(node)
                assert await node.ping(other.local_address) is None
            for _ in range(2):
                await node.resume()
                assert node.local_address == address
                assert not node.node.node.suspended
                assert [found async for found in node.find_node(bytes(32))]


async def test_node_that_is_not_suspended_is_not_resumed(world: World) -> None:
    async with world.node() as node, world.node() as client:
        listener = await node.listen()
        connection = await connects(client, listener)
        await node.resume()
        await connection.send_all(b"still here")
        assert not connection.is_closed


async def test_two_that_suspend_at_once_wait_for_one_end(world: World) -> None:
    async with world.node() as node:
        await node.listen()
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(node.suspend)
        assert holds_nothing(node)


async def test_suspending_twice_a_swarm_is_suspending_it(world: World) -> None:
    async with world.swarm() as alice, world.swarm() as bob:
        alice.join("nap", client=False)
        await alice.flush()
        address = alice.dht.local_address
        for _ in range(2):
            await alice.suspend()
            assert alice.dht.local_address == address
        for _ in range(2):
            await alice.resume()
        await alice.flush()
        assert await bob.connect(alice.public_key)


async def test_block_of_a_suspended_node_ends_like_any_other(world: World) -> None:
    async with world.node() as node:
        await node.listen()
        await node.suspend()
    async with world.node() as node, trio.open_nursery() as nursery:
        await node.listen()
        nursery.start_soon(node.suspend)
        await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()


async def test_suspension_ends_with_the_block_it_is_of(world: World) -> None:
    async with trio.open_nursery() as nursery, world.node() as node:
        await node.listen()
        nursery.start_soon(node.suspend)
        await trio.sleep(0.01)


# -- cut short


@pytest.mark.parametrize("seconds", [0.0, 0.01, 0.05])
async def test_suspending_that_was_cancelled_is_done_at_once(world: World, seconds: float) -> None:
    async with world.node() as node, world.node() as client:
        listener = await node.listen(PAIR)
        with trio.move_on_after(seconds) as scope:
            await node.suspend()
        assert scope.cancelled_caught
        assert holds_nothing(node)
        await trio.sleep(5)
        await node.resume()
        await trio.sleep(5)
        await connects(client, listener)


@pytest.mark.parametrize("seconds", [0.0, 0.03, 0.06, 0.09])
async def test_suspending_a_swarm_that_was_cancelled_is_done_at_once(world: World, seconds: float) -> None:
    async with world.swarm() as alice, world.swarm() as bob:
        alice.join("nap", client=False)
        await alice.flush()
        with trio.move_on_after(seconds) as scope:
            await alice.suspend()
        assert scope.cancelled_caught
        assert holds_nothing(alice.dht)
        await trio.sleep(5)
        await alice.resume()
        await alice.flush()
        bob.join("nap", server=False)
        with trio.fail_after(20):
            assert (await anext(aiter(bob))).remote_public_key == alice.public_key


async def test_resuming_ends_a_suspension_under_way(world: World) -> None:
    async with world.node() as node, world.node() as client, trio.open_nursery() as nursery:
        listener = await node.listen()
        nursery.start_soon(node.suspend)
        await trio.sleep(0.01)
        await node.resume()
        await trio.sleep(5)
        await connects(client, listener)


@pytest.mark.parametrize("seconds", [0.001, 0.03, 0.06, 0.09, 0.2])
async def test_resuming_ends_a_suspension_of_a_swarm_under_way(world: World, seconds: float) -> None:
    async with world.swarm() as alice, world.swarm() as bob, trio.open_nursery() as nursery:
        alice.join("nap", client=False)
        await alice.flush()
        nursery.start_soon(alice.suspend)
        await trio.sleep(seconds)
        await alice.resume()
        await trio.sleep(5)
        await alice.flush()
        with trio.fail_after(20):
            await bob.connect(alice.public_key)


async def test_port_that_was_taken_meanwhile_leaves_it_suspended_until_it_is_free(world: World) -> None:
    host = world.place()
    async with world.node(host, port=4444) as node:
        await node.bootstrapped()
        await node.suspend()
        async with world.node(host, port=4444):
            with pytest.raises(OSError, match="4444"):
                await node.resume()
            assert holds_nothing(node)
        await node.resume()
        assert [found async for found in node.find_node(bytes(32))]


# -- what is under way


async def dial(node: DHT, outcome: list[Connection | Reason]) -> None:
    try:
        outcome.append(await node.connect(PAIR.public_key))
    except ConnectError as error:
        outcome.append(error.reason)


@pytest.mark.parametrize("places", [("open", "home"), ("home", "home"), ("home", "symmetric")])
@pytest.mark.parametrize("suspends", ["client", "server"])
async def test_dial_at_any_stage_ends_with_the_suspension_of_either_side(
    world: World, places: tuple[str, str], suspends: str
) -> None:
    async with world.node(places[0]) as server, world.node(places[1]) as client:
        listener = await server.listen(PAIR)
        await client.bootstrapped()
        for step in range(6):
            outcome: list[Connection | Reason] = []
            async with trio.open_nursery() as nursery:
                nursery.start_soon(dial, client, outcome)
                await trio.sleep(0.06 * step)
                node = client if suspends == "client" else server
                await node.suspend()
                assert holds_nothing(node)
                await trio.sleep(30)
                assert holds_nothing(node)
                if suspends == "client" and not isinstance(outcome[0], Connection):
                    assert outcome == [Reason.SUSPENDED]
                await node.resume()
            await trio.sleep(5)
        await connects(client, listener)


async def test_dial_that_waits_for_a_peer_which_has_vanished_ends_with_the_suspension(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = world.place()
    async with world.node(place, firewalled=False, ephemeral=False) as server, world.node(place) as client:
        listener = await server.listen(PAIR)
        await client.bootstrapped()
        assert listener.listening is not None
        relays = [relay for relay in listener.listening.relay_addresses if relay.host not in place.addresses]
        signaller = client.node.signaller
        monkeypatch.setattr(signaller, "find_relays", lambda *_: lambda: None)  # or it asks the server itself
        monkeypatch.setattr(signaller, "remote_address", lambda: None)  # or the server speaks first

        def vanish(attempt: object, stage: Stage) -> None:
            if stage.name == "straight":
                server._endpoint.sockets.close_all()

        monkeypatch.setattr("swarm.dht.dialling._log_stage", vanish)
        ended: list[object] = []
        dialling = client.dial(KeyPair.generate(), PAIR.public_key, relays, ended.append, ended.append)
        await trio.sleep(0.5)
        assert "straight" in [stage.name for stage in dialling.attempt.stages]
        await client.suspend()
        await trio.sleep(10)
        (error,) = ended
        assert isinstance(error, ConnectError)
        assert error.reason is Reason.SUSPENDED


async def test_suspended_node_dials_nobody(world: World) -> None:
    async with world.node() as server, world.node() as client:
        await server.listen(PAIR)
        await client.bootstrapped()
        await client.suspend()
        with pytest.raises(ConnectError) as caught:
            await client.connect(PAIR.public_key)
        assert caught.value.reason is Reason.SUSPENDED
        assert holds_nothing(client)
        with trio.move_on_after(0):
            await client.connect(PAIR.public_key)
        await client.resume()
        await client.connect(PAIR.public_key)


@pytest.mark.parametrize("listen", [DHT.listen, DHT.relay])
@pytest.mark.parametrize("seconds", [0.0, 0.03, 0.06, 5.0])
async def test_listening_that_begins_around_a_suspension_returns_when_announced_after_it(
    world: World, listen: Callable[[DHT, KeyPair], Awaitable[object]], seconds: float
) -> None:
    async with world.node() as node, world.node() as other, trio.open_nursery() as nursery:
        await node.bootstrapped()
        announced = trio.Event()

        async def begin() -> None:
            await listen(node, PAIR)
            announced.set()

        if seconds < 1:
            nursery.start_soon(begin)
            await trio.sleep(seconds)
        await node.suspend()
        if seconds > 1:
            nursery.start_soon(begin)
        await trio.sleep(30)
        assert not announced.is_set()
        assert [found async for found in other.find_peer(PAIR.public_key)] == []
        await node.resume()
        with trio.fail_after(5):
            await announced.wait()
        assert [found async for found in other.find_peer(PAIR.public_key)]


@pytest.mark.parametrize("when", [0.0, 0.1, 0.2, 0.4, 5.0])
@pytest.mark.parametrize("suspends", ["client", "server"])
async def test_connections_through_a_relay_come_back_through_it(world: World, when: float, suspends: str) -> None:
    async with world.node(ephemeral=False, firewalled=False) as through:
        relay = await through.relay()
        options = {"relay_through": relay.public_key, "relay_policy": "require"}
        async with world.node("home", **options) as server, world.node("home", **options) as client:
            listener = await server.listen(PAIR)
            await client.bootstrapped()
            outcome: list[Connection | Reason] = []
            async with trio.open_nursery() as nursery:
                nursery.start_soon(dial, client, outcome)
                await trio.sleep(when)
                node = client if suspends == "client" else server
                await node.suspend()
                assert holds_nothing(node)
                await trio.sleep(30)
                assert holds_nothing(node)
                if suspends == "client" and not isinstance(outcome[0], Connection):
                    assert outcome == [Reason.SUSPENDED]
                await node.resume()
                assert not node._relays.is_down(relay.public_key)
            await trio.sleep(5)
            connection = await connects(client, listener)
            assert connection.path.kind == "relayed"
