"""How the bytes of a connection travel, as a value. Decides nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from holepunch.address import is_private

if TYPE_CHECKING:
    from holepunch.address import Address
    from holepunch.keys import PublicKey

__all__ = ["Path"]


@dataclass(frozen=True, slots=True)
class Path:
    """One way between two peers."""

    kind: str
    """``"direct"``, ``"lan"`` or ``"relayed"``."""
    remote_address: Address
    """Where packets go: the peer, or the relay in between."""
    relay: PublicKey | None
    """The relay's key when relayed."""
    rtt: float | None
    """Smoothed round trip time in seconds; None before the first measurement."""
    since: float
    """When this path was taken, on trio's clock, in seconds."""

    @classmethod
    def to(cls, remote: Address, *, relay: PublicKey | None = None, rtt: float | None, since: float) -> Path:
        kind = "relayed" if relay is not None else "lan" if is_private(remote.host) else "direct"
        return cls(kind, remote, relay, rtt, since)

    def to_dict(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "remote_address": str(self.remote_address),
            "relay": self.relay.hex() if self.relay is not None else None,
            "rtt": self.rtt,
            "since": self.since,
        }
