"""Getting into the network: who is asked, and what the error tells of them when nobody answers."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import pytest
import trio

from holepunch.address import Address
from holepunch.testing import VirtualNetwork
from swarm import DHT, BootstrapError, Swarm
from swarm.kademlia.table import K
from swarm.remembered import encode_nodes
from swarm.state import NODES_FILE
from swarm.testing import Testnet

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

pytestmark = pytest.mark.virtual_time

DEAD = [Address(f"198.51.100.{n}", 49737) for n in range(1, 2 * K)]


async def test_error_names_the_entries_as_given_and_every_address_that_was_asked() -> None:
    async with VirtualNetwork() as network:
        network.names.update({"one.example": ["198.51.100.1", "198.51.100.2"], "two.example": ["198.51.100.3"]})
        entries = ["one.example:1", " 198.51.100.4@two.example:02 ", "198.51.100.5:5", "none.example:6"]
        host = network.host()
        async with DHT(bootstrap=entries, network=host) as node:
            with pytest.raises(BootstrapError) as caught:
                await node.bootstrapped()
    error = caught.value
    addresses = ["198.51.100.1:1", "198.51.100.3:2", "198.51.100.4:2", "198.51.100.5:5"]
    assert error.addresses[:4] == tuple(entries)
    assert sorted(error.addresses[4:]) == addresses[:3]
    assert error.unresolved == ("none.example:6",)
    assert {address.host for address in error.local_addresses} == set(host.local_hosts())
    for name in (*entries, *addresses, "does not resolve: none.example:6"):
        assert name in str(error)
    assert pickle.loads(pickle.dumps(error)).addresses == error.addresses


@pytest.mark.parametrize("remembered", [DEAD[:3], DEAD])
async def test_error_names_the_remembered_nodes_that_were_asked_too(
    remembered: Sequence[Address], tmp_path: Path
) -> None:
    (tmp_path / NODES_FILE).write_bytes(encode_nodes(remembered))
    async with VirtualNetwork() as network:
        asked: set[str] = set()
        network.core.watch = lambda when, what, packet: asked.add(str(packet.to)) if what == "no such address" else None
        async with Swarm(bootstrap=["192.88.99.200:49737"], network=network.host(), state=tmp_path) as swarm:
            with pytest.raises(BootstrapError) as caught:
                await swarm.dht.bootstrapped()
            network.core.watch = None  # the node goes on trying
    error = caught.value
    assert error.addresses[0] == "192.88.99.200:49737"
    assert set(error.addresses) == asked
    assert len(error.addresses) == 1 + min(len(remembered), K)


async def test_bootstrap_node_is_asked_when_all_remembered_nodes_are_gone(tmp_path: Path) -> None:
    (tmp_path / NODES_FILE).write_bytes(encode_nodes(DEAD))
    async with VirtualNetwork() as network:
        host = network.host("192.88.99.1")
        async with (
            Testnet(2, host="192.88.99.1", network=host) as net,
            Swarm(bootstrap=net.bootstrap, network=network.host(), state=tmp_path) as swarm,
        ):
            with trio.fail_after(30):
                await swarm.dht.bootstrapped()
