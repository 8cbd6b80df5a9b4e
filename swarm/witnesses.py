"""Who has said where a node's packets come from, and what that tells of the NAT in front of it.

Pure; it asks nobody. Nothing here decides how a peer is dialled: every dial judges the NAT of its own socket
(`holepunch.punch.sampling`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from holepunch.nat.classifier import Classifier, Firewall

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holepunch.address import Address
    from holepunch.core import Role
    from swarm.nat import Nat, Witness

__all__ = ["KEPT", "Witnesses"]

KEPT = 8
"""Nodes whose latest word counts: twice as many as a verdict takes, and few enough that a change shows soon."""

_KINDS: dict[Firewall, Literal["unknown", "open", "consistent", "random"]] = {
    Firewall.UNKNOWN: "unknown",
    Firewall.OPEN: "open",
    Firewall.CONSISTENT: "consistent",
    Firewall.RANDOM: "random",
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
        from swarm.nat import Nat, Witness  # when asked for: importing a swarm takes long enough

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
