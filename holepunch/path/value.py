"""How the bytes of a connection travel, as a value. Decides nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from holepunch.fields import Fields

if TYPE_CHECKING:
    from holepunch.address import Address
    from holepunch.keys import PublicKey

__all__ = ["Path"]


@dataclass(frozen=True, eq=False, repr=False)
class Path(Fields):
    """One way between two peers."""

    kind: Literal["direct", "lan", "relayed"]
    """``"lan"``: direct, inside a network that both are in, or on one machine."""
    remote_address: Address
    """Where packets go: the peer, or the relay in between."""
    relay: PublicKey | None
    """The relay's key when relayed."""
    rtt: float | None
    """Smoothed round trip time in seconds; None before the first measurement."""
    since: float
    """When this path was taken, on trio's clock, in seconds."""

    @classmethod
    def to(
        cls, remote: Address, *, relay: PublicKey | None = None, lan: bool = False, rtt: float | None, since: float
    ) -> Path:
        return cls("relayed" if relay is not None else "lan" if lan else "direct", remote, relay, rtt, since)

    def to_dict(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "remote_address": str(self.remote_address),
            "relay": self.relay.hex() if self.relay is not None else None,
            "rtt": self.rtt,
            "since": self.since,
        }
