"""A node that queries, among puppets that answer as a test says."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from holepunch.address import Address
from swarm.kademlia.ids import node_id
from swarm.kademlia.packets import RequestPacket
from swarm.kademlia.table import Contact
from tests.kademlia.simnet import Puppet, SimNet, nearest

if TYPE_CHECKING:
    from swarm.kademlia.query import Query
    from swarm.kademlia.rpc import Reply

GET = 40
PUT = 41
TARGET = bytes(range(32))
TOKEN = bytes(32)

Answer = Callable[[RequestPacket], dict[str, Any] | None]


def some_addresses(count: int, seed: int = 0) -> list[Address]:
    """Nearest to the target first."""
    rng = random.Random(seed)
    made = {Address(f"20.{rng.randrange(256)}.{rng.randrange(256)}.1", rng.randrange(1, 65536)) for _ in range(count)}
    return nearest(list(made), TARGET)


def naming(closer: Sequence[Address], **fields: Any) -> Answer:
    """Answer everyone with the same closer nodes."""
    return lambda request: {"closer": list(closer), "token": TOKEN, **fields}


def after(attempts: int, closer: Sequence[Address]) -> Answer:
    """Silence to so many attempts first."""
    left = iter(range(attempts))
    return lambda request: {"closer": list(closer)} if next(left, None) is None else None


class Scene:
    """One node that queries, among puppets."""

    def __init__(self, bootstrap: Sequence[Address] = (), table: Sequence[Address] = (), **options: Any) -> None:
        self.net = SimNet()
        self.host = self.net.host(bootstrap=bootstrap, **options)
        self.node = self.host.node
        self.node.bootstrapped = True
        for address in table:
            self.node.table.add(Contact(node_id(address), address, None, self.node.maintenance.tick))
        self.replies: list[Reply] = []
        self.ended: list[Query] = []

    def puppets(self, addresses: Sequence[Address], answer: Answer | None) -> list[Puppet]:
        return [self.net.puppet(address, answer) for address in addresses]

    def query(self, **options: Any) -> Query:
        return self.node.query(TARGET, GET, b"?", on_reply=self.replies.append, on_end=self.ended.append, **options)

    def finish(self, **options: Any) -> Query:
        query = self.query(**options)
        self.net.run_until(lambda: self.ended)
        return query
