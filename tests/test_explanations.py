"""A failed connection says what the matter is, and in time: whole nodes on a virtual network, without waiting."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio

from holepunch.testing import NatBehaviour, VirtualNetwork
from swarm import DHT, BootstrapError, ConnectError, KeyPair, Reason, Swarm
from swarm.testing import Testnet

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from holepunch.testing import VirtualHost

pytestmark = pytest.mark.virtual_time

NOBODY = KeyPair.from_seed(bytes(32)).public_key
ENTRANCE = "192.88.99.1"
IN_TIME = 15.0


class World:
    def __init__(self, network: VirtualNetwork, net: Testnet, stack: AsyncExitStack) -> None:
        self.network = network
        self.bootstrap = net.bootstrap
        self._stack = stack

    async def node(self, host: VirtualHost | str) -> DHT:
        """A node that runs until the end of the test, on a host or in a place."""
        on = self.network.place(host) if isinstance(host, str) else host
        return await self._stack.enter_async_context(DHT(bootstrap=self.bootstrap, network=on))

    async def failure(self, client: DHT, key: bytes) -> ConnectError:
        with trio.fail_after(IN_TIME), pytest.raises(ConnectError) as caught:
            await client.connect(key)
        text = str(caught.value)
        assert "\n" not in text
        assert caught.value.reason.advice in text
        assert caught.value.attempt.stages
        return caught.value


@asynccontextmanager
async def internet() -> AsyncIterator[World]:
    async with VirtualNetwork() as network, AsyncExitStack() as stack:
        net = Testnet(5, host=ENTRANCE, network=network.host(ENTRANCE))
        yield World(network, await stack.enter_async_context(net), stack)


async def test_udp_blocked_here_is_said_by_the_bootstrap_error() -> None:
    async with internet() as world:
        server, client = await world.node("home"), await world.node("udpblocked")
        listener = await server.listen()
        with trio.fail_after(IN_TIME), pytest.raises(BootstrapError) as caught:
            await client.connect(listener.public_key)
        assert world.bootstrap[0] in str(caught.value)
        assert str(client.local_address.port) in str(caught.value)
        assert "does its firewall let UDP out" in str(caught.value)


async def test_udp_blocked_there_is_a_peer_that_nobody_knows() -> None:
    async with internet() as world:
        server, client = await world.node("udpblocked"), await world.node("home")
        with pytest.raises(BootstrapError):
            await server.listen()
        error = await world.failure(client, server.default_key_pair.public_key)
        assert error.reason is Reason.PEER_NOT_FOUND
        assert "`swarm doctor` there" in str(error)


async def test_udp_blocked_there_while_it_listens_is_a_peer_that_does_not_answer() -> None:
    async with internet() as world:
        box = world.network.nat(kind="home")
        server, client = await world.node(box.host()), await world.node("home")
        listener = await server.listen()
        box.translation.behaviour = NatBehaviour(udp=False)
        error = await world.failure(client, listener.public_key)
        assert error.reason is Reason.PEER_CONNECTION_FAILED
        assert error.attempt.gave_up == "remote"
        assert "no answer" in [stage.name for stage in error.attempt.stages]


async def test_udp_blocked_here_in_mid_life_is_no_claim_about_the_peer() -> None:
    async with internet() as world:
        box = world.network.nat(kind="home")
        server, client = await world.node("home"), await world.node(box.host())
        listener = await server.listen()
        await client.bootstrapped()
        box.translation.behaviour = NatBehaviour(udp=False)
        error = await world.failure(client, listener.public_key)
        assert error.reason is Reason.OFFLINE
        assert error.attempt.gave_up == "local"


async def test_a_wrong_key_is_a_peer_that_nobody_knows() -> None:
    async with internet() as world:
        client = await world.node("home")
        error = await world.failure(client, NOBODY)
        assert error.reason is Reason.PEER_NOT_FOUND
        assert "Is the public key right" in str(error)


async def test_a_peer_that_refuses_is_a_peer_that_does_not_answer() -> None:
    async with internet() as world:
        server, client = await world.node("home"), await world.node("home")
        listener = await server.listen(allow=lambda key: False)
        error = await world.failure(client, listener.public_key)
        assert error.reason is Reason.PEER_CONNECTION_FAILED
        assert "refuses" in str(error)


async def test_two_random_nats_are_named_with_both_classes() -> None:
    async with internet() as world:
        server, client = await world.node("symmetric"), await world.node("cgnat-symmetric")
        listener = await server.listen()
        error = await world.failure(client, listener.public_key)
        assert error.reason is Reason.HOLEPUNCH_DOUBLE_RANDOMIZED_NATS
        assert (error.attempt.local_nat, error.attempt.remote_nat) == ("random", "random")
        assert error.attempt.addresses
        assert "relay" in str(error)


async def test_no_bootstrap_node_is_told_with_all_that_were_asked() -> None:
    async with VirtualNetwork() as network:
        asked = ("192.88.99.50:49737", "192.88.99.51@nosuch.example:49737")
        async with Swarm(bootstrap=asked, network=network.place("home")) as swarm:
            with trio.fail_after(IN_TIME), pytest.raises(BootstrapError) as caught:
                await swarm.connect(NOBODY)
            assert caught.value.addresses == (*asked, "192.88.99.51:49737")
            assert all(address in str(caught.value) for address in asked)
            assert "\n" not in str(caught.value)
