"""The NAT in front of one socket, judged from how several nodes see that socket. Pure; it asks nobody itself.

hyperdht.md, section 8. Node: hyperdht lib/nat.js; the numbers on the wire are those of its lib/constants.js.
"""

from __future__ import annotations

from enum import IntEnum

from holepunch.address import Address

__all__ = ["Classifier", "Firewall"]

FEWEST = 3
"""Samples without which there is no verdict."""
ENOUGH = 4
"""Samples that are asked for: with as many the verdict, or its absence, stands."""
MAX_SAMPLES = 64
"""Later samples are not looked at: nodes that are not asked could fill the memory with them."""


class Firewall(IntEnum):
    """How a NAT chooses the outer address of a socket."""

    UNKNOWN = 0
    OPEN = 1
    """There is no NAT, and no firewall."""
    CONSISTENT = 2
    """One address, whoever is spoken to."""
    RANDOM = 3
    """Another port for every destination."""


class _Tally:
    """Addresses by how often they were seen; of equals the one first that got there first."""

    __slots__ = ("counts",)

    def __init__(self) -> None:
        self.counts: list[tuple[Address, int]] = []

    def add(self, address: Address) -> None:
        at = next((i for i, (a, _) in enumerate(self.counts) if a == address), len(self.counts))
        hits = self.counts.pop(at)[1] + 1 if at < len(self.counts) else 1
        while at > 0 and self.counts[at - 1][1] < hits:
            at -= 1
        self.counts.insert(at, (address, hits))


class Classifier:
    """``firewall`` is the verdict so far: UNKNOWN, or OPEN when the node is known not to be ``firewalled``.

    Every sample may change the verdict, for the better or for the worse, until `freeze`.
    """

    __slots__ = ("_addresses", "_firewalled", "_frozen", "_hosts", "_referrers", "addresses", "firewall")

    def __init__(self, *, firewalled: bool) -> None:
        self.firewall = Firewall.UNKNOWN if firewalled else Firewall.OPEN
        self.addresses: tuple[Address, ...] | None = None
        """What a peer should punch at, best first: two or more of a CONSISTENT NAT if so many were seen, the host of
        a RANDOM one with port 0. None for other verdicts."""
        self._firewalled = firewalled
        self._frozen = False
        self._addresses = _Tally()
        self._hosts = _Tally()
        self._referrers: set[Address] = set()

    @property
    def sampled(self) -> int:
        return len(self._referrers)

    @property
    def analysed(self) -> bool:
        """Whether waiting for more samples makes no sense."""
        return self.firewall in (Firewall.OPEN, Firewall.CONSISTENT) or self.sampled >= ENOUGH

    def freeze(self) -> None:
        """The peer is being told the verdict, and acts on it: it does not change any more."""
        self._frozen = True

    def add(self, address: Address, referrer: Address) -> None:
        """``referrer`` sees the socket at ``address``. What one node says again is not listened to."""
        if referrer in self._referrers or self.sampled == MAX_SAMPLES:
            return
        self._referrers.add(referrer)
        self._addresses.add(address)
        self._hosts.add(Address(address.host, 0))
        if self._firewalled and not self._frozen and self.sampled >= FEWEST:
            self.firewall = self._judge()
            self.addresses = self._to_punch_at()

    def _judge(self) -> Firewall:
        common, most = self._addresses.counts[0]
        if most >= 3:
            # three nodes on one host see one port of a NAT that goes by hosts. (Node lets the first three decide.)
            of_its_host = next(hits for host, hits in self._hosts.counts if host.host == common.host)
            return Firewall.CONSISTENT if 2 * most >= of_its_host else Firewall.RANDOM
        if most == 1:
            return Firewall.RANDOM
        one_host = len(self._hosts.counts) == 1
        if one_host and self.sampled > 3:
            return Firewall.RANDOM
        if not one_host and self._addresses.counts[1][1] == 2:
            return Firewall.CONSISTENT  # a carrier that spreads its customers over two addresses
        return Firewall.RANDOM if self.sampled > 4 else self.firewall

    def _to_punch_at(self) -> tuple[Address, ...] | None:
        if self.firewall is Firewall.RANDOM:
            return (self._hosts.counts[0][0],)
        if self.firewall is Firewall.CONSISTENT:
            return tuple(a for i, (a, hits) in enumerate(self._addresses.counts) if hits >= 2 or i < 2)
        return None
