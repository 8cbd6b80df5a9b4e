"""``Swarm(secret=...)``: members meet, and to everybody else there is never a connection, nor anything to hear."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from holepunch.punch.messages import Greeting
from holepunch.testing import VirtualNetwork
from swarm import DHT, ConnectError, KeyPair, NotAMember, PeerBanned, Reason, Swarm, Topic
from swarm.driver import UNPROVEN_BAN
from swarm.membership import Membership
from swarm.sharing import Kind
from swarm.testing import Testnet

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from holepunch.keys import PublicKey
    from holepunch.secure.noise import Session
    from swarm import Connection

pytestmark = pytest.mark.virtual_time

ROOM = Topic.from_name("room")
SECRET = b"only for us"
WRONG = b"not for us"


class World:
    def __init__(self, network: VirtualNetwork, net: Testnet) -> None:
        self._network = network
        self._net = net

    def swarm(self, secret: bytes | None = SECRET, identity: KeyPair | None = None) -> Swarm:
        return Swarm(identity, bootstrap=self._net.bootstrap, network=self._network.host(), secret=secret)

    def dht(self) -> DHT:
        return DHT(bootstrap=self._net.bootstrap, network=self._network.host())


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with VirtualNetwork() as network:
        host = network.host("192.88.99.1")
        async with Testnet(3, host="192.88.99.1", network=host) as net:
            yield World(network, net)


def banned(swarm: Swarm, public_key: bytes) -> bool:
    return public_key in swarm.peers and swarm.peers[public_key].banned


async def test_members_meet_and_talk(world: World) -> None:
    async with world.swarm() as alice, world.swarm() as bob:
        alice.join(ROOM, client=False)
        await alice.flush()
        bob.join(ROOM, server=False)
        with trio.fail_after(5):
            b, a = await anext(bob), await anext(alice)
        assert a.topics == b.topics == (ROOM,)
        for one, other in ((a, b), (b, a)):
            await one.send_frame(b"hello")
            assert await other.receive_frame() == b"hello"
        await trio.sleep(120)
        assert alice.connections == (a,)
        assert bob.connections == (b,)


async def test_members_that_dial_each_other_at_once_end_with_one_connection(world: World) -> None:
    async with world.swarm() as alice, world.swarm() as bob:
        for swarm in (alice, bob):
            swarm.join(ROOM, client=False)
        await alice.flush()
        await bob.flush()
        alice.join_peer(bob.public_key)
        bob.join_peer(alice.public_key)
        await trio.sleep(10)
        (a,), (b,) = alice.connections, bob.connections
        assert a.handshake_hash == b.handshake_hash
        assert not banned(alice, bob.public_key)
        assert not banned(bob, alice.public_key)


async def test_outsider_does_not_find_members_under_the_topic(world: World) -> None:
    async with world.swarm() as alice, world.dht() as eve:
        alice.join(ROOM)
        await alice.flush()
        assert [reply async for reply in eve.lookup(ROOM)] == []


@pytest.mark.parametrize("secret", [None, WRONG], ids=["no secret", "wrong secret"])
async def test_outsider_that_dials_hears_nothing_and_is_banned(world: World, secret: bytes | None) -> None:
    async with world.swarm() as alice, world.swarm(secret) as eve:
        alice.join(ROOM, client=False)
        await alice.flush()
        events = alice.events()
        with pytest.raises(ConnectError):
            await eve.connect(alice.public_key)
        assert alice.connections == eve.connections == ()
        assert banned(alice, eve.public_key)
        async for event in events:
            if isinstance(event, PeerBanned):
                assert event.public_key == eve.public_key
                assert "secret" in event.reason
                break
        with pytest.raises(ConnectError):
            await eve.connect(alice.public_key)
        await no_connection(alice)
        await no_connection(eve)


@pytest.mark.parametrize("secret", [None, WRONG], ids=["no secret", "wrong secret"])
async def test_outsider_that_is_dialled_hears_nothing_of_the_application_and_is_banned(
    world: World, secret: bytes | None
) -> None:
    async with world.swarm() as alice, world.swarm(secret) as eve:
        eve.join("trap", client=False)
        await eve.flush()
        with pytest.raises(ConnectError) as caught:
            await alice.connect(eve.public_key)
        if secret is None:
            assert caught.value.reason is Reason.REFUSED
            assert isinstance(caught.value.__cause__, NotAMember)
            assert banned(alice, eve.public_key)
        else:  # there it is the member who is refused: to eve's group it is the outsider
            assert banned(eve, alice.public_key)
        await no_connection(alice)
        await no_connection(eve)


async def test_outsider_that_is_banned_is_reported_once_however_often_it_dials(world: World) -> None:
    async with world.swarm() as alice, world.swarm(None) as eve:
        alice.join(ROOM, client=False)
        await alice.flush()
        for _ in range(4):
            with pytest.raises(ConnectError):
                await eve.connect(alice.public_key)
        assert alice.stats().bans == 1
        await trio.sleep(UNPROVEN_BAN)
        assert not banned(alice, eve.public_key)


async def test_peer_that_learns_the_secret_later_is_let_in(world: World) -> None:
    pair = KeyPair.generate()
    async with world.swarm() as alice:
        alice.join(ROOM, client=False)
        await alice.flush()
        async with world.swarm(None, pair) as bob:
            with pytest.raises(ConnectError):
                await bob.connect(alice.public_key)
        await trio.sleep(UNPROVEN_BAN)
        async with world.swarm(SECRET, pair) as bob:
            await bob.connect(alice.public_key)


async def no_connection(swarm: Swarm) -> None:
    with trio.move_on_after(30):
        pytest.fail(f"{await anext(swarm)}")
    assert swarm.connections == ()


class Impostor(Membership):
    """Says that it has a secret, and then what a test makes it say. No proof is good enough, or any."""

    def __init__(self, public_key: PublicKey, proof: Callable[[Session], bytes], accepts: bool = True) -> None:
        super().__init__(public_key, WRONG)
        self.make = proof
        self.accepts = accepts

    def greet(self, peer: PublicKey, ephemeral: bytes, theirs: Greeting | None) -> Greeting:
        return Greeting((), proves=True)

    def proof(self, session: Session) -> bytes:
        return self.make(session)

    def is_proof(self, session: Session, data: bytes) -> bool:
        self.heard = data
        return self.accepts


async def dial(eve: DHT, key: PublicKey, membership: Membership) -> Connection | BaseException:
    """What became of the dial."""
    ended: list[Connection | BaseException] = []
    done = trio.Event()

    def end(result: Connection | BaseException) -> None:
        ended.append(result)
        done.set()

    await eve.bootstrapped()
    eve.turn()
    eve.dial(eve.default_key_pair, key, (), end, end, membership=membership)
    with trio.fail_after(60):
        await done.wait()
    return ended[0]


async def test_proof_of_another_connection_is_worth_nothing(world: World) -> None:
    async with world.swarm() as alice, world.swarm() as bob, world.dht() as eve:
        alice.join(ROOM, client=False)
        await alice.flush()
        good = await bob.connect(alice.public_key)
        replayed = Membership(bob.public_key, SECRET).proof(good.session)
        impostor = Impostor(eve.default_key_pair.public_key, lambda session: replayed)
        assert isinstance(await dial(eve, alice.public_key, impostor), ConnectError)
        assert banned(alice, eve.default_key_pair.public_key)
        assert [connection.remote_public_key for connection in alice.connections] == [bob.public_key]
        assert not hasattr(impostor, "heard"), "the member said something"


@pytest.mark.parametrize("proof", [b"", b"\0" * 32, b"x" * 1000], ids=["empty proof", "zero proof", "long proof"])
async def test_nonsense_for_a_proof_is_no_crash_and_a_ban(world: World, proof: bytes) -> None:
    async with world.swarm() as alice, world.dht() as eve:
        alice.join(ROOM, client=False)
        await alice.flush()
        impostor = Impostor(eve.default_key_pair.public_key, lambda session: proof)
        assert isinstance(await dial(eve, alice.public_key, impostor), ConnectError)
        assert banned(alice, eve.default_key_pair.public_key)
        assert not hasattr(impostor, "heard")


async def test_who_claims_a_secret_and_stays_silent_is_given_up_and_hears_nothing(world: World) -> None:
    class Silent(Impostor):
        closed = False  # so that it starts the stream as usual, and proves nothing

    async with world.swarm() as alice, world.dht() as eve:
        alice.join(ROOM, client=False)
        await alice.flush()
        silent = Silent(eve.default_key_pair.public_key, lambda session: b"")
        assert isinstance(await dial(eve, alice.public_key, silent), ConnectError)
        await trio.sleep(5)
        assert not hasattr(silent, "heard")
        assert alice.dht.stats().streams == 0
        await no_connection(alice)


async def test_reflected_proof_does_not_help_who_is_dialled(world: World) -> None:
    class Mirror(Impostor):
        heard = b""

        def __init__(self, public_key: PublicKey) -> None:
            super().__init__(public_key, lambda session: self.heard)

    async with world.swarm() as alice, world.dht() as eve:
        pair = eve.default_key_pair
        await eve.bootstrapped()
        announced = trio.Event()
        taken: list[Connection] = []
        mirror = Mirror(pair.public_key)
        eve.turn()
        eve.listening(pair, taken.append, None, announced.set, membership=mirror)
        await announced.wait()
        with pytest.raises(ConnectError) as caught:
            await alice.connect(pair.public_key)
        assert isinstance(caught.value.__cause__, NotAMember)
        assert "wrong" in str(caught.value.__cause__)
        assert banned(alice, pair.public_key)
        assert len(mirror.heard) == 32
        await no_connection(alice)


async def test_data_before_the_proof_is_never_seen(world: World) -> None:
    class Hasty(Impostor):
        closed = False

    async with world.swarm() as alice, world.dht() as eve:
        alice.join(ROOM, client=False)
        await alice.flush()
        hasty = Hasty(eve.default_key_pair.public_key, lambda session: b"")
        await eve.bootstrapped()
        eve.turn()
        dialling = eve.dial(
            eve.default_key_pair, alice.public_key, (), lambda c: None, lambda e: None, membership=hasty
        )
        await trio.sleep(1)
        connection = dialling._connection
        assert connection is not None
        connection._timer.cancel()  # she does not give up before the other side does
        for _ in range(3):
            await connection.send_all(b"let me in" * 1000)
            connection.send_control(bytes([Kind.TOPICS]) + bytes(16))
            await trio.sleep(1)
        await no_connection(alice)
        assert banned(alice, eve.default_key_pair.public_key)
        dialling.cancel()


async def test_dht_connections_know_nothing_of_secrets(world: World) -> None:
    async with world.swarm() as alice, world.dht() as bob:
        listener = await alice.dht.listen(KeyPair.generate())
        b = await bob.connect(listener.public_key)
        a = await anext(listener)
        await b.send_frame(b"hello")
        assert await a.receive_frame() == b"hello"
        assert a.topics == ()
        await listener.aclose()


@pytest.mark.parametrize(("secret", "error"), [("text", TypeError), (b"", ValueError)])
async def test_misuse_is_said_before_anything_happens(secret: object, error: type[Exception]) -> None:
    with pytest.raises(error):
        Swarm(bootstrap=[], secret=secret)  # type: ignore[arg-type]
