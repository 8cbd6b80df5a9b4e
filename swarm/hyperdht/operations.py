"""What a client asks of the HyperDHT: look up and announce topics, find peers, put and get values. Pure.

Each operation returns at once, with what cancels it; those on topics with an object that also knows the closest nodes.
What is found is reported as it arrives. ``on_end`` is called once, never before the operation has returned, and not
after a cancel.
Protocol: HyperDHT section 2. Node: hyperdht index.js.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from holepunch.errors import DecodeError
from holepunch.keys import hash32
from swarm.hyperdht.announcement import Announcement, PeersFound, Stored
from swarm.hyperdht.messages import (
    AnnounceRequest,
    Command,
    MutablePutRequest,
    MutableValue,
    PeerRecord,
    encode_minimum_seq,
)
from swarm.hyperdht.signatures import signed_put, verify_mutable
from swarm.hyperdht.storage import check_value
from swarm.kademlia.query import Commit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from holepunch.address import Address
    from holepunch.keys import KeyPair, PublicKey
    from holepunch.signaller import Cancel
    from swarm.hyperdht.storage import Storage
    from swarm.kademlia.node import Node
    from swarm.kademlia.query import Query
    from swarm.kademlia.rpc import Reply

__all__ = ["ImmutableFound", "MutableFound", "Operations", "PeerFound", "PeersFound", "Stored"]


class PeerFound(NamedTuple):
    """A node that the peer announced itself to, and that relays to it."""

    source: Address
    to: Address
    """This side as that node sees it."""
    peer: PeerRecord


class ImmutableFound(NamedTuple):
    source: Address
    value: bytes


class MutableFound(NamedTuple):
    """A value whose signature was verified."""

    source: Address
    content: MutableValue


class Operations:
    """The client operations of one node. Misuse raises ``ValueError`` before anything is sent."""

    def __init__(self, node: Node, storage: Storage) -> None:
        self._node = node
        self._storage = storage

    # peers

    def lookup(
        self,
        target: bytes,
        on_found: Callable[[PeersFound], None],
        on_end: Callable[[Query], None],
        *,
        nodes: Sequence[Address] = (),
    ) -> Query:
        """Who is announced under ``target``. Each node that knows somebody is reported, so peers come repeatedly."""

        def on_reply(reply: Reply) -> None:
            found = PeersFound.read(reply)
            if found is not None:
                on_found(found)

        return self._node.query(target, Command.LOOKUP, nodes=nodes, on_reply=on_reply, on_end=on_end)

    def find_peer(
        self, public_key: bytes, on_found: Callable[[PeerFound], None], on_end: Callable[[Query], None]
    ) -> Cancel:
        """Which nodes relay to a listening peer."""

        def on_reply(reply: Reply) -> None:
            if not reply.value:
                return
            try:
                peer = PeerRecord.decode(reply.value)
            except DecodeError:
                return
            if peer.public_key == public_key:
                on_found(PeerFound(reply.from_, reply.to, peer))

        return self._node.query(hash32(public_key), Command.FIND_PEER, on_reply=on_reply, on_end=on_end).cancel

    def announce(
        self,
        target: bytes,
        key_pair: KeyPair,
        relay_addresses: Sequence[Address] | None,
        on_end: Callable[[Stored], None],
        *,
        on_found: Callable[[PeersFound], None] | None = None,
        bump: int = 0,
        refresh: bytes | None = None,
        clear: bool = False,
        nodes: Sequence[Address] = (),
    ) -> Announcement:
        """Announce the key under ``target`` to the up to 20 closest nodes; report who else is there.

        Nodes keep three of ``relay_addresses``, and for up to 13 minutes those of an earlier announcement instead,
        unless ``clear`` has that one removed first. None: not known yet, `Announcement.publish` will tell them.
        ``bump``: milliseconds since 1970, told to those who look up. ``refresh``: the first element of a chain
        (`swarm.hyperdht.signatures.refresh_chain`) whose next one `renew` may reveal.
        """
        if clear:
            self._storage.unannounce(target, key_pair.public_key)
        return Announcement(
            self._node,
            target,
            key_pair,
            on_end,
            announce=True,
            clear=clear,
            relay_addresses=relay_addresses,
            bump=bump,
            refresh=refresh,
            on_found=on_found,
            nodes=nodes,
        )

    def unannounce(
        self,
        target: bytes,
        key_pair: KeyPair,
        on_end: Callable[[Stored], None],
        *,
        on_found: Callable[[PeersFound], None] | None = None,
        nodes: Sequence[Address] = (),
    ) -> Announcement:
        """Have the key removed by every node near ``target`` that lists it."""
        self._storage.unannounce(target, key_pair.public_key)
        return Announcement(
            self._node, target, key_pair, on_end, announce=False, clear=True, on_found=on_found, nodes=nodes
        )

    def renew(self, target: bytes, element: bytes, on_end: Callable[[Stored], None]) -> Cancel:
        """Have what was announced under ``target`` with the hash of ``element`` kept for another 20 minutes: no key is
        needed, and nobody else can. The element before ``element`` in the chain is spent then."""
        return self._put(
            target, Command.LOOKUP, None, Commit(Command.ANNOUNCE, AnnounceRequest(None, element).encode()), on_end
        )

    # values

    def immutable_put(self, value: bytes, on_end: Callable[[Stored], None]) -> Cancel:
        """Store a value of 1 to `swarm.hyperdht.storage.MAX_VALUE_SIZE` bytes under its hash."""
        check_value(value)
        return self._put(hash32(value), Command.IMMUTABLE_GET, None, Commit(Command.IMMUTABLE_PUT, value), on_end)

    def immutable_get(self, target: bytes, on_end: Callable[[ImmutableFound | None], None]) -> Cancel:
        """The first value whose hash is ``target``; None when no node has it."""

        def on_reply(reply: Reply) -> None:
            if reply.value and hash32(reply.value) == target:
                query.cancel()
                on_end(ImmutableFound(reply.from_, reply.value))

        query = self._node.query(target, Command.IMMUTABLE_GET, on_reply=on_reply, on_end=lambda query: on_end(None))
        return query.cancel

    def mutable_put(self, key_pair: KeyPair, value: bytes, seq: int, on_end: Callable[[Stored], None]) -> Cancel:
        """Store a signed value, as large, under the hash of its key. ``seq`` must grow with each change, else nodes
        refuse."""
        check_value(value)
        put = signed_put(key_pair, seq, value)
        return self._put(
            hash32(key_pair.public_key),
            Command.MUTABLE_GET,
            encode_minimum_seq(0),
            Commit(Command.MUTABLE_PUT, put.encode()),
            on_end,
        )

    def mutable_get(
        self,
        public_key: PublicKey,
        on_end: Callable[[MutableFound | None], None],
        *,
        minimum_seq: int = 0,
        latest: bool = True,
        refresh: Callable[[MutableFound], bool] | None = None,
    ) -> Cancel:
        """The newest version that any of the closest nodes has; without ``latest``, the first one that arrives.

        ``refresh`` is asked once about the newest version; if true, it is stored again at the closest nodes.
        """
        best: MutableFound | None = None
        renewal: Commit | None = None

        def on_reply(reply: Reply) -> None:
            nonlocal best
            content = _read_mutable(reply)
            if content is None or content.seq < minimum_seq or (best is not None and content.seq <= best.content.seq):
                return
            if not verify_mutable(content, public_key):
                return
            best = MutableFound(reply.from_, content)
            if not latest:
                query.cancel()
                on_end(best)

        def commit(reply: Reply) -> Commit | None:
            nonlocal refresh, renewal
            if refresh is not None and best is not None:
                if refresh(best):
                    renewal = Commit(Command.MUTABLE_PUT, MutablePutRequest(public_key, best.content).encode())
                refresh = None
            return renewal if reply.token is not None else None

        query = self._node.query(
            hash32(public_key),
            Command.MUTABLE_GET,
            encode_minimum_seq(minimum_seq),
            on_reply=on_reply,
            on_end=lambda query: on_end(best),
            commit=commit,
        )
        return query.cancel

    def _put(
        self, target: bytes, get: Command, get_value: bytes | None, put: Commit, on_end: Callable[[Stored], None]
    ) -> Cancel:
        return self._node.query(
            target,
            get,
            get_value,
            on_end=lambda query: on_end(Stored.of(query, query.commits)),
            commit=lambda reply: put if reply.token is not None else None,
        ).cancel


def _read_mutable(reply: Reply) -> MutableValue | None:
    if not reply.value:
        return None
    try:
        return MutableValue.decode(reply.value)
    except DecodeError:
        return None
