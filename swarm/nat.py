"""What the internet sees of a node, as values: the NAT in front of it, its public addresses, and who says so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from holepunch.address import Address

__all__ = ["Nat", "Witness"]


@dataclass(frozen=True, slots=True)
class Witness:
    """One that was asked where this node's packets come from."""

    kind: Literal["dht", "stun"]
    name: str
    """A DHT node's address; a STUN server as it was configured."""
    address: Address
    """What it sees."""

    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, "name": self.name, "address": str(self.address)}


@dataclass(frozen=True, slots=True)
class Nat:
    """One moment's knowledge; ask again for a later one."""

    kind: Literal["unknown", "open", "consistent", "random"]
    """``unknown``: too few witnesses. ``open``: strangers reach this node. ``consistent``: its NAT shows one address to
    everyone. ``random``: another port to everyone."""
    public_addresses: tuple[Address, ...]
    """Best first. Behind a ``random`` NAT the port is 0: there is no telling. None while ``unknown``."""
    firewalled: bool
    """Whether strangers were not shown to reach this node."""
    witnesses: tuple[Witness, ...]
    """The evidence, latest first, of the socket that this node's own requests leave from."""
    local_addresses: tuple[Address, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "kind": self.kind,
            "public_addresses": [str(address) for address in self.public_addresses],
            "firewalled": self.firewalled,
            "witnesses": [witness.to_dict() for witness in self.witnesses],
            "local_addresses": [str(address) for address in self.local_addresses],
        }
