"""What one punch socket learns of the NAT it is behind, by asking nodes where its packets come from.

Judges nothing itself (`holepunch.nat.classifier` does), and sends no probes. Node: hyperdht lib/nat.js (autoSample).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from holepunch.address import Address
from holepunch.nat.classifier import Classifier, Firewall
from holepunch.punch.scope import Latch, Scope

if TYPE_CHECKING:
    from holepunch.core import Role
    from holepunch.punch.environment import Environment
    from holepunch.signaller import Pong

__all__ = ["Sampling"]

WAVE = 5
"""Nodes that are asked at a time: a verdict takes 4 answers, and one may be away. (Node: 4.)"""
WAVE_PAUSE = 0.3
"""Seconds after which further ones are asked. (Node waits until the first have timed out, after 1 s.)"""
ENOUGH = 4
"""Nodes that are known, from which on STUN servers are asked only once the nodes leave the verdict open: every
handshake that a stranger begins would cost them a request each."""
MAX_WITNESSES = 15
SKIP_RECENT = 5
SKIP_FROM = 8
"""The nodes heard last are asked last, if there are enough: they tend to be relays of this very exchange."""
SEQUENTIAL_SPAN = 100
"""Ports between the lowest and the highest seen, if they are given out one after the other. Three random ones come this
close with a chance of 1 in 100 000."""
MAX_PORTS = 8
"""Ports remembered for that."""


class Sampling:
    """Begins to ask at once, and stops when there is a verdict or nobody is left to ask."""

    __slots__ = (
        "_asked",
        "_classifier",
        "_environment",
        "_ports",
        "_role",
        "_scope",
        "_seen",
        "_servers",
        "_unanswered",
        "analysed",
    )

    def __init__(self, environment: Environment, role: Role) -> None:
        self._environment = environment
        self._role = role
        self._classifier = Classifier(firewalled=environment.signaller.firewalled)
        self._scope = Scope(environment.schedule)
        self._asked: set[Address] = set()
        self._unanswered = 0
        self._ports: list[int] = []
        self._seen: Address | None = None
        self.analysed: Latch[None] = Latch()
        """Set when the verdict is as good as it gets."""
        if self._classifier.firewall is not Firewall.UNKNOWN:
            self.analysed.set(None)
        self._servers = environment.stun
        if len(environment.signaller.witnesses()) < ENOUGH:
            self._ask_servers()
        self._ask()

    def _ask_servers(self) -> None:
        """The STUN servers, once."""
        servers, self._servers = self._servers, ()
        for ask in servers:
            self._unanswered += 1
            self._scope.begin(partial(ask, self._role), self._on_pong)

    def _ask(self) -> None:
        """Ask some more nodes, if there are any, until there is a verdict."""
        if self.analysed.is_set:
            return
        witnesses = self._environment.signaller.witnesses()
        skip = SKIP_RECENT if len(witnesses) >= SKIP_FROM else 0
        fresh = [w for w in (*witnesses[skip:], *witnesses[:skip]) if w not in self._asked][:WAVE]
        if len(self._asked) >= MAX_WITNESSES or not fresh:
            if not self._unanswered:
                self._ask_servers()
            if not self._unanswered:
                self.analysed.set(None)
            return
        for witness in fresh:
            self._asked.add(witness)
            self._unanswered += 1
            self._scope.begin(partial(self._environment.signaller.ping, witness, self._role, 0), self._on_pong)
        self._scope.after(WAVE_PAUSE, self._ask)

    def _on_pong(self, pong: Pong | None) -> None:
        self._unanswered -= 1
        if pong is not None:
            self.add(pong.to, pong.source)
        if not self._unanswered:
            self._ask()

    def add(self, address: Address, source: Address) -> None:
        """``source`` sees the socket at ``address``."""
        self._classifier.add(address, source)
        self._seen = self._seen or address
        if len(self._ports) < MAX_PORTS:
            self._ports.append(address.port)
        if self._classifier.analysed:
            self.analysed.set(None)

    @property
    def firewall(self) -> Firewall:
        return self._classifier.firewall

    def freeze(self) -> None:
        """The verdict was told to the peer, which acts on it: it stands from now on."""
        self._classifier.freeze()

    @property
    def last_port(self) -> int:
        """The last port that a random NAT gave out, if it takes one after the other; else 0."""
        ports = self._ports
        if self.firewall is not Firewall.RANDOM or max(ports) - min(ports) >= SEQUENTIAL_SPAN:
            return 0
        return max(ports)

    @property
    def addresses(self) -> tuple[Address, ...] | None:
        """The own addresses as the peer is told them; None while there is no verdict.

        That of a random NAT has port 0, or the last port if the next ones follow from it. Without a NAT it is what
        anyone sees. (Node tells none then, and is not punched at.)
        """
        if self.firewall is Firewall.OPEN and self._seen is not None:
            return (self._seen,)
        addresses = self._classifier.addresses
        if addresses is None:
            return None
        last_port = self.last_port
        return tuple(Address(a.host, last_port) for a in addresses) if last_port else tuple(addresses)

    def close(self) -> None:
        self._scope.close()
