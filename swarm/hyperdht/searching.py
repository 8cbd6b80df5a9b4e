"""Searches for the relays of a peer, shared: those who look for the same peer at the same time ask the network once.

Two hundred dials of one peer would otherwise fill the congestion window with two hundred equal queries. Only dialling
shares: the look-up of a topic is to find who came since the last one.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from holepunch.errors import DecodeError
from holepunch.keys import hash32
from swarm.hyperdht.messages import Command, PeerRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from holepunch.address import Address
    from holepunch.signaller import Cancel
    from swarm.kademlia.node import Node
    from swarm.kademlia.rpc import Reply

__all__ = ["RelaySearches"]

SEARCH_RETRIES = 3
"""Fewer than other queries have: somebody waits for this one."""
KEPT = 2.0
"""Seconds that a search which found relays stands for new ones. One that found none is forgotten: the peer may come."""


class Asker:
    """Who waits for a search, and how many of the relays found it was told."""

    __slots__ = ("on_end", "on_relay", "told")

    def __init__(self, on_relay: Callable[[Address], None], on_end: Callable[[bool], None]) -> None:
        self.on_relay = on_relay
        self.on_end = on_end
        self.told = 0


class RelaySearches:
    """The searches of one node that are under way, or ended a moment ago."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._searches: dict[tuple[bytes, tuple[Address, ...]], Search] = {}

    def find(
        self,
        target: bytes,
        seeds: Sequence[Address],
        on_relay: Callable[[Address], None],
        on_end: Callable[[bool], None],
    ) -> Cancel:
        """See `holepunch.signaller.Signaller.find_relays`."""
        key = (target, tuple(seeds))
        search = self._searches.get(key)
        if search is None:
            search = self._searches[key] = Search(self._node, target, seeds, partial(self._forget, key))
        return search.join(Asker(on_relay, on_end))

    def _forget(self, key: tuple[bytes, tuple[Address, ...]]) -> None:
        del self._searches[key]


class Search:
    """One query, and everybody who waits for it."""

    __slots__ = ("_answered", "_askers", "_before", "_cancel", "_found", "_node", "_on_over", "_target")

    def __init__(self, node: Node, target: bytes, seeds: Sequence[Address], on_over: Callable[[], None]) -> None:
        """``on_over``: nobody may join any more."""
        self._node = node
        self._target = target
        self._on_over = on_over
        self._askers: list[Asker] = []
        self._found: list[Address] = []
        self._answered: bool | None = None
        """Whether any node answered; None while the query is under way."""
        self._before = node.rpc.responses
        self._cancel = node.query(
            target,
            Command.FIND_PEER,
            nodes=seeds,
            retries=SEARCH_RETRIES,
            on_reply=self._on_reply,
            on_end=lambda query: self._on_end(),
        ).cancel

    def join(self, asker: Asker) -> Cancel:
        self._askers.append(asker)
        if self._found or self._answered is not None:
            self._node.schedule.after(0, partial(self._tell, asker))
        return partial(self._leave, asker)

    def _leave(self, asker: Asker) -> None:
        if asker in self._askers:
            self._askers.remove(asker)
            if not self._askers and self._answered is None:
                self._cancel()
                self._on_over()

    def _on_reply(self, reply: Reply) -> None:
        if reply.value and reply.from_ not in self._found and _is_about(self._target, reply.value):
            self._found.append(reply.from_)
            self._tell_all()

    def _on_end(self) -> None:
        self._answered = self._node.rpc.responses > self._before
        if self._found:
            self._node.schedule.after(KEPT, self._on_over)
        else:
            self._on_over()
        self._tell_all()

    def _tell_all(self) -> None:
        for asker in tuple(self._askers):
            self._tell(asker)

    def _tell(self, asker: Asker) -> None:
        """What it was not told yet. It may leave, or others may, because of that."""
        while asker in self._askers and asker.told < len(self._found):
            asker.told += 1
            asker.on_relay(self._found[asker.told - 1])
        if asker in self._askers and self._answered is not None:
            self._askers.remove(asker)
            asker.on_end(self._answered)


def _is_about(target: bytes, value: bytes) -> bool:
    try:
        return hash32(PeerRecord.decode(value).public_key) == target
    except DecodeError:
        return False
