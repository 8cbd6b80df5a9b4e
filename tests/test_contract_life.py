"""A block from before its beginning to after its end: what may be used when, and how long leaving takes."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
import trio

from holepunch.testing import NatBehaviour
from swarm import DHT, BootstrapError, KeyPair, Swarm
from swarm.testing import Testnet
from tests.contract import NOBODY, internet

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from swarm import Connection
    from tests.contract import World

pytestmark = pytest.mark.virtual_time

PAIR = KeyPair.from_seed(b"\x01" * 32)


async def use(connection: Connection) -> None:
    await connection.send_all(b"x")


# -- before and after -------------------------------------------------------------------------------------------------


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


# -- leaving ----------------------------------------------------------------------------------------------------------


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
    error: Exception | None, seconds: float
) -> None:
    async with internet() as world:
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
    error: Exception | None, seconds: float
) -> None:
    async with internet() as world:
        doomed = Doomed(world)
        with pytest.raises(type(error)) if error is not None else trio.CancelScope():
            async with doomed.dht as dht:
                await doomed.send_what_cannot_arrive(dht)
                began = trio.current_time()
                if error is not None:
                    raise error
        assert trio.current_time() - began == pytest.approx(seconds)


async def test_unannouncing_where_nobody_answers_takes_a_second() -> None:
    async with internet() as world:
        doomed = Doomed(world)
        async with doomed.swarm as swarm:
            for topic in "abc":
                swarm.join(topic)
            await swarm.flush()
            await swarm.dht.listen(KeyPair.generate())
            doomed.box.translation.behaviour = NatBehaviour(udp=False)
            began = trio.current_time()
        assert trio.current_time() - began == pytest.approx(1.0)


@pytest.mark.parametrize("end", ["aclose", "send_eof"])
async def test_leaving_the_block_of_a_node_delivers_what_was_ended(end: str) -> None:
    async with internet() as world, world.dht() as server:
        listener = await server.listen()
        async with world.dht() as client:
            connection = await client.connect(listener.public_key)
            await connection.send_all(bytes(500_000))
            await getattr(connection, end)()
        received = 0
        async for data in await anext(listener):
            received += len(data)
        assert received == 500_000


async def test_interrupt_during_the_goodbye_leaves_as_itself_and_everything_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def interrupted() -> None:
        raise KeyboardInterrupt

    async def block(one: DHT | Swarm, dht: DHT) -> None:
        async with one:
            await dht.bootstrapped()
            monkeypatch.setattr(dht._endpoint, "settled", interrupted)

    async with internet() as world:
        for one in (world.dht(), world.swarm()):
            dht = one if isinstance(one, DHT) else one.dht
            with pytest.raises(KeyboardInterrupt):
                await block(one, dht)
            with pytest.raises(trio.ClosedResourceError):
                await dht.bootstrapped()


# -- alone ------------------------------------------------------------------------------------------------------------


async def test_the_first_node_of_a_network_is_part_of_it_and_a_swarm_that_is_alone_says_so() -> None:
    async with internet() as world, world.swarm(bootstrap=[]) as swarm:
        await swarm.dht.bootstrapped()
        discovery = swarm.join("nobody else")
        for wait in (discovery.flushed, swarm.flush):
            with pytest.raises(BootstrapError, match="none were given"):
                await wait()


# -- serve ------------------------------------------------------------------------------------------------------------


async def takes_none() -> None:
    pass


async def generates(connection: Connection) -> Any:
    yield connection


@pytest.mark.parametrize("handler", [5, None, "handler", takes_none, generates, lambda: None])
async def test_serve_refuses_what_can_be_no_handler_at_once(handler: Any) -> None:
    async with internet() as world, world.swarm() as swarm:
        with pytest.raises(TypeError, match="a handler is an async function of one connection"), trio.fail_after(1):
            await swarm.serve(handler)


async def test_handler_that_is_not_async_ends_serve() -> None:
    async with internet() as world, world.swarm() as server, world.swarm() as client:
        server.join("x", client=False)
        await server.flush()
        await client.connect(server.public_key)
        plain: Any = lambda connection: None  # noqa: E731
        with pytest.raises(TypeError, match="returned None"), trio.fail_after(1):
            await server.serve(plain)


async def test_handler_may_be_a_function_that_returns_what_is_awaited() -> None:
    async with internet() as world, world.swarm() as server, world.swarm() as client, trio.open_nursery() as nursery:
        server.join("x", client=False)
        await server.flush()
        nursery.start_soon(server.serve, lambda connection: connection.send_all(b"hello"))
        connection = await client.connect(server.public_key)
        assert await connection.receive_some() == b"hello"
        nursery.cancel_scope.cancel()


async def test_connection_that_was_lost_in_a_task_of_its_handler_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    async def handler(connection: Connection) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connection.receive_some)
            nursery.start_soon(connection.receive_datagram)

    caplog.set_level(logging.INFO, "swarm.serving")
    async with internet() as world, world.swarm() as server, trio.open_nursery() as nursery:
        server.join("x", client=False)
        await server.flush()
        nursery.start_soon(server.serve, handler)
        async with world.swarm() as client:
            connection = await client.connect(server.public_key)
            await trio.sleep(1)
            connection.destroy()
            await trio.sleep(1)
        nursery.cancel_scope.cancel()
    (record,) = [record for record in caplog.records if record.name == "swarm.serving"]
    assert record.levelno == logging.INFO
    assert record.exc_info is None
