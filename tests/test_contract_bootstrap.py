"""No bootstrap node answers: who waits is told, and the node keeps trying without being a burden."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
import trio

from holepunch.testing import VirtualNetwork
from swarm import DHT, BootstrapError, Swarm
from tests.contract import NOBODY, internet

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.virtual_time

SILENT = "192.88.99.50:49737"


def tries(dht: DHT) -> list[float]:
    """When it asks again, from now on."""
    node = dht.node.node
    times: list[float] = []
    refresh: Callable[[], None] = node.refresh

    def note() -> None:
        times.append(trio.current_time())
        refresh()

    node.refresh = note  # type: ignore[method-assign]
    return times


async def test_whoever_waits_is_told_and_the_log_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    async with VirtualNetwork() as network, Swarm(bootstrap=[SILENT], network=network.host()) as swarm:
        discovery = swarm.join("x")
        for wait in (swarm.dht.bootstrapped, discovery.flushed, swarm.flush, lambda: swarm.connect(NOBODY)):
            with pytest.raises(BootstrapError) as caught:
                await wait()
            assert caught.value.addresses == (SILENT,)
            assert {address.port for address in caught.value.local_addresses} == {swarm.dht.local_address.port}
        await trio.sleep(300)
    assert len([record for record in caplog.records if "no bootstrap node answered" in record.getMessage()]) == 1


async def test_tries_become_rare_but_never_end() -> None:
    async with VirtualNetwork() as network, DHT(bootstrap=[SILENT], network=network.host()) as dht:
        with pytest.raises(BootstrapError):
            await dht.bootstrapped()
        asked = tries(dht)
        await trio.sleep(60)
        assert len(asked) >= 3
        await trio.sleep(3600)
        asked.clear()
        await trio.sleep(600)
        assert 10 <= len(asked) <= 40


async def test_another_network_is_tried_at_once() -> None:
    async with VirtualNetwork() as network, DHT(bootstrap=[SILENT], network=network.host()) as dht:
        with pytest.raises(BootstrapError):
            await dht.bootstrapped()
        await trio.sleep(300)
        asked = tries(dht)
        dht.turn()
        dht.node.node.network_changed()
        await trio.sleep(6)
        assert len(asked) >= 2


async def test_the_first_node_of_a_network_is_part_of_it_and_a_swarm_that_is_alone_says_so() -> None:
    async with internet() as world, world.swarm(bootstrap=[]) as swarm:
        await swarm.dht.bootstrapped()
        discovery = swarm.join("nobody else")
        for wait in (discovery.flushed, swarm.flush):
            with pytest.raises(BootstrapError, match="none were given"):
                await wait()
