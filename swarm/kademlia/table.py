"""The routing table: plain Kademlia rows around one id, and the same nodes in the order they were last heard.

Stores; decides nothing about who gets in or out (`swarm.kademlia.maintenance`). Protocol: dht-rpc section 5. Reference:
kademlia-routing-table and time-ordered-set.
"""

from __future__ import annotations

from bisect import bisect_left
from operator import attrgetter
from typing import TYPE_CHECKING

from swarm.kademlia.ids import row_index

if TYPE_CHECKING:
    from collections.abc import Iterator

    from holepunch.address import Address

__all__ = ["Contact", "K", "Table"]

K = 20
"""Nodes in a row, in a list of closer nodes, and in the result of a query."""

_by_id = attrgetter("id")


class Contact:
    """A node of the table. ``added``, ``seen``, ``pinged`` and ``sampled`` are ticks (5 s each)."""

    __slots__ = ("added", "address", "down_hints", "id", "pinged", "sampled", "seen", "to")

    def __init__(self, id: bytes, address: Address, to: Address | None, tick: int) -> None:
        self.id = id
        self.address = address
        self.to = to
        """This side as that node saw it last."""
        self.added = tick
        self.seen = tick
        """Last heard."""
        self.pinged = tick
        """Last contact in either direction."""
        self.sampled = 0
        """Last time ``to`` was taken as a NAT sample; 0: never."""
        self.down_hints = 0
        """How often others said that it is down."""


class Table:
    """At most 256 rows of `K` nodes."""

    __slots__ = ("_heard", "_rows", "id")

    def __init__(self, id: bytes) -> None:
        self.id = id
        self._rows: dict[int, list[Contact]] = {}
        self._heard: dict[bytes, Contact] = {}  # heard last is last

    def __len__(self) -> int:
        return len(self._heard)

    def __contains__(self, id: bytes) -> bool:
        return id in self._heard

    def get(self, id: bytes) -> Contact | None:
        return self._heard.get(id)

    def add(self, contact: Contact) -> bool:
        """Add as the one heard last. False when its row is full."""
        index = row_index(self.id, contact.id)
        row = self._rows.setdefault(index, [])
        place = bisect_left(row, contact.id, key=_by_id)
        if place < len(row) and row[place].id == contact.id:
            row[place] = contact
        elif len(row) < K:
            row.insert(place, contact)
        else:
            return False
        self.heard(contact)
        return True

    def remove(self, id: bytes) -> None:
        """Does nothing when there is no such node."""
        if self._heard.pop(id, None) is None:
            return
        index = row_index(self.id, id)
        row = self._rows[index]
        del row[bisect_left(row, id, key=_by_id)]
        if not row:
            del self._rows[index]

    def heard(self, contact: Contact) -> None:
        """Make a node of the table the one heard last."""
        self._heard.pop(contact.id, None)
        self._heard[contact.id] = contact

    def row_of(self, id: bytes) -> list[Contact]:
        """The nodes that compete for a place with ``id``, ascending by id."""
        return self._rows.get(row_index(self.id, id), [])

    def closest(self, target: bytes, limit: int = K) -> list[Contact]:
        """Up to ``limit`` nodes in the reference's order: the target's row, those before it backwards, those after it.

        Not sorted by distance, and not always the closest ones: receivers of such a list know that.
        """
        own = row_index(self.id, target)
        result: list[Contact] = []
        indexes = sorted(self._rows)
        split = bisect_left(indexes, own + 1)
        for index in (*reversed(indexes[:split]), *indexes[split:]):
            result += self._rows[index]
            if len(result) >= limit:
                del result[limit:]
                break
        return result

    def latest(self) -> Iterator[Contact]:
        """Those heard last first. The table must not change meanwhile."""
        return reversed(self._heard.values())

    def oldest(self) -> Iterator[Contact]:
        """Those not heard for longest first. The table must not change meanwhile."""
        return iter(self._heard.values())

    def at(self, position: int) -> Contact:
        """The ``position``-th node by row, then id: any of them, for a random pick."""
        for index in sorted(self._rows):
            row = self._rows[index]
            if position < len(row):
                return row[position]
            position -= len(row)
        raise IndexError(position)

    def rebuild(self, id: bytes) -> None:
        """Move the rows around another id; nodes that no longer fit are dropped."""
        contacts = self.closest(self.id, len(self))
        heard = self._heard
        self.id = id
        self._rows = {}
        self._heard = {}
        fitting = {contact.id for contact in contacts if contact.id != id and self.add(contact)}
        self._heard = {key: contact for key, contact in heard.items() if key in fitting}
