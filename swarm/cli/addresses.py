"""Where others reach a node, for commands that print it. Asks nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holepunch.udp.interfaces import local_hosts

if TYPE_CHECKING:
    from swarm import DHT

__all__ = ["EVERY_INTERFACE", "first_local_host", "reached_at"]

EVERY_INTERFACE = "0.0.0.0"


def first_local_host() -> str:
    """The address of this machine's first interface; 127.0.0.1 where there is no network."""
    return local_hosts()[0]


def reached_at(dht: DHT) -> list[str]:
    """``ip:port`` of the node: its public address where that is known, and those that neighbours use."""
    public = dht.node.node.remote_address()
    found = (*([public] if public is not None else []), *dht.nat.local_addresses)
    return [str(address) for address in dict.fromkeys(found)]
