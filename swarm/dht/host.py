"""What the machine under a node does: it changes networks, and it sleeps. Tells the node, and does nothing else."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from holepunch.endpoint import Endpoint
    from holepunch.udp import Network
    from swarm.dht.node import Node

__all__ = ["watch_host"]

logger = logging.getLogger(__name__)

INTERVAL = 5.0
"""Seconds between looks. Reading the interfaces takes about a millisecond."""
SLEPT = 15.0
"""Seconds by which the wall clock runs ahead of the monotonic one when the machine slept: Linux stops the latter. A
clock that is set forward looks the same, and costs one needless refresh."""


async def watch_host(network: Network, endpoint: Endpoint, node: Node) -> None:
    """Look every few seconds, for ever."""
    hosts = set(network.local_hosts())
    offset = time.time() - time.monotonic()
    while True:
        await trio.sleep(INTERVAL)
        endpoint.now()
        ahead, offset = time.time() - time.monotonic() - offset, time.time() - time.monotonic()
        if ahead > SLEPT:
            logger.info("the machine slept for about %d s", ahead)
            node.wake_up()
        before, hosts = hosts, set(network.local_hosts())
        if hosts != before:
            logger.info("local addresses changed from %s to %s", sorted(before), sorted(hosts))
            node.network_changed()
