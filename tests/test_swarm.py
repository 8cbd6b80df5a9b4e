"""The public face: swarms that meet over a DHT of real nodes, on a virtual network where seconds take no time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import trio

from swarm import (
    ConnectError,
    ConnectionClosed,
    ConnectionOpened,
    DialFailed,
    DialStarted,
    KeyPair,
    PeerBanned,
    PublicKey,
    Reason,
    Swarm,
    Topic,
)

if TYPE_CHECKING:
    from swarm import Connection
    from tests.contract import World

pytestmark = pytest.mark.virtual_time

BIG = KeyPair.from_seed(bytes(32))
SMALL = KeyPair.from_seed(b"\x01" * 32)
if BIG.public_key < SMALL.public_key:
    BIG, SMALL = SMALL, BIG


async def first(swarm: Swarm) -> Connection:
    async for connection in swarm:
        return connection
    raise AssertionError("the swarm ended")


async def test_peers_of_one_topic_meet(world: World) -> None:
    async with world.swarm() as alice, world.swarm() as bob:
        alice.join("rooms/python")
        bob.join(Topic.from_name("rooms/python"))
        with trio.fail_after(5):
            a, b = await first(alice), await first(bob)
        assert a.remote_public_key == bob.public_key
        assert b.remote_public_key == alice.public_key
        assert a.handshake_hash == b.handshake_hash
        assert a.topics == (Topic.from_name("rooms/python"),) or b.topics == (Topic.from_name("rooms/python"),)
        await a.send_all(b"hello")
        assert await b.receive_some() == b"hello"


async def test_many_that_join_at_one_instant_end_connected_once_each(world: World) -> None:
    swarms = [world.swarm() for _ in range(5)]
    async with trio.open_nursery() as nursery:
        done = trio.Event()

        async def run(swarm: Swarm) -> None:
            async with swarm:
                swarm.join("crowd")
                await done.wait()

        for swarm in swarms:
            nursery.start_soon(run, swarm)
        await trio.sleep(20)
        for swarm in swarms:
            others = sorted(other.public_key for other in swarms if other is not swarm)
            assert sorted(connection.remote_public_key for connection in swarm.connections) == others
        done.set()


async def test_two_that_dial_each_other_at_once_keep_the_connection_of_the_bigger_key(world: World) -> None:
    async with world.swarm(BIG) as big, world.swarm(SMALL) as small:
        for swarm in (big, small):
            swarm.join("duel", client=False)
        await big.flush()
        await small.flush()
        big.join_peer(SMALL.public_key)
        small.join_peer(BIG.public_key)
        await trio.sleep(5)
        (b,), (s,) = big.connections, small.connections
        assert b.is_initiator
        assert not s.is_initiator
        assert b.handshake_hash == s.handshake_hash


async def test_connection_that_was_lost_is_made_again(world: World) -> None:
    async with world.swarm() as alice, world.swarm() as bob:
        alice.join("again", client=False)
        await alice.flush()
        bob.join("again", server=False)
        one = await first(bob)
        one.destroy()
        with trio.fail_after(10):
            two = await first(bob)
        assert two is not one
        assert two.remote_public_key == alice.public_key


async def test_peer_that_left_is_no_longer_found(world: World) -> None:
    async with world.swarm() as bob:
        async with world.swarm() as alice:
            discovery = alice.join("gone")
            assert await discovery.flushed()
            await discovery.leave()
        bob.join("gone")
        assert await bob.flush()
        assert not bob.peers


async def test_connect_dials_by_key_and_gives_the_same_connection_again(world: World) -> None:
    async with world.swarm() as alice, world.swarm() as bob:
        alice.join("x", client=False)
        await alice.flush()
        one = await bob.connect(alice.public_key)
        assert await bob.connect(alice.public_key.z32) is one
        assert bob.connections == (one,)
        with trio.move_on_after(1):
            pytest.fail(f"{await first(bob)} went to the iteration as well")


async def test_connecting_to_an_unknown_key_says_that_nobody_knows_it(world: World) -> None:
    async with world.swarm() as bob:
        with pytest.raises(ConnectError) as caught:
            await bob.connect(KeyPair.generate().public_key)
        assert caught.value.reason is Reason.PEER_NOT_FOUND
        assert caught.value.attempt.stages
        assert json.dumps(caught.value.to_dict())
        assert "PEER_NOT_FOUND" in str(caught.value)
        assert "\n" not in str(caught.value)


async def test_connecting_to_oneself_is_misuse(world: World) -> None:
    async with world.swarm() as bob:
        with pytest.raises(ValueError, match="own public key"):
            await bob.connect(bob.public_key)


async def test_several_tasks_share_the_iteration(world: World) -> None:
    got: list[PublicKey] = []

    async def take(swarm: Swarm) -> None:
        got.append((await first(swarm)).remote_public_key)

    async with world.swarm() as server, world.swarm() as a, world.swarm() as b, trio.open_nursery() as nursery:
        server.join("shared", client=False)
        await server.flush()
        nursery.start_soon(take, server)
        nursery.start_soon(take, server)
        for client in (a, b):
            await client.connect(server.public_key)
    assert sorted(got) == sorted([a.public_key, b.public_key])


async def test_refused_peer_hears_nothing_and_is_banned(world: World) -> None:
    asked: list[PublicKey] = []

    async def allow(key: PublicKey) -> bool:
        asked.append(key)
        await trio.sleep(0.1)
        return False

    async with world.swarm(allow=allow) as server, world.swarm() as client:
        events = server.events()
        server.join("closed", client=False)
        await server.flush()
        with pytest.raises(ConnectError) as caught:
            await client.connect(server.public_key)
        assert caught.value.reason is Reason.PEER_CONNECTION_FAILED
        assert asked == [client.public_key]
        assert server.peers[client.public_key].banned
        async for event in events:
            if isinstance(event, PeerBanned):
                assert event.public_key == client.public_key
                break


async def test_allow_that_fails_is_silence_without_a_ban(world: World, caplog: pytest.LogCaptureFixture) -> None:
    def allow(key: PublicKey, topics: object) -> bool:
        raise LookupError("allow's own error")

    async with world.swarm(allow=allow) as server, world.swarm() as client:
        server.join("unsure", client=False)
        await server.flush()
        with pytest.raises(ConnectError):
            await client.connect(server.public_key)
        assert client.public_key not in server.peers
    assert "allow failed" in caplog.text


async def test_events_tell_of_dials_and_connections(world: World) -> None:
    async with world.swarm() as server, world.swarm() as client:
        server.join("told", client=False)
        await server.flush()
        events = client.events()
        connection = await client.connect(server.public_key)
        await connection.aclose()
        with pytest.raises(ConnectError):
            await client.connect(bytes(31) + b"\x01")
        seen = []
        async for event in events:
            seen.append(type(event))
            if isinstance(event, DialFailed):
                assert isinstance(event.error, ConnectError)
                break
        assert seen == [DialStarted, ConnectionOpened, ConnectionClosed, DialStarted, DialFailed]


async def test_ban_lasts_as_long_as_was_said_however_quiet_it_was_before(world: World) -> None:
    async with world.swarm() as server, world.swarm() as client:
        server.join("quiet", client=False)
        await server.flush()
        await client.connect(server.public_key)
        await first(server)
        peer = server.peers[client.public_key]
        for step in range(20):
            await trio.sleep(3.1 + 0.1 * step)
            peer.ban(seconds=1.0)
            await trio.sleep(0.99)
            assert peer.banned
            await trio.sleep(0.02)
            assert not peer.banned


async def test_messages_are_python_objects(world: World) -> None:
    async with world.swarm() as server, world.swarm() as client:
        server.join("objects", client=False)
        await server.flush()
        a = (await client.connect(server.public_key)).messages()
        b = (await first(server)).messages()
        for value in (None, 1, "text", b"bytes", [1, {"a": 2.5, 3: "x"}]):
            await a.send(value)
            assert await b.receive() == value
        with pytest.raises(TypeError):
            await a.send(object())
        with pytest.raises(ValueError, match="at most 1048576 bytes"):
            await a.send(bytes(1 << 20))
        await a.aclose()
        with pytest.raises(trio.EndOfChannel):
            await b.receive()


async def test_message_that_is_none_breaks_the_channel(world: World) -> None:
    async with world.swarm() as server, world.swarm() as client:
        server.join("garbage", client=False)
        await server.flush()
        raw = await client.connect(server.public_key)
        channel = (await first(server)).messages()
        await raw.send_frame(b"\xc1\xff")
        with pytest.raises(trio.BrokenResourceError, match="no msgpack message"):
            await channel.receive()


async def test_discovery_is_left_with_its_block(world: World) -> None:
    async with world.swarm() as swarm:
        async with swarm.join("block", client=False) as discovery:
            assert (discovery.server, discovery.client) == (True, False)
            assert await discovery.flushed()
        assert [reply async for reply in swarm.dht.lookup(discovery.topic)] == []
        with pytest.raises(RuntimeError, match="was left"):
            await discovery.refresh()


async def test_no_more_connections_wait_than_peers_are_allowed(world: World) -> None:
    async with world.swarm(max_peers=1) as server, world.swarm() as a, world.swarm() as b:
        server.join("full", client=False)
        await server.flush()
        await a.connect(server.public_key)
        with pytest.raises(ConnectError):
            await b.connect(server.public_key)
        assert len(server.connections) == 1


async def test_stats_and_events_are_plain_values(world: World) -> None:
    async with world.swarm() as server, world.swarm() as client:
        server.join("counted", client=False)
        await server.flush()
        await client.connect(server.public_key)
        await first(server)
        assert client.stats().dialled.opened == 1
        assert server.stats().accepted.opened == 1
        assert json.dumps(client.stats().to_dict())


@pytest.mark.parametrize("topic", [b"", b"short", bytes(31), bytes(33)])
async def test_topic_of_wrong_length_is_sent_to_from_name(world: World, topic: bytes) -> None:
    async with world.swarm() as swarm:
        with pytest.raises(ValueError, match=r"Topic\.from_name"):
            swarm.join(topic)
