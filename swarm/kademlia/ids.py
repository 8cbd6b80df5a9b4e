"""Node ids and distances between ids. An id is the hash of an address: it can be proven, and cannot be chosen.

Protocol: dht-rpc section 2. Reference: dht-rpc lib/peer.js.
"""

from __future__ import annotations

import hashlib
from socket import inet_aton
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from holepunch.address import Address

__all__ = ["ID_BITS", "ID_SIZE", "distance", "node_id", "row_index"]

ID_SIZE = 32
ID_BITS = 256


def node_id(address: Address) -> bytes:
    """The id of the node at an address: 32 bytes over the 6 bytes that the wire has for it."""
    host, port = address
    return hashlib.blake2b(inet_aton(host) + port.to_bytes(2, "little"), digest_size=ID_SIZE).digest()


def distance(a: bytes, b: bytes) -> int:
    """The XOR metric. Comparable, nothing more."""
    return int.from_bytes(a, "big") ^ int.from_bytes(b, "big")


def row_index(own: bytes, other: bytes) -> int:
    """How many leading bits two ids share; 255 when they are equal."""
    return min(ID_BITS - distance(own, other).bit_length(), ID_BITS - 1)
