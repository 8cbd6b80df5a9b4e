"""Members of a closed group have accidents, and enemies; neither gets one banned by another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from holepunch.address import Address
from holepunch.errors import ConnectError
from holepunch.keys import KeyPair, hash32
from holepunch.punch.messages import HandshakeMessage, Mode
from holepunch.testing import VirtualNetwork
from swarm import DHT, Swarm
from swarm.hyperdht.messages import Command
from swarm.hyperdht.signaller import DhtSignaller
from swarm.proving import Proving
from swarm.testing import Testnet

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from holepunch.punch.messages import Greeting
    from holepunch.testing import VirtualHost
    from swarm.kademlia.rpc import Reply

pytestmark = pytest.mark.virtual_time

SECRET = b"only for us"
MOMENTS = (0.05, 0.08, 0.11, 0.14)
"""Seconds after a dial began, from its first packets to the proofs."""


class World:
    """Hosts, and members on them."""

    def __init__(self, network: VirtualNetwork, net: Testnet) -> None:
        self.network = network
        self.bootstrap = net.bootstrap

    def host(self) -> VirtualHost:
        return self.network.host()

    def swarm(self, host: VirtualHost, identity: KeyPair | None = None, secret: bytes | None = SECRET) -> Swarm:
        return Swarm(identity, bootstrap=self.bootstrap, network=host, secret=secret)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with VirtualNetwork(seed=3) as network:
        host = network.host("192.88.99.1")
        async with Testnet(4, host="192.88.99.1", network=host) as net:
            yield World(network, net)


def banned(swarm: Swarm, public_key: bytes) -> bool:
    return public_key in swarm.peers and swarm.peers[public_key].banned


async def cancel_connect(dialler: Swarm, server: Swarm, host: VirtualHost, moment: float) -> None:
    with trio.move_on_after(moment):
        await dialler.connect(server.public_key)


async def leave_peer(dialler: Swarm, server: Swarm, host: VirtualHost, moment: float) -> None:
    dialler.join_peer(server.public_key)
    await trio.sleep(moment)
    dialler.leave_peer(server.public_key)


async def suspend(dialler: Swarm, server: Swarm, host: VirtualHost, moment: float) -> None:
    dialler.join_peer(server.public_key)
    await trio.sleep(moment)
    await dialler.suspend()


async def black_out(dialler: Swarm, server: Swarm, host: VirtualHost, moment: float) -> None:
    dialler.join_peer(server.public_key)
    await trio.sleep(moment)
    host.sleep()
    await trio.sleep(12)
    host.wake()


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("accident", [cancel_connect, leave_peer, suspend, black_out])
async def test_dial_that_goes_wrong_by_accident_bans_nobody(
    world: World, accident: Callable[[Swarm, Swarm, VirtualHost, float], Awaitable[None]], moment: float
) -> None:
    host = world.host()
    async with world.swarm(host) as server, world.swarm(world.host()) as dialler:
        server.join("room", client=False)
        await server.flush()
        await dialler.dht.bootstrapped()
        await accident(dialler, server, host, moment)
        await trio.sleep(25)
        assert not banned(server, dialler.public_key)
        assert not banned(dialler, server.public_key)


@pytest.mark.parametrize("crashes", ["dialler", "server"])
async def test_member_that_crashed_when_a_path_was_found_comes_back(
    world: World, crashes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, away, pair = world.host(), world.host(), KeyPair.generate()
    start = Proving.start

    def crash(self: Proving, greeting: Greeting | None) -> None:
        if self._connection.is_initiator == (crashes == "server"):
            (home if crashes == "server" else away).sleep()
        start(self, greeting)

    async with world.swarm(home) as server:
        server.join("room", client=False)
        await server.flush()
        async with world.swarm(away, pair) as dialler:
            with monkeypatch.context() as patch, trio.move_on_after(40):
                patch.setattr(Proving, "start", crash)
                with pytest.raises(ConnectError):
                    await dialler.connect(server.public_key)
        for host in (home, away):
            host.wake()
        await trio.sleep(5)
        async with world.swarm(away, pair) as dialler:
            with trio.fail_after(10):
                await dialler.connect(server.public_key)


async def test_handshake_of_a_member_that_somebody_repeats_later_bans_nobody(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world.swarm(world.host()) as server, DHT(bootstrap=world.bootstrap, network=world.host()) as eve:
        server.join("room", client=False)
        await server.flush()
        await eve.bootstrapped()
        member, careless = KeyPair.generate(), KeyPair.generate()
        relayed = await overheard(world, server, member, SECRET, monkeypatch)
        await trio.sleep(60)
        assert await replayed(eve, server, relayed), "the server did not take it for a new one"
        await trio.sleep(20)
        assert not banned(server, member.public_key)
        async with world.swarm(world.host(), member) as bob:
            await bob.connect(server.public_key)

        # one that once dialled without the secret
        relayed = await overheard(world, server, careless, None, monkeypatch)
        await trio.sleep(60)
        async with world.swarm(world.host(), careless) as carol:
            await carol.connect(server.public_key)
            await replayed(eve, server, relayed)
            await trio.sleep(20)
            assert not banned(server, careless.public_key)


async def overheard(
    world: World, server: Swarm, pair: KeyPair, secret: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> bytes:
    """The first message of a handshake, which every node that relays it can keep."""
    heard: list[bytes] = []
    handshake = DhtSignaller.handshake

    def listen(self: DhtSignaller, target: bytes, noise: bytes, *rest: object) -> object:
        if target == hash32(server.public_key):
            heard.append(noise)
        return handshake(self, target, noise, *rest)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(DhtSignaller, "handshake", listen)
        async with world.swarm(world.host(), pair, secret) as swarm:
            try:
                await swarm.connect(server.public_key)
            except ConnectError:
                assert secret is None
    return heard[0]


async def replayed(eve: DHT, server: Swarm, noise: bytes) -> bool:
    """Send it straight to the server. Whether that answered."""
    answers: list[Reply | None] = []
    (host,) = server.dht._network.local_hosts()
    eve.turn()
    eve.node.node.request(
        Address(host, server.dht.local_address.port),
        Command.PEER_HANDSHAKE,
        answers.append,
        target=hash32(server.public_key),
        value=HandshakeMessage(Mode.FROM_CLIENT, noise).encode(),
    )
    await trio.sleep(5)
    return bool(answers and answers[0] and answers[0].value)
