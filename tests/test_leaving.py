"""The end of a block: what is taken back and delivered first, how long that takes, and what is left of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from holepunch.testing import NatBehaviour
from swarm import DHT, KeyPair, Swarm, Topic

if TYPE_CHECKING:
    from swarm import PublicKey
    from tests.contract import World

pytestmark = pytest.mark.virtual_time


async def test_leaving_the_block_unannounces(world: World) -> None:
    async with world.swarm() as alice:
        alice.join("brief")
        assert await alice.flush()
    async with world.swarm() as bob:
        replies = [reply async for reply in bob.dht.lookup(Topic.from_name("brief"))]
        assert replies == []
        replies_about_key = [reply async for reply in bob.dht.find_peer(alice.public_key)]
        assert replies_about_key == []


async def test_cancelled_block_unannounces_too(world: World) -> None:
    key: PublicKey
    with trio.CancelScope() as scope:
        async with world.swarm() as alice:
            key = alice.public_key
            alice.join("brief")
            await alice.flush()
            scope.cancel()
            await trio.sleep_forever()
    async with world.swarm() as bob:
        assert [reply async for reply in bob.dht.lookup(Topic.from_name("brief"))] == []
        assert [reply async for reply in bob.dht.find_peer(key)] == []


async def test_leaving_the_block_delivers_what_was_ended(world: World) -> None:
    async with world.swarm() as server:
        server.join("deliver", client=False)
        await server.flush()
        async with world.swarm() as client:
            connection = await client.connect(server.public_key)
            await connection.send_all(bytes(500_000))
            await connection.aclose()
        received = 0
        async for data in await anext(server):
            received += len(data)
        assert received == 500_000


@pytest.mark.parametrize("end", ["aclose", "send_eof"])
async def test_leaving_the_block_of_a_node_delivers_what_was_ended(world: World, end: str) -> None:
    async with world.dht() as server:
        listener = await server.listen()
        async with world.dht() as client:
            connection = await client.connect(listener.public_key)
            await connection.send_all(bytes(500_000))
            await getattr(connection, end)()
        received = 0
        async for data in await anext(listener):
            received += len(data)
        assert received == 500_000


async def test_error_in_the_block_leaves_it_unchanged(world: World) -> None:
    async def fail() -> None:
        async with world.swarm() as swarm:
            swarm.join("x")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()


async def test_after_the_block_everything_says_that_it_is_closed(world: World) -> None:
    async with world.swarm() as server, world.swarm() as client:
        server.join("x", client=False)
        await server.flush()
        connection = await client.connect(server.public_key)
        discovery = client.join("y")
        await client.__aexit__(None, None, None)
        with pytest.raises(trio.ClosedResourceError):
            await connection.send_all(b"x")
        with pytest.raises(trio.ClosedResourceError):
            await discovery.flushed()
        with pytest.raises(trio.ClosedResourceError):
            await client.connect(server.public_key)
        with pytest.raises(RuntimeError):
            client.join("z")
        with pytest.raises(trio.ClosedResourceError):
            await anext(client)


class Doomed:
    """A swarm that has something to take back and something to deliver, and a network that vanishes."""

    def __init__(self, world: World) -> None:
        self.box = world.network.nat(kind="home")
        host = self.box.host()
        self.swarm = Swarm(bootstrap=world.net.bootstrap, network=host)
        self.dht = DHT(bootstrap=world.net.bootstrap, network=host)
        self._sink = world.dht()

    async def send_what_cannot_arrive(self, dht: DHT) -> None:
        async with self._sink as sink:
            listener = await sink.listen()
            await dht.listen(KeyPair.generate())
            connection = await dht.connect(listener.public_key)
            self.box.translation.behaviour = NatBehaviour(udp=False)
            await connection.send_all(bytes(10_000))
            await connection.aclose()


@pytest.mark.parametrize(("error", "seconds"), [(None, 2.0), (ZeroDivisionError(), 1.0)])
async def test_leaving_a_swarm_whose_network_is_gone_takes_no_longer_than_promised(
    world: World, error: Exception | None, seconds: float
) -> None:
    doomed = Doomed(world)
    with pytest.raises(type(error)) if error is not None else trio.CancelScope():
        async with doomed.swarm as swarm:
            swarm.join("a topic")
            await swarm.flush()
            await doomed.send_what_cannot_arrive(swarm.dht)
            began = trio.current_time()
            if error is not None:
                raise error
    assert trio.current_time() - began == pytest.approx(seconds)


@pytest.mark.parametrize(("error", "seconds"), [(None, 2.0), (ZeroDivisionError(), 1.0)])
async def test_leaving_a_node_whose_network_is_gone_takes_no_longer_than_promised(
    world: World, error: Exception | None, seconds: float
) -> None:
    doomed = Doomed(world)
    with pytest.raises(type(error)) if error is not None else trio.CancelScope():
        async with doomed.dht as dht:
            await doomed.send_what_cannot_arrive(dht)
            began = trio.current_time()
            if error is not None:
                raise error
    assert trio.current_time() - began == pytest.approx(seconds)


async def test_unannouncing_where_nobody_answers_takes_a_second(world: World) -> None:
    doomed = Doomed(world)
    async with doomed.swarm as swarm:
        for topic in "abc":
            swarm.join(topic)
        await swarm.flush()
        await swarm.dht.listen(KeyPair.generate())
        doomed.box.translation.behaviour = NatBehaviour(udp=False)
        began = trio.current_time()
    assert trio.current_time() - began == pytest.approx(1.0)


async def test_interrupt_during_the_goodbye_leaves_as_itself_and_everything_ends(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def interrupted() -> None:
        raise KeyboardInterrupt

    async def block(one: DHT | Swarm, dht: DHT) -> None:
        async with one:
            await dht.bootstrapped()
            monkeypatch.setattr(dht._endpoint, "settled", interrupted)

    for one in (world.dht(), world.swarm()):
        dht = one if isinstance(one, DHT) else one.dht
        with pytest.raises(KeyboardInterrupt):
            await block(one, dht)
        with pytest.raises(trio.ClosedResourceError):
            await dht.bootstrapped()
