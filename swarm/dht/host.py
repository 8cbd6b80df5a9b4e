"""What the machine under a node does: it changes networks, and it sleeps. Tells the node, and does nothing else."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import trio

if TYPE_CHECKING:
    from holepunch.endpoint import Endpoint
    from holepunch.udp import Network
    from swarm.kademlia.node import Node

__all__ = ["watch_host"]

logger = logging.getLogger(__name__)

INTERVAL = 5.0
"""Seconds between looks. Reading the interfaces takes about a millisecond."""
SLEPT = 15.0
"""Seconds of sleep from which on nothing known about the network is certain any more."""

_SINCE_BOOT: int | None = getattr(time, "CLOCK_BOOTTIME", None)


def slept() -> float:
    """Seconds that this machine has slept so far, give or take a constant.

    Linux counts them: one of its clocks goes on, the monotonic one stands still. Elsewhere the wall clock has to stand
    for the former, and looks the same when it is set forward, which costs one needless refresh.
    """
    going_on = time.time() if _SINCE_BOOT is None else time.clock_gettime(_SINCE_BOOT)
    return going_on - time.monotonic()


@runtime_checkable
class CountsSleep(Protocol):
    """A network whose machine has a sleep of its own: a virtual one."""

    def time_asleep(self) -> float:
        """Seconds that it has slept so far."""


async def watch_host(network: Network, endpoint: Endpoint, node: Node) -> None:
    """Look every few seconds, for ever."""
    moves = not endpoint.host.startswith("127.")  # whatever happens to the rest, loopback stays
    hosts = set(network.local_hosts()) if moves else set()
    count = network.time_asleep if isinstance(network, CountsSleep) else slept
    asleep = count()
    while True:
        await trio.sleep(INTERVAL)
        endpoint.now()
        before, asleep = asleep, count()
        if asleep - before > SLEPT:
            logger.info("the machine slept for about %d s", asleep - before)
            node.wake_up()
        if moves:
            known, hosts = hosts, set(network.local_hosts())
            if hosts != known:
                logger.info("local addresses changed from %s to %s", sorted(known), sorted(hosts))
                node.network_changed()
