"""Ten real swarms, fifteen topics, random disconnects: in the end everyone has exactly the peers it should have."""

from __future__ import annotations

import random
from contextlib import AsyncExitStack

import pytest
import trio

from holepunch.testing import VirtualNetwork
from swarm import Swarm, Topic
from swarm.testing import Testnet

pytestmark = pytest.mark.virtual_time

SWARMS, TOPICS, DISCONNECTS = 10, 15, 30


@pytest.mark.parametrize("secret", [None, b"ours"], ids=["open", "closed"])
async def test_after_random_disconnects_everyone_has_exactly_its_peers_and_knows_their_topics(
    secret: bytes | None,
) -> None:
    rng = random.Random(1)
    async with VirtualNetwork(seed=1) as network, Testnet(4, internet=network) as net, AsyncExitStack() as stack:
        swarms = [Swarm(bootstrap=net.bootstrap, network=network.host(), secret=secret) for _ in range(SWARMS)]
        for swarm in swarms:
            await stack.enter_async_context(swarm)
        joined: dict[Swarm, set[Topic]] = {swarm: set() for swarm in swarms}
        for number in range(TOPICS):
            topic = Topic.from_name(f"topic {number}")
            for swarm in rng.sample(swarms, rng.randrange(2, 6)):
                swarm.join(topic)
                joined[swarm].add(topic)
        await trio.sleep(1)
        for _ in range(DISCONNECTS):
            await trio.sleep(rng.random() / 1.5)
            swarm = rng.choice(swarms)
            if swarm.connections:
                rng.choice(swarm.connections).destroy()
        await trio.sleep(45)

        by_key = {swarm.public_key: swarm for swarm in swarms}
        ends: set[tuple[bytes, bool]] = set()
        for swarm in swarms:
            expected = {other.public_key for other in swarms if other is not swarm and joined[swarm] & joined[other]}
            assert sorted(connection.remote_public_key for connection in swarm.connections) == sorted(expected)
            assert not any(peer.banned for peer in swarm.peers.values())
            for connection in swarm.connections:
                ends.add((connection.handshake_hash, connection.is_initiator))
                assert set(connection.topics) == joined[swarm] & joined[by_key[connection.remote_public_key]]
        assert {(handshake, not initiator) for handshake, initiator in ends} == ends, "an end without its other end"
