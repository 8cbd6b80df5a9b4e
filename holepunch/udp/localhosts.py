"""Which addresses of this host a neighbour can be told: those that deliver. Asks no peer.

Some virtual machines and VPNs swallow packets to the interface's own address. Whoever shares this host, or a network
with it, would wait for such an address in vain. Node: hyperdht lib/server.js (``validateLocalAddresses``).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import trio

if TYPE_CHECKING:
    from holepunch.nursery import Background
    from holepunch.udp import Network

__all__ = ["LocalHosts", "delivers"]

PATIENCE = 0.5
"""Seconds for a byte to come back."""
LISTED_FOR = 2.0
"""Seconds that the list of interfaces is good for: reading it costs more than a handshake."""
FIRST_AGAIN = 10.0
"""Seconds after which a host that did not deliver is tested again, when it is asked for: this one may have been busy.
Each time it does not, twice as many."""
LAST_AGAIN = 640.0
MAX_HOSTS = 64
"""Hosts that are tested. A machine that changes networks all day has fewer, one full of containers tests the first."""


async def delivers(network: Network, host: str) -> bool:
    """Whether a socket bound to ``host`` receives what it sends to itself, within half a second."""
    try:
        socket = network.bind(host, 0)
    except OSError:  # the interface went away
        return False
    try:
        address = socket.local_address
        socket.send((b"\x00",), address)
        with trio.move_on_after(PATIENCE):
            while True:
                await socket.wait_readable()
                if any(received.source == address for received in socket.receive()):
                    return True
        return False
    finally:
        socket.close()


class _Silent(NamedTuple):
    """A host that did not deliver, or is being tested."""

    again_at: float
    """When it may be tested again; ``math.inf`` while it is."""
    wait: float


class LocalHosts:
    """The addresses of this host, each tested in the background when it is first seen, and now and then until it
    delivers."""

    def __init__(self, network: Network, host: str) -> None:
        """``host``: what the sockets are bound to; 0.0.0.0 is every interface."""
        self._network = network
        self._bound = host
        self._listed: tuple[float, list[str]] = (-LISTED_FOR, [])
        self._delivering: set[str] = set()
        self._silent: dict[str, _Silent] = {}
        self._nursery: Background | None = None

    def start(self, nursery: Background) -> None:
        """Begin to test, in ``nursery``."""
        self._nursery = nursery
        self.all()

    def all(self) -> list[str]:
        if self._bound != "0.0.0.0":
            return self._watch([self._bound])
        now = trio.current_time()
        if now - self._listed[0] >= LISTED_FOR:
            self._listed = (now, self._watch(self._network.local_hosts()))
        return self._listed[1]

    def proven(self) -> list[str]:
        """Those that deliver, as far as is known by now."""
        return [host for host in self.all() if host in self._delivering]

    def _watch(self, hosts: list[str]) -> list[str]:
        if self._nursery is not None:
            for host in hosts:
                if host not in self._delivering:
                    self._consider(host, self._nursery)
        return hosts

    def _consider(self, host: str, nursery: Background) -> None:
        silent = self._silent.get(host)
        if silent is None:
            if len(self._delivering) + len(self._silent) >= MAX_HOSTS:
                return
            silent = _Silent(-math.inf, FIRST_AGAIN)
        if trio.current_time() >= silent.again_at:
            self._silent[host] = silent._replace(again_at=math.inf)
            nursery.start_soon(self._test, host, silent.wait)

    async def _test(self, host: str, wait: float) -> None:
        if await delivers(self._network, host):
            self._delivering.add(host)
            del self._silent[host]
        else:
            self._silent[host] = _Silent(trio.current_time() + wait, min(2 * wait, LAST_AGAIN))
