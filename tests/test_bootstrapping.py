"""Swarms and nodes whose bootstrap node is not there: they say so, keep trying, and are there when it is."""

from __future__ import annotations

from functools import partial

import pytest
import trio

from holepunch.testing import VirtualNetwork
from swarm import DHT, BootstrapError, Swarm

pytestmark = pytest.mark.virtual_time


async def test_without_a_bootstrap_node_the_error_names_who_was_asked() -> None:
    async with VirtualNetwork() as network:
        host = network.host()
        async with Swarm(bootstrap=["192.88.99.200:49737"], network=host) as swarm:
            discovery = swarm.join("nobody")
            for wait in (
                swarm.dht.bootstrapped,
                discovery.flushed,
                swarm.flush,
                swarm.listen,
                partial(swarm.connect, bytes(32)),
            ):
                with pytest.raises(BootstrapError) as caught:
                    await wait()
                assert "192.88.99.200:49737" in str(caught.value)
                assert str(host.local_hosts()[0]) in str(caught.value)


async def test_bootstrap_node_that_comes_late_is_found() -> None:
    async with VirtualNetwork() as network:
        host = network.host("192.88.99.1")
        async with DHT(bootstrap=["192.88.99.1:49737"], network=network.host()) as client:
            with pytest.raises(BootstrapError):
                await client.bootstrapped()
            async with DHT(bootstrap=[], port=49737, public_host="192.88.99.1", host="192.88.99.1", network=host):
                await trio.sleep(30)
                await client.bootstrapped()
