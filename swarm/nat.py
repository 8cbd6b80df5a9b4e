"""What the internet sees of a node: the kind of NAT in front of it, its public addresses, and who says so.

Pure; it asks nobody. Nothing here decides how a peer is dialled: every dial judges the NAT of its own socket
(`holepunch.punch.sampling`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from holepunch.nat.classifier import Classifier, Firewall

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holepunch.address import Address
    from holepunch.core import Role

__all__ = ["Nat", "Witness", "Witnesses"]

KEPT = 8
"""Nodes whose latest word counts: twice as many as a verdict takes, and few enough that a change shows soon."""


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


class Witnesses:
    """The latest word of each of the last witnesses. Only the last 8 nodes count, so that later ones change a verdict;
    STUN servers are few, and asked anew when something seems to have changed."""

    def __init__(self) -> None:
        self._nodes: dict[Address, tuple[Role, Address]] = {}  # heard last is last
        self._servers: dict[str, tuple[Role, Address, Address]] = {}

    def node(self, source: Address, seen: Address, role: Role) -> None:
        """A DHT node sees the socket ``role`` at ``seen``."""
        self._nodes.pop(source, None)
        self._nodes[source] = role, seen
        if len(self._nodes) > KEPT:
            del self._nodes[next(iter(self._nodes))]

    def stun(self, name: str, source: Address, seen: Address, role: Role) -> None:
        """A STUN server does. There are only as many as were configured."""
        self._servers[name] = role, source, seen

    def silent(self, name: str) -> None:
        """A STUN server does not answer any more: what it said is outdated."""
        self._servers.pop(name, None)

    def nat(self, role: Role, *, firewalled: bool, remote: Address | None, local: Sequence[Address]) -> Nat:
        """The judgement on the socket ``role``; ``remote`` is the own public address where that was proven."""
        witnesses: list[Witness] = []
        classifier = Classifier(firewalled=firewalled)
        for source, (seen_role, seen) in reversed(self._nodes.items()):
            if seen_role == role:
                witnesses.append(Witness("dht", str(source), seen))
                classifier.add(seen, source)
        for name, (seen_role, source, seen) in self._servers.items():
            if seen_role == role:
                witnesses.append(Witness("stun", name, seen))
                classifier.add(seen, source)
        public = classifier.addresses or ()
        if classifier.firewall is Firewall.OPEN:
            public = tuple(dict.fromkeys(w.address for w in witnesses)) if remote is None else (remote,)
        return Nat(_KINDS[classifier.firewall], public, firewalled, tuple(witnesses), tuple(local))


_KINDS: dict[Firewall, Literal["unknown", "open", "consistent", "random"]] = {
    Firewall.UNKNOWN: "unknown",
    Firewall.OPEN: "open",
    Firewall.CONSISTENT: "consistent",
    Firewall.RANDOM: "random",
}
