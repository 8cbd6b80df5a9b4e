"""How a node finds its first other nodes: names and addresses of bootstrap nodes, and the procedure at the start.

DNS is asked through a callable. Protocol: dht-rpc section 11. Reference: dht-rpc index.js (``_bootstrap``,
``_resolveBootstrapNodes``).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, Self

from holepunch.address import Address, is_ipv4, split_host_port

if TYPE_CHECKING:
    from holepunch.core import Random
    from swarm.kademlia.node import Node
    from swarm.kademlia.query import Query
    from swarm.kademlia.rpc import Reply

__all__ = ["PUBLIC_BOOTSTRAP", "BootstrapHost", "Bootstrapping", "Lookup", "Resolver", "retry_pauses"]

PUBLIC_BOOTSTRAP = (
    "88.99.3.86@node1.hyperdht.org:49737",
    "142.93.90.113@node2.hyperdht.org:49737",
    "138.68.147.8@node3.hyperdht.org:49737",
)
"""The entrances of the public Hyperswarm DHT (HyperDHT lib/constants.js)."""

RESOLVED_FOR = 60.0
"""Seconds that resolved addresses are kept. The reference resolves afresh for each query of a small network."""

RETRY_FIRST = 5.0
RETRY_MOST = 60.0
"""Seconds between tries while no bootstrap node answers, at first and at last."""
RETRY_EARLY = 6
"""Tries before the pauses are doubled: in the first half minute somebody may be starting a network, or a cable is put
back."""
RETRY_JITTER = 0.25
"""The part of each pause that chance may take away: nodes that lost one bootstrap node at one moment must not all ask
it at one moment when it is back."""

Lookup = Callable[[str, Callable[[Sequence[str]], None]], None]
"""Resolves a name to IPv4 hosts, none when it cannot, through the callable it is given: once, now or later."""


class BootstrapHost(NamedTuple):
    host: str
    """A name, or an IPv4 address."""
    port: int
    suggested: str | None
    """An IPv4 address to try before asking DNS for ``host``."""

    def __str__(self) -> str:
        return f"{self.suggested}@{self.host}:{self.port}" if self.suggested else f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """``"host:port"`` or ``"ip@host:port"``. Raises ``ValueError`` that shows the text and a right one."""
        suggested, at, rest = text.strip().rpartition("@")
        found = split_host_port(rest)
        if found is None or (at and not is_ipv4(suggested)):
            raise ValueError(
                f"not a bootstrap node: {text!r}; a right one looks like 'node.example.org:49737', "
                "'192.0.2.1:49737' or '192.0.2.1@node.example.org:49737'"
            )
        return cls(*found, suggested if at else None)


def retry_pauses(rng: Random) -> Iterator[float]:
    """Seconds before each further try, for ever."""
    for number in itertools.count(1):
        doublings = min(max(0, number - RETRY_EARLY), 16)
        yield min(RETRY_FIRST * 2**doublings, RETRY_MOST) * (1 - RETRY_JITTER * rng.random())


class Resolver:
    """What `Node.resolve` can be set to: bootstrap hosts to addresses, as far as they can be resolved now."""

    def __init__(self, node: Node, hosts: Sequence[BootstrapHost], lookup: Lookup) -> None:
        self._node = node
        self._hosts = hosts
        self._lookup = lookup
        self._addresses: dict[int, Address] = {}
        self._asked: dict[Address, None] = {}
        self._missing = 0
        self._waiting: list[Callable[[Sequence[Address]], None]] = []
        self._fresh_until = 0.0

    @property
    def asked(self) -> Sequence[Address]:
        """The addresses that it found or tried last, each of which was asked or is."""
        return list(self._asked)

    @property
    def unresolved(self) -> Sequence[int]:
        """Which of the hosts, by their place, have no address as of the last time."""
        return [index for index in range(len(self._hosts)) if index not in self._addresses]

    def __call__(self, on_resolved: Callable[[Sequence[Address]], None]) -> None:
        if self._addresses and self._node.schedule.now < self._fresh_until:
            on_resolved(list(self._addresses.values()))
            return
        self._waiting.append(on_resolved)
        if len(self._waiting) > 1:
            return
        self._addresses = {}
        self._asked = {}
        self._missing = len(self._hosts) + 1
        for index, host in enumerate(self._hosts):
            self._resolve(index, host)
        self._settle()

    def _resolve(self, index: int, entry: BootstrapHost) -> None:
        host, port, suggested = entry
        if suggested is not None:

            def on_pong(reply: Reply | None) -> None:
                if reply is None:
                    self._resolve(index, entry._replace(suggested=None))
                else:
                    self._settle(index, Address(suggested, port))

            self._asked[Address(suggested, port)] = None
            self._node.ping(Address(suggested, port), on_pong)
        elif is_ipv4(host):
            self._settle(index, Address(host, port))
        else:
            self._lookup(host, lambda hosts: self._settle(index, Address(hosts[0], port)) if hosts else self._settle())

    def _settle(self, index: int = -1, address: Address | None = None) -> None:
        if address is not None:
            self._addresses[index] = address
            self._asked[address] = None
        self._missing -= 1
        if self._missing:
            return
        self._addresses = dict(sorted(self._addresses.items()))
        self._fresh_until = self._node.schedule.now + RESOLVED_FOR
        waiting, self._waiting = self._waiting, []
        for on_resolved in waiting:
            on_resolved(list(self._addresses.values()))


class Bootstrapping:
    """The procedure at the start: find the own neighbourhood, and with it the own address."""

    __slots__ = ("_active", "_check_firewall", "_node", "_on_end", "_permanent", "_reached", "_repeated", "asked")

    def __init__(self, node: Node, *, permanent: bool, quick_firewall: bool, on_end: Callable[[], None]) -> None:
        """``permanent``: become persistent now rather than after a while."""
        self._node = node
        self._permanent = permanent
        self._check_firewall = node.firewalled and quick_firewall and not permanent
        self._active = False
        self._reached = False
        self._repeated = False
        self._on_end = on_end
        self.asked: Sequence[Address] = ()
        """Whom the first search has asked, once it has ended without an answer."""

    def repeat(self) -> None:
        """Once more, in another network, with the full check. Under way already, it goes on."""
        if not self._active:
            self._reached, self._repeated = True, False
            self.start()

    def start(self) -> None:
        self._active = True
        self._node.background_query(self._node.table.id, on_reply=self._on_reply, on_end=self._on_searched)

    def _on_reply(self, reply: Reply) -> None:
        """One node that reaches the server socket before the search ends makes a full check worthwhile."""
        if self._check_firewall:
            self._check_firewall = False
            self._node.reachability.ask_to_reach_server(reply.from_, self._on_reached)

    def _on_reached(self, reply: Reply | None) -> None:
        if reply is not None:
            self._reached = True

    def _on_searched(self, query: Query) -> None:
        if not query.successes:
            self.asked = query.asked
        if self._repeated or not (self._reached or self._permanent):
            self._end()
        else:
            self._node.reachability.update(not self._permanent, self._on_updated)

    def _on_updated(self, changed: bool) -> None:
        if changed:
            # the table has another id now: search its neighbourhood
            self._repeated = True
            self.start()
        else:
            self._end()

    def _end(self) -> None:
        self._active = False
        self._on_end()
