"""One node in a small network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from swarm.kademlia.ids import node_id
from tests.kademlia.simnet import SimNet

if TYPE_CHECKING:
    from holepunch.address import Address

__all__ = ["Scene"]


class Scene:
    """A small network, and one node with the default settings."""

    def __init__(self, nodes: int = 8, **options: Any) -> None:
        self.net = SimNet()
        self.first = self.net.first()
        self.others = self.net.persistent(nodes - 1, self.first)
        self.host = self.net.host(bootstrap=[self.first.address], **options)
        self.node = self.host.node

    def start(self) -> None:
        self.net.start(self.host)

    def in_tables(self, address: Address) -> int:
        return sum(node_id(address) in host.node.table for host in [self.first, *self.others])
