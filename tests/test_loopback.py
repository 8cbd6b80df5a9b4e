"""The public face over real sockets on loopback: what a virtual network cannot show."""

from __future__ import annotations

import pytest

from swarm import DHT, Connection, Swarm
from swarm.testing import Testnet


async def first(swarm: Swarm) -> Connection:
    async for connection in swarm:
        return connection
    raise AssertionError("the swarm ended")


async def test_port_in_use_says_which() -> None:
    async with DHT(bootstrap=[], host="127.0.0.1") as one:
        port = one.local_address.port
        with pytest.raises(OSError, match=f"127.0.0.1:{port}"):
            async with Swarm(bootstrap=[], host="127.0.0.1", port=port):
                pass


async def test_two_real_peers_on_loopback_meet() -> None:
    async with (
        Testnet(3) as net,
        Swarm(bootstrap=net.bootstrap, host="127.0.0.1") as alice,
        Swarm(bootstrap=net.bootstrap, host="127.0.0.1") as bob,
    ):
        alice.join("real", client=False)
        assert await alice.flush()
        bob.join("real", server=False)
        connection = await first(bob)
        await connection.send_all(b"hi")
        assert await (await first(alice)).receive_some() == b"hi"
        assert connection.path.kind == "lan"


async def test_network_of_one_node_stores_and_answers() -> None:
    async with Testnet(1) as net, DHT(bootstrap=net.bootstrap, host="127.0.0.1") as client:
        target = await client.immutable_put(b"value")
        assert await client.immutable_get(target) == b"value"
