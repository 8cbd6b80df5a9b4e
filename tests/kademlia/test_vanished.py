"""Nodes of a small network vanish without a word: what is asked of the rest takes hardly longer."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest
import trio

from holepunch.testing import VirtualNetwork
from swarm import DHT, KeyPair

pytestmark = pytest.mark.virtual_time

PORT = 4000
DHT_OF = [f"88.0.0.1:{PORT}"]
USUAL = 1.5
"""Seconds, at most, of which the round trips are less than a third."""


async def test_commands_wait_little_for_two_of_three_nodes_that_vanished_and_later_ones_not_at_all() -> None:
    async with VirtualNetwork(seed=7) as network, AsyncExitStack() as nodes:
        first, *others = [network.host(f"88.0.0.{n}") for n in range(1, 4)]
        client = network.host("88.0.0.9")
        await nodes.enter_async_context(DHT(bootstrap=[], network=first, port=PORT, public_host="88.0.0.1"))
        for host in others:
            node = DHT(bootstrap=DHT_OF, network=host, port=PORT, ephemeral=False, firewalled=False)
            await (await nodes.enter_async_context(node)).bootstrapped()
        await trio.sleep(30)
        for host in others:
            host.sleep()

        async def seconds(what: str) -> float:
            started = trio.current_time()
            async with DHT(bootstrap=DHT_OF, network=client) as dht:
                await dht.bootstrapped()
                match what:
                    case "look up":
                        assert [reply async for reply in dht.lookup(bytes(31) + b"1")] == []
                    case "announce":
                        assert len((await dht.announce(bytes(32), KeyPair.generate())).nodes) == 1
                    case "put":
                        await dht.immutable_put(b"a value")
                    case "listen":
                        await dht.listen()
                return trio.current_time() - started

        took = {what: await seconds(what) for what in ("look up", "put", "announce", "listen")}
        assert max(took.values()) < USUAL, took
        await trio.sleep(5)
        assert await seconds("look up") < 0.5  # the first one has told who named them
