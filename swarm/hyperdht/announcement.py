"""Putting a key under a topic, and taking it away again: one lookup and what is sent along with it. Pure.

This is the client's part for topics; a listening server announces itself through `swarm.hyperdht.announcer`.
Protocol: HyperDHT section 2. Node: hyperdht index.js (``announce``, ``lookupAndUnannounce``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from holepunch.errors import DecodeError
from swarm.hyperdht.messages import Command, LookupReply
from swarm.hyperdht.signatures import signed_announce
from swarm.hyperdht.storage import MAX_LOOKUP_RECORDS
from swarm.kademlia.batch import Batch
from swarm.kademlia.packets import OK

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from holepunch.address import Address
    from holepunch.keys import KeyPair
    from swarm.hyperdht.messages import PeerRecord
    from swarm.kademlia.node import Node
    from swarm.kademlia.query import Query
    from swarm.kademlia.rpc import Reply

__all__ = ["Announcement", "PeersFound", "Stored"]

TOKENS_FRESH = 5.0
"""Seconds after a search that its tokens are taken for valid: nodes keep them for 7.5 at least
(`swarm.kademlia.tokens`)."""


class PeersFound(NamedTuple):
    """One node's answer to a lookup."""

    source: Address
    to: Address
    """This side as that node sees it."""
    peers: tuple[PeerRecord, ...]
    bump: int
    """Milliseconds since 1970; 0: nobody set one."""

    @classmethod
    def read(cls, reply: Reply) -> PeersFound | None:
        """None for a reply that names nobody, or does not decode."""
        if not reply.value:
            return None
        try:
            found = LookupReply.decode(reply.value)
        except DecodeError:
            return None
        return cls(reply.from_, reply.to, found.peers, found.bump)


class Stored(NamedTuple):
    """How an operation that changes what nodes store went."""

    replies: int
    """Nodes that answered the search. 0: nobody of the DHT is reachable."""
    nodes: tuple[Address, ...]
    """Those that confirmed the change. None: it is stored nowhere."""
    errors: tuple[int, ...]
    """Of those that refused it: see `swarm.hyperdht.messages.PutError`."""

    @classmethod
    def of(cls, query: Query, answers: Sequence[Reply]) -> Stored:
        return cls(
            query.successes,
            tuple(answer.from_ for answer in answers if answer.error == OK),
            tuple(answer.error for answer in answers if answer.error != OK),
        )


class Announcement:
    """Runs from its making to ``on_end``.

    With ``clear``, nodes that list the key are told to remove it, as soon as they answer: without, they keep the relay
    addresses of an earlier announcement. With ``announce``, the closest nodes are told to store it, but not before
    every removal was answered: a removal sent again would undo it. Nor before the relay addresses are known: without
    them, the search goes ahead, and what it found waits for `publish`.
    """

    __slots__ = (
        "_additions",
        "_announce",
        "_answers",
        "_bump",
        "_clear",
        "_key_pair",
        "_node",
        "_on_end",
        "_on_found",
        "_query",
        "_refresh",
        "_relays",
        "_removals",
        "_searched_at",
        "_target",
    )

    def __init__(
        self,
        node: Node,
        target: bytes,
        key_pair: KeyPair,
        on_end: Callable[[Stored], None],
        *,
        announce: bool,
        clear: bool,
        relay_addresses: Sequence[Address] | None = (),
        bump: int = 0,
        refresh: bytes | None = None,
        on_found: Callable[[PeersFound], None] | None = None,
        nodes: Sequence[Address] = (),
    ) -> None:
        self._node = node
        self._target = target
        self._key_pair = key_pair
        self._relays = relay_addresses
        self._bump = bump
        self._refresh = refresh
        self._announce = announce
        self._clear = clear
        self._on_found = on_found
        self._on_end = on_end
        self._answers: list[Reply] = []
        self._removals = Batch(node, self._on_removed)
        self._additions = Batch(node, self._finish)
        self._searched_at: float | None = None  # set while what was found waits for the relay addresses
        self._search(nodes)

    def _search(self, nodes: Sequence[Address]) -> None:
        self._query = self._node.query(
            self._target,
            Command.LOOKUP,
            nodes=nodes,
            on_reply=self._on_reply,
            on_end=lambda query: self._removals.seal(),
        )

    def publish(self, relay_addresses: Sequence[Address]) -> None:
        """What to announce the key with, for an announcement that began without. Once."""
        self._relays = relay_addresses
        searched_at, self._searched_at = self._searched_at, None
        if searched_at is None:
            return  # still searching
        if self._node.schedule.now <= searched_at + TOKENS_FRESH:
            self._store()
        else:
            self._search(self._query.closest_nodes)

    @property
    def closest_nodes(self) -> Sequence[Address]:
        """The nodes closest to the target that answered so far."""
        return self._query.closest_nodes

    def cancel(self) -> None:
        """Stop; nothing is called any more. What was sent may have been stored."""
        self._query.cancel()
        self._removals.cancel()
        self._additions.cancel()

    def _on_reply(self, reply: Reply) -> None:
        found = PeersFound.read(reply)
        if found is None:
            return
        if self._clear and self._may_list_us(found):
            self._send(self._removals, Command.UNANNOUNCE, reply)
        if self._on_found is not None:
            self._on_found(found)

    def _may_list_us(self, found: PeersFound) -> bool:
        # a full reply is a sample
        own = self._key_pair.public_key
        return len(found.peers) >= MAX_LOOKUP_RECORDS or any(peer.public_key == own for peer in found.peers)

    def _on_removed(self) -> None:
        if not self._announce:
            self._finish()
        elif self._relays is None:
            self._searched_at = self._node.schedule.now
        else:
            self._store()

    def _store(self) -> None:
        self._answers.clear()
        for reply in self._query.closest:
            self._send(self._additions, Command.ANNOUNCE, reply)
        self._additions.seal()

    def _send(self, batch: Batch, command: Command, reply: Reply) -> None:
        if reply.id is None or reply.token is None:
            return
        adds = command == Command.ANNOUNCE
        value = signed_announce(
            command,
            self._key_pair,
            self._target,
            reply.id,
            reply.token,
            self._relays or () if adds else (),
            self._refresh if adds else None,
            self._bump if adds else 0,
        )
        batch.send(reply.from_, command, self._on_answer, target=self._target, value=value, token=reply.token)

    def _on_answer(self, answer: Reply | None) -> None:
        if answer is not None:
            self._answers.append(answer)

    def _finish(self) -> None:
        self._on_end(Stored.of(self._query, self._answers))
