"""A block from before its beginning to after its end: what may be used when. How it is left is in `test_leaving`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from swarm import DHT, KeyPair, Swarm
from swarm.testing import Testnet
from tests.contract import NOBODY, internet

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from swarm import Connection

pytestmark = pytest.mark.virtual_time

PAIR = KeyPair.from_seed(b"\x01" * 32)


async def use(connection: Connection) -> None:
    await connection.send_all(b"x")


async def of_dht(name: str, dht: DHT) -> None:
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "bootstrapped": dht.bootstrapped,
        "lookup": lambda: anext(dht.lookup(bytes(32))),
        "find_peer": lambda: anext(dht.find_peer(NOBODY)),
        "find_node": lambda: anext(dht.find_node(bytes(32))),
        "announce": lambda: dht.announce(bytes(32), PAIR),
        "unannounce": lambda: dht.unannounce(bytes(32), PAIR),
        "immutable_put": lambda: dht.immutable_put(b"v"),
        "immutable_get": lambda: dht.immutable_get(bytes(32)),
        "mutable_put": lambda: dht.mutable_put(PAIR, b"v"),
        "mutable_get": lambda: dht.mutable_get(NOBODY),
        "connect": lambda: dht.connect(NOBODY),
        "listen": dht.listen,
        "relay": dht.relay,
        "ping": lambda: dht.ping("192.88.99.1:1"),
        "check_firewall": dht.check_firewall,
        "ask_stun": lambda: dht.ask_stun("192.88.99.1:1"),
        "renew": lambda: dht.renew(bytes(32), bytes(32)),
        "suspend": dht.suspend,
        "resume": dht.resume,
    }
    if name in calls:
        await calls[name]()
    elif name == "stats":
        dht.stats()
    else:
        getattr(dht, name)


DHT_NAMES = [
    "bootstrapped",
    "lookup",
    "find_peer",
    "find_node",
    "announce",
    "unannounce",
    "immutable_put",
    "immutable_get",
    "mutable_put",
    "mutable_get",
    "connect",
    "listen",
    "relay",
    "ping",
    "check_firewall",
    "ask_stun",
    "renew",
    "suspend",
    "resume",
    "stats",
    "nat",
    "local_address",
]


async def of_swarm(name: str, swarm: Swarm) -> None:
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "leave": lambda: swarm.leave("x"),
        "connect": lambda: swarm.connect(NOBODY),
        "flush": swarm.flush,
        "listen": swarm.listen,
        "suspend": swarm.suspend,
        "resume": swarm.resume,
        "anext": lambda: anext(swarm),
        "serve": lambda: swarm.serve(use),
    }
    others: dict[str, Callable[[], object]] = {
        "join_peer": lambda: swarm.join_peer(NOBODY),
        "leave_peer": lambda: swarm.leave_peer(NOBODY),
        "aiter": lambda: aiter(swarm),
        "events": swarm.events,
        "nat": lambda: swarm.nat,
    }
    if name in calls:
        await calls[name]()
    else:
        others[name]()


SWARM_NAMES = [
    "leave",
    "connect",
    "flush",
    "listen",
    "suspend",
    "resume",
    "anext",
    "serve",
    "join_peer",
    "leave_peer",
    "aiter",
    "events",
    "nat",
]


@pytest.mark.parametrize("name", DHT_NAMES)
async def test_a_node_is_used_inside_its_block_only(name: str) -> None:
    async with internet() as world:
        dht = world.dht()
        with pytest.raises(RuntimeError, match="inside its block"):
            await of_dht(name, dht)
        async with dht:
            await dht.bootstrapped()
        with pytest.raises(trio.ClosedResourceError):
            await of_dht(name, dht)


@pytest.mark.parametrize("name", SWARM_NAMES)
async def test_a_swarm_is_used_inside_its_block_only(name: str) -> None:
    async with internet() as world:
        swarm = world.swarm()
        with pytest.raises(RuntimeError, match="inside its block"):
            await of_swarm(name, swarm)
        async with swarm:
            await swarm.dht.bootstrapped()
        with pytest.raises(trio.ClosedResourceError):
            await of_swarm(name, swarm)


async def test_joining_after_the_block_is_an_error_as_before_it() -> None:
    async with internet() as world:
        swarm = world.swarm()
        for _ in range(2):
            with pytest.raises(RuntimeError, match="inside the block"):
                swarm.join("x")
            if not swarm._waiters.begun:
                async with swarm:
                    swarm.join("x")


async def test_connections_that_nobody_took_are_not_handed_out_after_the_block() -> None:
    async with internet() as world, world.swarm() as client:
        async with world.swarm() as server:
            server.join("x", client=False)
            await server.flush()
            await client.connect(server.public_key)
            await trio.sleep(1)
            assert len(server.connections) == 1
        with pytest.raises(trio.ClosedResourceError):
            await server.serve(use)
        with pytest.raises(trio.ClosedResourceError):
            await anext(server)


async def test_whoever_iterates_when_the_block_ends_is_done() -> None:
    ended: list[str] = []

    async def iterate(swarm: Swarm) -> None:
        async for _ in swarm:
            pass
        ended.append("iteration")

    async def listen(swarm: Swarm) -> None:
        async for _ in swarm.events():
            pass
        ended.append("events")

    async def serve(swarm: Swarm) -> None:
        await swarm.serve(use)
        ended.append("serve")

    async with internet() as world, trio.open_nursery() as nursery, world.swarm() as swarm:
        for function in (iterate, listen, serve):
            nursery.start_soon(function, swarm)
        await trio.sleep(1)
    assert sorted(ended) == ["events", "iteration", "serve"]


async def test_listener_of_a_node_ends_with_its_block() -> None:
    async with internet() as world:
        async with world.dht() as dht:
            listener = await dht.listen()
        with pytest.raises(trio.ClosedResourceError):
            await anext(listener)


async def test_listener_is_closed_with_a_block_of_its_own() -> None:
    async with internet() as world, world.dht() as dht, world.dht() as client:
        async with await dht.listen() as listener:
            connection = await client.connect(listener.public_key)
            assert (await anext(listener)).remote_public_key == client.default_key_pair.public_key
        assert [reply async for reply in client.find_peer(listener.public_key)] == []
        await connection.send_all(b"connections stay open")
        async with await dht.listen():
            pass


@pytest.mark.parametrize("kind", [Swarm, DHT])
async def test_a_block_is_entered_once(kind: type[Swarm] | type[DHT]) -> None:
    async with internet() as world:
        one: Any = kind(bootstrap=world.net.bootstrap, network=world.network.host())
        dht: DHT = one if isinstance(one, DHT) else one.dht
        async with one:
            with pytest.raises(RuntimeError, match="entered once"):
                async with one:
                    pass
            await dht.bootstrapped()
            assert await dht.ping(world.net.bootstrap[0]) is not None
        with pytest.raises(RuntimeError, match="entered once"):
            async with one:
                pass


async def test_block_that_could_not_be_entered_may_be_tried_again() -> None:
    async with internet() as world:
        host = world.network.host()
        swarm = Swarm(bootstrap=world.net.bootstrap, network=host, port=49737)
        async with DHT(bootstrap=[], network=host, port=49737):
            with pytest.raises(OSError, match="49737"):
                async with swarm:
                    pass
        async with swarm:
            assert swarm.dht.local_address.port == 49737
            await swarm.dht.bootstrapped()


async def test_address_of_a_testnet_is_known_from_its_block_on() -> None:
    net = Testnet(2, host="127.0.0.1")
    with pytest.raises(RuntimeError, match="inside its block"):
        _ = net.bootstrap
    async with net:
        inside = net.bootstrap
        assert inside == [str(net.nodes[0].local_address)]
    assert net.bootstrap == inside
    with pytest.raises(RuntimeError, match="entered once"):
        async with net:
            pass
