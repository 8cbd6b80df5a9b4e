"""`Connection.topics`: right on both ends, whoever dialled, and while topics are joined and left."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
import trio

from holepunch.keys import hash32
from holepunch.punch.messages import NoisePayload
from holepunch.testing import VirtualNetwork
from swarm import Connection, KeyPair, PeerFound, PublicKey, Swarm, Topic
from swarm.membership import Membership
from swarm.testing import Testnet
from tests.contract import internet

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

pytestmark = pytest.mark.virtual_time

ROOM, CELLAR, ATTIC, STABLE = (Topic.from_name(name) for name in ("room", "cellar", "attic", "stable"))
SERVER, CLIENT = KeyPair.from_seed(bytes(32)), KeyPair.from_seed(bytes(31) + b"\1")


@pytest.fixture
async def pair() -> AsyncIterator[tuple[Swarm, Swarm]]:
    """Two swarms of one DHT: of the first the key is announced."""
    async with internet() as world, world.swarm() as server, world.swarm() as client:
        yield server, client


async def connect(server: Swarm, client: Swarm) -> tuple[Connection, Connection]:
    """By key, so that no look-up tells anything of topics."""
    await server.flush()
    accepted: list[Connection] = []

    async def accept() -> None:
        accepted.append(await anext(server))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(accept)
        dialled = await client.connect(server.public_key)
    return accepted[0], dialled


async def test_both_ends_know_the_topics_they_share_from_the_start(pair: tuple[Swarm, Swarm]) -> None:
    server, client = pair
    for topic in (ROOM, CELLAR):
        server.join(topic, client=False)
    await server.flush()
    client.join(ROOM, server=False)
    b = await anext(client)
    assert b.topics == (ROOM,)
    a = await anext(server)
    assert a.topics == (ROOM,)
    assert server.peers[client.public_key].topics == (ROOM,)


class Said:
    """Everything that the client of a test tells the server of itself, decrypted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.payloads: list[bytes] = []
        self.controls: list[bytes] = []
        encode, send = NoisePayload.encode, Connection.send_control

        def encode_and_note(payload: NoisePayload) -> bytes:
            self.payloads.append(encode(payload))
            return self.payloads[-1]

        def send_and_note(connection: Connection, data: bytes) -> bool:
            if connection.is_initiator:
                self.controls.append(data)
            return send(connection, data)

        monkeypatch.setattr(NoisePayload, "encode", encode_and_note)
        monkeypatch.setattr(Connection, "send_control", send_and_note)

    @property
    def greeting(self) -> tuple[bytes, ...]:
        """Of its first message: the rest of that is about addresses."""
        greeting = NoisePayload.decode(self.payloads[0]).greeting
        assert greeting is not None
        return greeting.tags

    @property
    def shown(self) -> set[bytes]:
        """On the connection."""
        (frame,) = self.controls
        return {frame[at : at + 16] for at in range(1, len(frame), 16)}


async def said_by_client(topics: Sequence[Topic], monkeypatch: pytest.MonkeyPatch) -> Said:
    """What a client in these topics says to a server that it dials and that is in another one."""
    async with (
        VirtualNetwork(seed=1) as network,
        Testnet(3, internet=network) as net,
        Swarm(SERVER, bootstrap=net.bootstrap, network=network.host()) as server,
        Swarm(CLIENT, bootstrap=net.bootstrap, network=network.host()) as client,
    ):
        server.join(ROOM, client=False)
        await server.flush()
        for topic in topics:
            client.join(topic, server=False)
        await client.flush()
        with monkeypatch.context() as patch:
            said = Said(patch)
            a, b = await connect(server, client)
            await trio.sleep(5)
        assert a.topics == b.topics == ()
        knowing = Membership(SERVER.public_key, None)
        knowing.topics = lambda key: topics
        for tags in (said.greeting, said.shown, a.tags):
            found = knowing.shared(CLIENT.public_key, b.session.ephemeral, tags)
            assert set(found) == set(topics), "who is in them, too, is told"
    return said


async def test_topic_that_the_other_has_not_joined_stays_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    in_none, in_one, again, in_three = [
        await said_by_client(topics, monkeypatch) for topics in ((), (CELLAR,), (CELLAR,), (CELLAR, ATTIC, STABLE))
    ]
    for said in (in_one, again, in_three):
        assert len(said.greeting) == len(in_none.greeting), "the length tells"
        assert len(said.shown) == len(in_none.shown), "the length tells"
        for topic in (CELLAR, ATTIC, STABLE):
            for derived in (topic, hash32(topic), sha256(topic).digest(), hash32(CLIENT.public_key, topic)):
                for part in (*said.payloads, *said.controls):
                    assert not any(derived[at : at + 4] in part for at in range(29)), "a part of it is told"
    for one, other in ((in_one, again), (in_one, in_three), (in_none, in_one)):
        assert not {*one.greeting, *one.shown} & {*other.greeting, *other.shown}, "the same in two handshakes"


async def test_topics_joined_and_left_later_are_told(pair: tuple[Swarm, Swarm]) -> None:
    server, client = pair
    server.join(ROOM, client=False)
    a, b = await connect(server, client)
    events = client.events()
    client.join(ROOM, server=False)
    await trio.sleep(1)
    assert (a.topics, b.topics) == ((ROOM,), (ROOM,))
    found = await anext(events)
    assert found == PeerFound(PublicKey(server.public_key), ROOM)
    server.join(CELLAR)
    client.join(ATTIC)
    client.join(CELLAR)
    await trio.sleep(1)
    assert set(a.topics) == set(b.topics) == {ROOM, CELLAR}
    await client.leave(ROOM)
    await trio.sleep(1)
    assert (a.topics, b.topics) == ((CELLAR,), (CELLAR,))


async def test_topics_shown_twice_at_once_are_told(pair: tuple[Swarm, Swarm], monkeypatch: pytest.MonkeyPatch) -> None:
    """As when a topic is joined at the moment at which the connection opens."""
    server, client = pair
    server.join(ROOM, client=False)
    a, b = await connect(server, client)
    await trio.sleep(1)
    send = Connection.send_control

    def send_twice(connection: Connection, data: bytes) -> bool:
        return send(connection, data) and send(connection, data)

    monkeypatch.setattr(Connection, "send_control", send_twice)
    client.join(ROOM, server=False)
    await trio.sleep(1)
    assert (a.topics, b.topics) == ((ROOM,), (ROOM,))


async def test_more_topics_than_a_handshake_carries_are_told_right_after(pair: tuple[Swarm, Swarm]) -> None:
    server, client = pair
    topics = [Topic.from_name(f"topic {n}") for n in range(40)]
    server.join(topics[0], client=False)
    await server.flush()
    for topic in topics:
        server.join(topic, client=False)
        client.join(topic, server=False, client=True)
    a, b = await connect(server, client)
    await trio.sleep(1)
    assert set(a.topics) == set(b.topics) == set(topics)


async def test_frames_of_the_application_are_not_disturbed(pair: tuple[Swarm, Swarm]) -> None:
    server, client = pair
    server.join(ROOM, client=False)
    a, b = await connect(server, client)
    for n in range(50):
        await a.send_frame(b"%d" % n)
        server.join(f"more {n}", client=False)
        await trio.sleep(0.01)
    assert [await b.receive_frame() for _ in range(50)] == [b"%d" % n for n in range(50)]
    with trio.move_on_after(3):
        pytest.fail(f"one frame more: {await b.receive_frame()!r}")


async def test_topics_are_learnt_up_to_data_that_nobody_reads(pair: tuple[Swarm, Swarm]) -> None:
    server, client = pair
    server.join(ROOM, client=False)
    a, b = await connect(server, client)
    await a.send_frame(b"unread")
    server.join(CELLAR, client=False)
    client.join(CELLAR, server=False, client=True)
    await trio.sleep(1)
    assert a.topics == (CELLAR,)
    assert await b.receive_frame() == b"unread"
    with trio.move_on_after(1):
        await b.receive_frame()
    assert b.topics == (CELLAR,)


async def test_connection_that_is_half_closed_or_full_is_left_alone(pair: tuple[Swarm, Swarm]) -> None:
    server, client = pair
    server.join(ROOM, client=False)
    a, b = await connect(server, client)
    await b.send_eof()
    with trio.move_on_after(5):
        await a.send_all(bytes(64 << 20))
    for n in range(5):
        server.join(f"more {n}", client=False)
        client.join(f"more {n}", server=False)
        await trio.sleep(2)
    assert len(b.topics) in (0, 5)
    await a.aclose()
    await b.aclose()


async def test_control_frames_are_no_messages_to_the_rule_on_duplicates(pair: tuple[Swarm, Swarm]) -> None:
    server, client = pair
    server.join(ROOM, client=False)
    a, b = await connect(server, client)
    server.join(CELLAR, client=False)
    client.join(ATTIC, server=False)
    await trio.sleep(1)
    assert a.message_bytes == b.message_bytes == (0, 0)


async def test_allow_is_told_the_topics_of_a_stranger() -> None:
    asked: list[tuple[object, ...]] = []

    def allow(key: PublicKey, topics: object) -> bool:
        asked.append((key, topics))
        return True

    async with VirtualNetwork() as network:
        host = network.host("192.88.99.1")
        async with (
            Testnet(3, host="192.88.99.1", network=host) as net,
            Swarm(bootstrap=net.bootstrap, network=network.host(), allow=allow) as server,
            Swarm(bootstrap=net.bootstrap, network=network.host()) as client,
        ):
            server.join(ROOM, client=False)
            await server.flush()
            client.join(ROOM, server=False)
            await anext(client)
            assert asked == [(client.public_key, (ROOM,))]
