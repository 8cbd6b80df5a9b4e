"""The table's upkeep: which nodes get in, which go out, and what happens every five seconds.

Protocol: dht-rpc sections 3 (DOWN_HINT), 5 and 9. Reference: dht-rpc index.js.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from swarm.kademlia.packets import PING
from swarm.kademlia.table import Contact, K

if TYPE_CHECKING:
    from holepunch.address import Address
    from holepunch.core import Entry
    from swarm.kademlia.node import Node
    from swarm.kademlia.query import Query
    from swarm.kademlia.rpc import OnReply, Reply

__all__ = ["RECHECK_TICKS", "STABLE_TICKS", "TICK", "Maintenance"]

TICK = 5.0
"""Seconds."""
SLEEP = 3 * TICK
"""Between two ticks: the machine slept, and every NAT mapping may be gone."""
RECENT_TICKS = 12
OLD_TICKS = 360
REFRESH_TICKS = 60
"""5 minutes without any query."""
STABLE_TICKS = 240
"""20 minutes, after which a node is worth a place in other nodes' tables."""
RECHECK_TICKS = 3 * STABLE_TICKS
"""1 hour, once the address was checked."""
FIRST_TICKS = 100
MAX_CHECKS = 10
"""Pings under way because of down hints and age. More hints are answered, not followed."""
MAX_SWAPS = 3
"""Pings under way to make room in full rows."""
HINTS_PER_TICK = 50
"""Down hints sent."""


class Maintenance:
    __slots__ = (
        "_checks",
        "_hints",
        "_node",
        "_refresh_ticks",
        "_responses",
        "_searching",
        "_swaps",
        "_ticked_at",
        "_timer",
        "stable_ticks",
        "tick",
    )

    def __init__(self, node: Node) -> None:
        self._node = node
        # random offsets, so that nodes started together do not act together
        self.tick = _offset(node, FIRST_TICKS)
        self._refresh_ticks = _offset(node, REFRESH_TICKS)
        self.stable_ticks = STABLE_TICKS
        """Until the own reachability is checked."""
        self._checks = 0
        self._swaps = 0
        self._hints = 0
        self._responses = 0
        """Of all requests, as of the last tick."""
        self._searching = False
        """For company."""
        self._ticked_at = 0.0
        self._timer: Entry | None = None

    def start(self) -> None:
        schedule = self._node.schedule
        self._ticked_at = schedule.now
        self._timer = schedule.after(TICK, self._on_tick)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # who gets in

    def heard(self, address: Address, id: bytes, to: Address, expected: bool) -> None:
        """A packet with a proven id came. ``expected``: on the main socket, so ``to`` is a sample of its address."""
        contact = self._node.table.get(id)
        if contact is None:
            self.add(Contact(id, address, to, self.tick))
            return
        if expected and (contact.sampled == 0 or self.tick - contact.sampled >= OLD_TICKS):
            contact.to = to
            contact.sampled = self.tick
            self._node.reachability.sample(to)
        contact.seen = contact.pinged = self.tick
        self._node.table.heard(contact)

    def add(self, contact: Contact) -> None:
        """Give a node a place, or let it compete for one when its row is full."""
        table = self._node.table
        if contact.id == table.id or contact.id in table:
            return
        contact.added = contact.seen = contact.pinged = self.tick
        if not table.add(contact):
            self._on_full_row(contact)
        elif contact.to is not None:
            contact.sampled = self.tick
            self._node.reachability.sample(contact.to)

    def _on_full_row(self, newcomer: Contact) -> None:
        if not self._node.bootstrapped or self._swaps >= MAX_SWAPS:
            return
        row = [contact for contact in self._node.table.row_of(newcomer.id) if contact.pinged != self.tick]
        if not row:
            return
        oldest = min(row, key=lambda contact: (contact.pinged, contact.added))
        # a node that was there for long, and lately too, is worth more than any newcomer
        if self.tick - oldest.pinged < RECENT_TICKS and self.tick - oldest.added > OLD_TICKS:
            return

        def on_reply(reply: Reply | None) -> None:
            self._swaps -= 1
            if self._is_gone(oldest, reply):
                self._node.table.remove(oldest.id)
                self.add(newcomer)

        self._swaps += 1
        self._ping(oldest, on_reply)

    # who goes out

    def doubt(self, id: bytes) -> None:
        """Someone says that this node is down."""
        contact = self._node.table.get(id)
        if contact is None or self._checks >= MAX_CHECKS:
            return
        if contact.pinged < self.tick or contact.down_hints == 0:
            contact.down_hints += 1
            self._check(contact)

    def may_hint(self) -> bool:
        """Whether one more DOWN_HINT may leave in this tick; counts it."""
        self._hints += 1
        return self._hints <= HINTS_PER_TICK

    def _check(self, contact: Contact) -> None:
        def on_reply(reply: Reply | None) -> None:
            self._checks -= 1
            if self._is_gone(contact, reply):
                self._node.table.remove(contact.id)

        self._checks += 1
        self._ping(contact, on_reply)

    def _ping(self, contact: Contact, on_reply: OnReply) -> None:
        contact.pinged = self.tick
        self._node.rpc.request(contact.address, on_reply, internal=True, command=PING)

    def _is_gone(self, contact: Contact, reply: Reply | None) -> bool:
        """No answer, or one without its id: it became ephemeral, or another node took its address."""
        if reply is None:
            return not self._node.suspended
        return reply.id != contact.id

    # ticks

    def queried(self) -> None:
        """Some query began, which refreshes the table as well as any."""
        self._refresh_ticks = REFRESH_TICKS

    def wake_up(self) -> None:
        """Make every node look old, so that the table is checked soon."""
        self.tick += 2 * OLD_TICKS
        self.tick += 8 - self.tick % 8 - 2  # the oldest are pinged in the second tick from now
        self.stable_ticks = RECHECK_TICKS
        self._refresh_ticks = 1

    def _on_tick(self) -> None:
        node = self._node
        now = node.schedule.now
        self._timer = node.schedule.after(TICK, self._on_tick)
        if now - self._ticked_at > SLEEP:
            node.wake_up()
        else:
            self.tick += 1
        self._ticked_at = now
        if not node.bootstrapped:
            return
        if node.wants_persistence:
            self.stable_ticks -= 1
            if self.stable_ticks <= 0:
                node.reachability.check()
        if self.tick % 8 == 0:
            self._ping_oldest()
        self._refresh_ticks -= 1
        if self._refresh_ticks <= 0 or (self.tick % 64 == 0 and len(node.table) < K):
            node.refresh()
        self._keep_company()
        self._hints = 0
        node.update_health()

    def _keep_company(self) -> None:
        """While nobody is known, and nobody was heard since the last tick, there is always one search under way: only
        who asks notices that the network is back. (For a first answer of all, `swarm.dht.entrance` asks.)"""
        node = self._node
        before, self._responses = self._responses, node.rpc.responses
        if len(node.table) or self._searching or self._responses != before or not before:
            return

        def on_end(query: Query) -> None:
            self._searching = False

        self._searching = True
        node.background_query(node.table.id, on_end=on_end)

    def _ping_oldest(self) -> None:
        table = self._node.table
        oldest = next(table.oldest(), None)
        if oldest is None:
            self._node.refresh()
            return
        count = 3 if self._node.rpc.in_flight > 2 else 5
        if self.tick - oldest.pinged < RECENT_TICKS:
            count = 2
        for contact in list(islice(table.oldest(), count)):
            if contact.pinged == self.tick:
                break
            self._check(contact)


def _offset(node: Node, limit: int) -> int:
    """In the upper half of 1 to ``limit``."""
    return limit - node.rng.randrange(0, limit // 2)
