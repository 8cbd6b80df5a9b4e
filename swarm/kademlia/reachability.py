"""The own address as others see it, whether strangers can reach it, and when that makes the node persistent.

Protocol: dht-rpc section 6. Reference: dht-rpc index.js (``_updateNetworkState``, ``_checkIfFirewalled``).
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from holepunch.address import Address, is_lan
from holepunch.core import SERVER
from holepunch.nat.sampler import Sampler
from swarm.kademlia.events import Event
from swarm.kademlia.ids import node_id
from swarm.kademlia.maintenance import RECHECK_TICKS, STABLE_TICKS
from swarm.kademlia.packets import PING_NAT
from swarm.witnesses import Witnesses

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from swarm.kademlia.node import Node
    from swarm.kademlia.rpc import OnReply, Reply

__all__ = ["Reachability"]

PROBED = 5
"""Nodes asked to send to the server socket."""
ENOUGH = 3
"""Answers that count as proof when so many were asked; one is enough when fewer were."""
CONTRARY = 3
"""Replies in a row that see this side elsewhere: more than one node that lies."""
MAPPING_LIFE = 300.0
"""Seconds after which a NAT has forgotten whom the server socket sent to: until then those nodes get in (RFC 4787)."""


class Reachability:
    __slots__ = ("_checked_host", "_contrary", "_node", "_prove_from", "_proven", "_strangers", "sampler", "witnesses")

    def __init__(self, node: Node) -> None:
        self._node = node
        self.sampler = Sampler()
        self.witnesses = Witnesses()
        self._strangers: set[Address] = set()
        self._checked_host: str | None = None
        self._proven: Address | None = None
        """Where strangers reach the server socket. None as well where that is not in question."""
        self._contrary = 0
        self._prove_from = 0.0

    # sampling

    def sample(self, to: Address) -> None:
        """A node of the table sees this side as ``to``."""
        before = self.sampler.host, self.sampler.port
        self.sampler.add(to.host, to.port)
        if before != (self.sampler.host, self.sampler.port):
            self._node.tell(Event.NAT_UPDATE)

    def sample_stranger(self, source: Address, to: Address) -> None:
        """A node without id answered. Few are believed: as many as there are bootstrap nodes, which may have none."""
        if source not in self._strangers and len(self._strangers) < max(1, len(self._node.bootstrap)):
            self._strangers.add(source)
            self.sample(to)

    def witnessed(self, reply: Reply) -> None:
        """A node answered, and told where it sees the socket that asked. Only the main one is of interest here."""
        if reply.role != self._node.main_role:
            return
        self.witnesses.node(reply.from_, reply.to, reply.role)
        # a node in the same network, or on this machine, sees another address of this side, and always did
        if self._proven is not None and _realm(reply.to.host) == _realm(self._proven.host):
            self._contrary = self._contrary + 1 if reply.to != self._proven else 0
            if self._contrary >= CONTRARY:
                self._distrust()

    # judging

    def forget_check(self) -> None:
        """The network may be another one now: check it again, the same host too."""
        self._checked_host = None

    def _distrust(self) -> None:
        """This side is elsewhere now, and whether strangers reach it there is not known.

        Node stays open, and behind a NAT cannot be reached any more: a peer punches no hole to one that is open.
        """
        node = self._node
        self._checked_host = self._proven = None
        self._contrary = 0
        self._strangers.clear()
        self.sampler = Sampler()
        for contact in node.table.latest():
            contact.sampled = 0
        node.rpc.firewalled = True
        self.become_ephemeral()
        node.maintenance.stable_ticks = STABLE_TICKS
        self._prove_from = node.schedule.now + MAPPING_LIFE
        node.schedule.at(self._prove_from, self._prove_again)

    def _prove_again(self) -> None:
        node = self._node
        if not node.suspended:
            node.bootstrapping.repeat()
        elif not node.rpc.closed:
            node.schedule.after(MAPPING_LIFE, self._prove_again)

    def become_ephemeral(self) -> None:
        if not self._node.ephemeral:
            self._node.rpc.ephemeral = True
            self._node.tell(Event.EPHEMERAL)

    def check(self) -> None:
        """The periodic check whether to become persistent. A host that failed it is not checked again."""
        if self.sampler.host is not None and self.sampler.host == self._checked_host:
            self._node.maintenance.stable_ticks = RECHECK_TICKS
        else:
            self.update(False, lambda changed: None)

    def update(self, only_firewall: bool, on_done: Callable[[bool], None]) -> None:
        """Find out whether strangers reach the server socket, and draw the consequences.

        ``only_firewall``: lose the firewalled flag but stay ephemeral. ``on_done`` is told, now or later, whether
        anything changed.
        """
        node = self._node
        if not node.ephemeral or (only_firewall and not node.firewalled) or node.schedule.now < self._prove_from:
            on_done(False)
            return
        sampler = self.sampler
        host, port = sampler.host, sampler.port
        if not only_firewall:
            node.maintenance.stable_ticks = RECHECK_TICKS if host is not None else STABLE_TICKS
            self._checked_host = host
        if host is None or port == 0:
            on_done(False)
        elif not node.firewalled:
            on_done(self._adopt(sampler, Address(host, port), only_firewall))
        else:
            sampled = Address(host, port)

            def on_probed(seen: Sampler | None) -> None:
                if seen is not None:
                    self._proven, self._contrary = Address(sampled.host, seen.port), 0
                on_done(seen is not None and self._adopt(seen, sampled, only_firewall))

            self._probe(on_probed)

    def _adopt(self, seen: Sampler, sampled: Address, only_firewall: bool) -> bool:
        """Strangers reach the server socket at what ``seen`` says; ``sampled`` is what was known before asking."""
        node = self._node
        node.rpc.firewalled = False
        known = self.sampler
        if not node.ephemeral or known.host != sampled.host or known.port != sampled.port:
            return False  # the address changed meanwhile
        if not only_firewall:
            node.rpc.ephemeral = False
        if seen is not known:
            self._strangers.clear()
            self.sampler = seen
            if seen.port != sampled.port:
                node.tell(Event.NAT_UPDATE)
        node.adopt_id(node_id(Address(sampled.host, seen.port)))
        return True

    # probing

    def _probe(self, on_probed: Callable[[Sampler | None], None]) -> None:
        """Have nodes send to the server port, asking them from the client socket. None: firewalled."""
        node = self._node
        nodes = [contact.address for contact in islice(node.table.latest(), PROBED)]
        if len(nodes) >= PROBED:
            self._ask(nodes, on_probed)
        else:
            node.bootstrap_nodes(lambda addresses: self._ask([*nodes, *addresses], on_probed))

    def _ask(self, nodes: Sequence[Address], on_probed: Callable[[Sampler | None], None]) -> None:
        if not nodes:
            on_probed(None)
            return
        missing = len(nodes)
        reached: list[Reply] = []

        def on_reply(reply: Reply | None) -> None:
            nonlocal missing
            missing -= 1
            if reply is not None and reply.role == SERVER:
                reached.append(reply)
            if missing == 0:
                on_probed(self._judge(reached, len(nodes)))

        for address in nodes:
            self.ask_to_reach_server(address, on_reply)

    def ask_to_reach_server(self, address: Address, on_reply: OnReply) -> None:
        """Have one node answer to the server socket."""
        value = self._node.server_port.to_bytes(2, "little")
        self._node.rpc.request(address, on_reply, internal=True, command=PING_NAT, value=value)

    def _judge(self, reached: Sequence[Reply], asked: int) -> Sampler | None:
        if len(reached) < (ENOUGH if asked >= PROBED else 1):
            return None
        seen = Sampler()
        for reply in reached:
            seen.add(reply.to.host, reply.to.port)
        if seen.host is None or seen.host != self.sampler.host:
            return None  # the two sockets leave through different networks
        if seen.port == 0 or seen.port != self._node.server_port:
            return None  # reached, but through a remapped port: that mapping may go away
        return seen


def _realm(host: str) -> tuple[bool, bool]:
    """What kind of network a host is in: this machine's own, a home's, or the internet."""
    return host.startswith("127."), is_lan(host)
