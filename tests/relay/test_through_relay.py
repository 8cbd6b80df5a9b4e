"""Whole peers behind NATs and a relay of ours, on a virtual network: relayed at once, direct later, and losing nothing.

Times are virtual seconds, with 15 ms on every link, as in the lab that the bars were measured in.
"""

from __future__ import annotations

import hashlib
import random
from contextlib import AsyncExitStack
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
import trio

from holepunch.relay.server import RelayServer
from holepunch.testing import Link, VirtualNetwork
from holepunch.udx.packet import DESTROY, HEADER_SIZE, header
from holepunch.udx.values import Transmit
from swarm import DHT, ConnectError, KeyPair, Reason, Swarm
from swarm.dht.dialling import connection_over
from tests.sim.scene import echo, start_dht

if TYPE_CHECKING:
    from holepunch.punch.environment import Established
    from holepunch.punch.messages import NoisePayload
    from swarm import Connection
    from swarm.dht.listener import Listener
    from tests.relay.conftest import World

pytestmark = pytest.mark.virtual_time

SETTLED = 2.0
"""Seconds for a node to know its NAT."""


async def meet(client: DHT, listener: Listener, **options: object) -> tuple[Connection, Connection, float]:
    """Both ends of a new connection, and how long it took until data had gone both ways."""
    began = trio.current_time()
    with trio.fail_after(30):
        dialled = await client.connect(listener.public_key, **options)  # type: ignore[arg-type]
        accepted = await listener.__anext__()
        await dialled.send_all(b"ping")
        assert await accepted.receive_some() == b"ping"
        took = trio.current_time() - began
        await accepted.send_all(b"pong")
        assert await dialled.receive_some() == b"pong"
    return dialled, accepted, took


async def until_direct(*connections: Connection, within: float = 20) -> None:
    await trio.sleep(within)
    assert all(connection.path.kind != "relayed" for connection in connections)


@pytest.mark.parametrize("who", ["client", "server", "both"])
async def test_two_symmetric_nats_meet_through_a_relay_of_either_side(world: World, who: str) -> None:
    async with world.relay() as relay, world.node("symmetric") as alice, world.node("symmetric") as bob:
        await trio.sleep(SETTLED)
        listener = await bob.listen(relay_through=None if who == "client" else relay.public_key)
        dialled, accepted, took = await meet(
            alice, listener, relay_through=None if who == "server" else relay.public_key
        )
        assert took < 0.7
        for connection in (dialled, accepted):
            assert connection.path.kind == "relayed"
            assert connection.path.relay == relay.public_key
        stats = relay.stats()
        assert (stats.pairings_matched, stats.links) == (1, 1)
        assert stats.packets > 0
        assert stats.packets_dropped == 0


@pytest.mark.parametrize(("client", "server"), [("symmetric", "home"), ("home", "symmetric")])
@pytest.mark.parametrize("who", ["client", "server"])
async def test_data_comes_at_once_and_the_path_is_direct_later(
    world: World, client: str, server: str, who: str
) -> None:
    async with world.relay() as relay, world.node(client) as alice, world.node(server) as bob:
        await trio.sleep(SETTLED)
        listener = await bob.listen(relay_through=relay.public_key if who == "server" else None)
        dialled, accepted, took = await meet(
            alice, listener, relay_through=relay.public_key if who == "client" else None
        )
        assert took < 1.3
        await until_direct(dialled, accepted)
        for connection in (dialled, accepted):
            assert connection.path.kind == "direct"
            assert connection.path.relay is None
        await trio.sleep(5)
        assert relay.stats().links == 0
        before = relay.stats().packets
        await dialled.send_all(bytes(100_000))
        received = 0
        while received < 100_000:
            received += len(await accepted.receive_some())
        assert relay.stats().packets == before


async def test_stream_that_changes_over_in_full_flow_loses_and_repeats_nothing(world: World) -> None:
    """Both directions carry data all the time, from before the change until after it."""
    async with world.relay() as relay, world.node("home") as alice, world.node("symmetric") as bob:
        await trio.sleep(SETTLED)
        listener = await bob.listen()
        dialled, accepted, _ = await meet(alice, listener, relay_through=relay.public_key)
        sent = {dialled: hashlib.sha256(), accepted: hashlib.sha256()}
        got = {dialled: hashlib.sha256(), accepted: hashlib.sha256()}

        async def send(connection: Connection) -> None:
            after_the_change = 30
            for number in count():
                data = hashlib.shake_256(str(number).encode()).digest(20_000)
                sent[connection].update(data)
                await connection.send_all(data)
                await trio.sleep(0.03)
                after_the_change -= dialled.path.kind == accepted.path.kind == "direct"
                if not after_the_change:
                    break
            await connection.send_eof()

        async def receive(connection: Connection) -> None:
            async for data in connection:
                got[connection].update(data)

        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                for connection in (dialled, accepted):
                    nursery.start_soon(send, connection)
                    nursery.start_soon(receive, connection)
        assert got[accepted].digest() == sent[dialled].digest()
        assert got[dialled].digest() == sent[accepted].digest()
        assert relay.stats().bytes > 0


@pytest.mark.parametrize("policy_of", ["client", "server"])
async def test_required_relay_is_used_even_where_a_direct_path_would_do(world: World, policy_of: str) -> None:
    async with world.relay() as relay, world.node("home") as alice, world.node("home") as bob:
        await trio.sleep(SETTLED)
        options = {"relay_through": relay.public_key, "relay_policy": "require"}
        listener = await bob.listen(**options if policy_of == "server" else {})  # type: ignore[arg-type]
        dialled, accepted, _ = await meet(alice, listener, **options if policy_of == "client" else {})
        await trio.sleep(10)
        assert dialled.path.kind == accepted.path.kind == "relayed"


@pytest.mark.parametrize("place", ["home", "open"])
async def test_peer_that_requires_a_relay_tells_no_address_of_its_own(
    world: World, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[NoisePayload] = []

    def listen_in(endpoint: Any, environment: Any, established: Established, *rest: Any) -> Any:
        told.append(established.remote_payload)
        return connection_over(endpoint, environment, established, *rest)

    monkeypatch.setattr("swarm.dht.dialling.connection_over", listen_in)
    monkeypatch.setattr("swarm.dht.listener.connection_over", listen_in)
    async with world.relay() as relay, world.node("home") as alice, world.node(place) as bob:
        await trio.sleep(SETTLED)
        if place == "open":
            await bob.check_firewall()
        listener = await bob.listen(relay_through=relay.public_key, relay_policy="require")
        dialled, _, _ = await meet(alice, listener)
        assert dialled.path.kind == "relayed"
        host = world.hosts[-1]
        payload = next(payload for payload in told if payload.holepunch is not None)
        assert payload.holepunch is not None
        assert payload.holepunch.relays
        assert not payload.addresses4
        for own in (host.public_address, *host.addresses):
            assert f"{own!r}" not in repr(payload)


async def test_forbidden_relay_is_not_used_whatever_the_peer_wants(world: World) -> None:
    async with world.relay() as relay, world.node("symmetric") as alice, world.node("symmetric") as bob:
        await trio.sleep(SETTLED)
        listener = await bob.listen(relay_policy="forbid")
        with trio.fail_after(14), pytest.raises(ConnectError) as error:
            await alice.connect(listener.public_key, relay_through=relay.public_key)
        assert error.value.reason is Reason.RELAY_ABORTED
        assert error.value.attempt.cause is Reason.HOLEPUNCH_DOUBLE_RANDOMIZED_NATS
        assert Reason.HOLEPUNCH_DOUBLE_RANDOMIZED_NATS.summary in str(error.value)
        assert "does the peer let relays be used" in str(error.value)
        assert relay.stats().links == 0


async def test_relay_that_is_not_there_is_named_in_the_error(world: World) -> None:
    nobody = KeyPair.generate().public_key
    async with world.node("symmetric") as alice, world.node("symmetric") as bob:
        await trio.sleep(SETTLED)
        listener = await bob.listen()
        with pytest.raises(ConnectError) as error:
            await alice.connect(listener.public_key, relay_through=nobody)
        assert error.value.reason is Reason.RELAY_ABORTED
        assert "no relay" in {stage.name for stage in error.value.attempt.stages}


async def test_server_whose_relay_is_down_takes_the_clients(world: World) -> None:
    async with (
        world.relay() as dead,
        world.relay() as alive,
        world.node("symmetric") as alice,
        world.node("symmetric") as bob,
    ):
        await trio.sleep(SETTLED)
        listener = await bob.listen(relay_through=dead.public_key)
        world.hosts[0].sleep()
        with pytest.raises(ConnectError):
            await alice.connect(listener.public_key, relay_through=alive.public_key)
        dialled, _, took = await meet(alice, listener, relay_through=alive.public_key)
        assert dialled.path.relay == alive.public_key
        assert took < 0.7
        world.hosts[0].wake()


async def test_direct_path_wins_where_it_is_as_fast_and_the_relay_is_given_back(world: World) -> None:
    async with world.relay() as relay, world.node("home") as alice, world.node("home") as bob:
        await trio.sleep(SETTLED)
        listener = await bob.listen(relay_through=relay.public_key)
        dialled, _, took = await meet(alice, listener)
        assert dialled.path.kind == "direct"
        assert took < 0.4
        await trio.sleep(20)
        stats = relay.stats()
        assert (stats.links, stats.pairings_pending) == (0, 0)


async def test_relay_that_ends_in_order_tells_both_ends_at_once(world: World) -> None:
    async with world.relay() as relay, world.node("symmetric") as alice, world.node("symmetric") as bob:
        await trio.sleep(SETTLED)
        listener = await bob.listen()
        dialled, accepted, _ = await meet(alice, listener, relay_through=relay.public_key)
        await relay.aclose()
        with trio.fail_after(0.5):
            for connection in (dialled, accepted):
                with pytest.raises(trio.BrokenResourceError):
                    await connection.receive_some()


async def test_relay_that_vanishes_is_noticed_by_both_ends(world: World) -> None:
    async with world.relay() as relay, world.node("symmetric") as alice, world.node("symmetric") as bob:
        await trio.sleep(SETTLED)
        listener = await bob.listen()
        dialled, accepted, _ = await meet(alice, listener, relay_through=relay.public_key)
        world.hosts[0].sleep()
        with trio.fail_after(20):
            for connection in (dialled, accepted):
                with pytest.raises(trio.BrokenResourceError):
                    await connection.receive_some()
        world.hosts[0].wake()


async def test_upgraded_connection_outlives_the_relay(world: World) -> None:
    async with world.relay() as relay, world.node("home") as alice, world.node("symmetric") as bob:
        await trio.sleep(SETTLED)
        listener = await bob.listen()
        dialled, accepted, _ = await meet(alice, listener, relay_through=relay.public_key)
        await until_direct(dialled, accepted)
        await relay.aclose()
        await dialled.send_all(b"still here")
        assert await accepted.receive_some() == b"still here"


@pytest.mark.parametrize("seed", range(4))
async def test_swarm_whose_relay_vanishes_is_back_through_another_one_in_seconds(seed: int) -> None:
    """Neither end is told; both have the same relays to choose from."""
    async with VirtualNetwork(seed=seed) as network, trio.open_nursery() as nursery, AsyncExitStack() as stack:
        bootstrap = await start_dht(network, nursery)
        hosts = {}
        for _ in range(2):
            host = network.host()
            node = DHT(bootstrap=bootstrap, host=host.addresses[0], network=host, ephemeral=False, firewalled=False)
            hosts[(await (await stack.enter_async_context(node)).relay()).public_key] = host

        async def swarm(seed: int) -> Swarm:
            place = network.place("symmetric", link=Link(delay=0.015))
            options = {"bootstrap": bootstrap, "network": place, "rng": random.Random(seed)}
            return await stack.enter_async_context(Swarm(relay_through=list(hosts), **options))  # type: ignore[arg-type]

        there, here = await swarm(seed), await swarm(-1 - seed)
        nursery.start_soon(there.serve, echo)
        await there.join(bytes(32), client=False).flushed()
        here.join(bytes(32), server=False)
        connection = await anext(here)
        for _ in range(5):
            await connection.send_frame(b"ping")
            assert await connection.receive_frame() == b"ping"
            await trio.sleep(1)
        used = connection.path.relay
        assert used is not None
        hosts[used].sleep()
        with trio.fail_after(10):
            await connection.send_frame(b"lost")
            again = await anext(here)
            await again.send_frame(b"back")
            assert await again.receive_frame() == b"back"
        assert again.path.relay != used
        hosts[used].wake()
        nursery.cancel_scope.cancel()


async def test_stream_that_ends_before_its_relay_says_that_it_is_paired_gives_the_relay_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    match = RelayServer._match

    def end_and_match(server: RelayServer, pairing: Any) -> None:
        for request in pairing.waiting.values():
            route = request.session.route()
            end = header(DESTROY, request.remote_id, 1 << 20, 0, 0)
            server._legs.transmit(Transmit(route[0], route[1], [end], HEADER_SIZE))
        match(server, pairing)

    async with world.relay() as relay, world.node("symmetric") as alice, world.node("symmetric") as bob:
        await trio.sleep(SETTLED)
        listener = await bob.listen()
        monkeypatch.setattr(RelayServer, "_match", end_and_match)
        with pytest.raises(ConnectError):
            await alice.connect(listener.public_key, relay_through=relay.public_key)
        await trio.sleep(60)
        stats = relay.stats()
        assert stats.pairings_matched == 1
        assert (stats.links, stats.sessions) == (0, 0)


async def test_swarm_whose_relay_dies_takes_the_next_one(world: World) -> None:
    async with world.relay() as first, world.relay() as second:
        keys = [first.public_key, second.public_key]
        options = {"bootstrap": world.net.bootstrap, "relay_through": keys}
        async with (
            Swarm(network=world.network.place("symmetric"), **options) as alice,  # type: ignore[arg-type]
            Swarm(network=world.network.place("symmetric"), **options) as bob,  # type: ignore[arg-type]
        ):
            await trio.sleep(SETTLED)
            bob.join("calls", client=False)
            await bob.flush()
            alice.join("calls", server=False)
            with trio.fail_after(20):
                connection = await alice.__anext__()
            relays = {relay.public_key: relay for relay in (first, second)}
            used = connection.path.relay
            assert used is not None
            await relays[used].aclose()
            with trio.fail_after(60):
                again = await alice.__anext__()
            assert again.path.relay == next(key for key in keys if key != used)


async def test_path_inside_one_home_is_local_and_one_between_homes_of_a_carrier_is_not(world: World) -> None:
    network = world.network
    home = network.nat()
    carrier = network.nat(None, "home", lan="100.64.9.0/24")
    async with (
        DHT(bootstrap=world.net.bootstrap, network=home.host()) as alice,
        DHT(bootstrap=world.net.bootstrap, network=home.host()) as bob,
        DHT(bootstrap=world.net.bootstrap, network=carrier.host()) as carol,
        DHT(bootstrap=world.net.bootstrap, network=carrier.host()) as dave,
    ):
        await trio.sleep(SETTLED)
        for client, server, kind in ((alice, bob, "lan"), (carol, dave, "direct")):
            dialled, accepted, _ = await meet(client, await server.listen())
            assert dialled.path.remote_address.host.startswith("192." if kind == "lan" else "100.64.9.")
            assert (dialled.path.kind, accepted.path.kind) == (kind, kind)
