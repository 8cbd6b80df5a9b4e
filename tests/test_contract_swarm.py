"""What a swarm promises, as far as no other room has it: topics, peers, the queue, events, rest."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest
import trio

from holepunch.testing import NatBehaviour
from swarm import DHT, ConnectError, DialFailed, KeyPair, Reason, Swarm, Topic
from tests.contract import NOBODY

if TYPE_CHECKING:
    from swarm import Connection
    from tests.contract import World

pytestmark = pytest.mark.virtual_time

ROOM = Topic.from_name("room")


# -- topics -----------------------------------------------------------------------------------------------------------


async def test_join_returns_at_once_with_what_was_joined(world: World) -> None:
    async with world.swarm() as swarm:
        for form in ("room", hashlib.sha256(b"room").digest(), ROOM):
            discovery = swarm.join(form, client=False)
            assert discovery.topic == ROOM
            assert isinstance(discovery.topic, Topic)
            assert (discovery.server, discovery.client) == (True, False)
        assert swarm.stats().topics == 1


async def test_flushed_means_announced_and_looked_up(world: World) -> None:
    async with world.swarm() as alice, world.swarm() as bob:
        discovery = alice.join("room")
        assert await discovery.flushed()
        replies = [reply async for reply in bob.dht.lookup(ROOM)]
        assert {peer.public_key for reply in replies for peer in reply.peers} == {alice.public_key}
        await discovery.leave()
        assert not await discovery.flushed()


async def test_refresh_changes_what_a_topic_is_joined_for(world: World) -> None:
    async with world.swarm() as alice, world.swarm() as bob:
        discovery = alice.join("room")
        assert await discovery.refresh(server=False)
        assert (discovery.server, discovery.client) == (False, True)
        assert [reply async for reply in bob.dht.lookup(ROOM)] == []


async def test_leaving_a_topic_ends_every_session_of_it_and_keeps_its_connections(world: World) -> None:
    async with world.swarm() as alice, world.swarm() as bob:
        sessions = [alice.join("room"), alice.join("room")]
        await alice.flush()
        bob.join("room", server=False)
        connection = await anext(bob)
        await alice.leave("room")
        assert [reply async for reply in bob.dht.lookup(ROOM)] == []
        for session in sessions:
            with pytest.raises(RuntimeError, match="was left"):
                await session.refresh()
        await connection.send_all(b"still here")
        assert await (await anext(alice)).receive_some() == b"still here"


# -- peers ------------------------------------------------------------------------------------------------------------


async def test_peer_that_was_joined_is_connected_and_again_until_it_is_left(world: World) -> None:
    async with world.swarm() as alice, world.swarm() as bob:
        await alice.listen()
        bob.join_peer(alice.public_key)
        one = await anext(bob)
        one.destroy()
        two = await anext(bob)
        assert two is not one
        bob.leave_peer(alice.public_key)
        await trio.sleep(1)
        assert bob.connections == (two,)
        two.destroy()
        with trio.move_on_after(60) as waiting:
            await anext(bob)
        assert waiting.cancelled_caught


async def test_why_the_last_dial_failed_can_be_read_when_it_has(world: World) -> None:
    async with world.swarm() as swarm:
        with pytest.raises(ConnectError) as caught:
            await swarm.connect(NOBODY)
        assert swarm.peers[NOBODY].last_error is caught.value
        assert swarm.peers[bytes(NOBODY)].topics == ()


async def test_banned_peer_is_neither_dialled_nor_let_in_and_its_connection_stays(world: World) -> None:
    async with world.pair() as (server, client, accepted, dialled):
        client.peers[server.public_key].ban()
        server.peers[client.public_key].ban(30)
        assert await client.connect(server.public_key) is dialled
        await dialled.aclose()
        await accepted.aclose()
        await trio.sleep(1)
        with pytest.raises(ConnectError) as caught:
            await client.connect(server.public_key)
        assert caught.value.reason is Reason.REFUSED
        client.peers[server.public_key].unban()
        with pytest.raises(ConnectError) as caught:
            await client.connect(server.public_key)
        assert caught.value.reason is Reason.PEER_CONNECTION_FAILED
        await trio.sleep(30)
        assert await client.connect(server.public_key)


async def test_peer_is_not_dialled_again_when_the_application_says_so(world: World) -> None:
    async with world.swarm() as alice, world.swarm() as bob:
        alice.join("room", client=False)
        await alice.flush()
        bob.join("room", server=False)
        connection = await anext(bob)
        peer = bob.peers[alice.public_key]
        assert peer.topics == (ROOM,)
        peer.reconnect = False
        connection.destroy()
        with trio.move_on_after(60) as waiting:
            await anext(bob)
        assert waiting.cancelled_caught
        assert bob.peers[alice.public_key].last_error is None


# -- the queue --------------------------------------------------------------------------------------------------------


async def test_connections_of_before_the_first_look_wait_and_leaving_the_loop_loses_none(world: World) -> None:
    async with world.swarm() as server, world.swarm() as a, world.swarm() as b, world.swarm() as c:
        server.join("room", client=False)
        await server.flush()
        clients = (a, b, c)
        for client in clients:
            await client.connect(server.public_key)
        got: list[Connection] = []
        while len(got) < len(clients):
            async for connection in server:
                got.append(connection)
                break
        assert {one.remote_public_key for one in got} == {client.public_key for client in clients}


async def test_many_that_connect_to_one_peer_share_the_connection(world: World) -> None:
    got: list[Connection] = []

    async def connect(client: Swarm, server: Swarm) -> None:
        got.append(await client.connect(server.public_key))

    async with world.swarm() as server, world.swarm() as client:
        await server.listen()
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(connect, client, server)
        assert len(got) == 5
        assert len(set(got)) == 1
        with trio.move_on_after(1) as waiting:
            await anext(client)
        assert waiting.cancelled_caught


# -- events and state -------------------------------------------------------------------------------------------------


async def test_join_that_cannot_connect_does_not_fail_silently(world: World) -> None:
    box = world.network.nat(kind="home")
    async with Swarm(bootstrap=world.net.bootstrap, network=box.host()) as gone, world.swarm() as swarm:
        gone.join("room", client=False)
        await gone.flush()
        box.translation.behaviour = NatBehaviour(udp=False)
        events = swarm.events()
        swarm.join("room")
        with trio.fail_after(30):
            async for event in events:
                if isinstance(event, DialFailed):
                    break
        assert isinstance(event, DialFailed)
        assert event.public_key == gone.public_key
        assert event.error.reason is Reason.PEER_CONNECTION_FAILED
        assert event.error.attempt.stages


async def test_a_swarm_shows_its_state(world: World) -> None:
    identity = KeyPair.from_seed(b"\x02" * 32)
    async with world.swarm(identity) as swarm:
        assert swarm.public_key == identity.public_key
        assert swarm.connections == ()
        assert dict(swarm.peers) == {}
        assert isinstance(swarm.dht, DHT)
        await swarm.dht.bootstrapped()
        assert swarm.nat.kind in ("open", "consistent", "random", "unknown")
        stats = swarm.stats()
        assert json.loads(json.dumps(stats.to_dict()))["connections"] == stats.connections == 0
        with pytest.raises(AttributeError):
            stats.connections = 5  # type: ignore[misc]


async def test_a_port_that_is_given_is_bound_exactly_and_none_is_any_free_one(world: World) -> None:
    async with world.swarm(port=4444) as exact, world.swarm() as free:
        assert exact.dht.local_address.port == 4444
        assert free.dht.local_address.port not in (0, 4444)


async def test_suspended_swarm_says_so_to_who_connects(world: World) -> None:
    async with world.pair() as (server, client, _, dialled):
        await client.suspend()
        with pytest.raises(ConnectError) as caught:
            await client.connect(server.public_key)
        assert caught.value.reason is Reason.SUSPENDED
        with pytest.raises(trio.BrokenResourceError):
            await dialled.receive_some()
        await client.resume()
        assert await client.connect(server.public_key)
