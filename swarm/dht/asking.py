"""What a client asks of the HyperDHT: who is there, and small values. The pure operations with awaiting around them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from holepunch.address import Address
from holepunch.arguments import check_bytes, check_integer, check_target
from holepunch.compact import MAX_SAFE_INTEGER
from holepunch.keys import KeyPair, PublicKey, check_key_pair, hash32
from swarm.awaiting import Replies
from swarm.dht.block import NodeBlock
from swarm.dht.messages import PutError
from swarm.errors import StorageError

if TYPE_CHECKING:
    from swarm.dht.messages import MutableValue
    from swarm.dht.operations import ImmutableFound, MutableFound, PeerFound, PeersFound, Stored
    from swarm.dht.rpc import Reply

__all__ = ["AskingBlock"]

AnyAddress = Address | tuple[str, int] | str
"""An IPv4 address and a port, as a pair or as ``"127.0.0.1:49737"``."""


class AskingBlock(NodeBlock):
    """A node that asks. Misuse raises ``TypeError`` or ``ValueError`` before anything is sent."""

    def lookup(self, target: bytes) -> Replies[PeersFound]:
        """Who is announced under ``target`` (32 bytes), one reply for each node that knows somebody."""
        key = check_target(target)
        return Replies(self._waiters, lambda found, end: self._hyper.operations.lookup(key, found, end).cancel)

    def find_peer(self, key: bytes | str) -> Replies[PeerFound]:
        """The nodes that relay to a listening peer."""
        public_key = PublicKey.parse(key)
        return Replies(self._waiters, lambda found, end: self._hyper.operations.find_peer(public_key, found, end))

    def find_node(self, target: bytes) -> Replies[Reply]:
        """The nodes on the way to ``target`` (32 bytes), and around it."""
        key = check_target(target)
        return Replies(
            self._waiters, lambda found, end: self._hyper.node.find_node(key, on_reply=found, on_end=end).cancel
        )

    async def announce(self, target: bytes, key_pair: KeyPair, *, relays: Sequence[AnyAddress] = ()) -> Stored:
        """Store the key under ``target`` (32 bytes) at the closest nodes; they forget it after about 20 minutes.

        ``relays``: where a client should ask for the peer first, at most three. Raises `StorageError` when no node
        took it.
        """
        key, pair, addresses = check_target(target), check_key_pair(key_pair), _check_relays(relays)
        return _stored(await self._ask(lambda done: self._hyper.operations.announce(key, pair, addresses, done).cancel))

    async def unannounce(self, target: bytes, key_pair: KeyPair) -> Stored:
        """Have the key removed from every node near ``target`` (32 bytes) that lists it."""
        key, pair = check_target(target), check_key_pair(key_pair)
        return await self._ask(lambda done: self._hyper.operations.unannounce(key, pair, done).cancel)

    async def immutable_put(self, value: bytes) -> bytes:
        """Store a value; gives the hash under which it is found. Raises `StorageError` when no node took it."""
        data = check_bytes(value, "a stored value")
        _stored(await self._ask(lambda done: self._hyper.operations.immutable_put(data, done)))
        return hash32(data)

    async def immutable_get(self, target: bytes) -> bytes | None:
        """The value with this hash (32 bytes), or None."""
        key = check_target(target)
        found: ImmutableFound | None = await self._ask(lambda done: self._hyper.operations.immutable_get(key, done))
        return None if found is None else found.value

    async def mutable_put(self, key_pair: KeyPair, value: bytes, *, seq: int = 0) -> Stored:
        """Store a signed value under the hash of its key. ``seq`` must be higher than that of the value before it.

        Raises `StorageError` when no node took it, and says so when nodes hold the same or a higher ``seq``.
        """
        pair, data = check_key_pair(key_pair), check_bytes(value, "a stored value")
        number = check_integer(seq, "seq", 0, MAX_SAFE_INTEGER)
        return _stored(await self._ask(lambda done: self._hyper.operations.mutable_put(pair, data, number, done)))

    async def mutable_get(self, key: bytes | str, *, seq: int = 0, latest: bool = True) -> MutableValue | None:
        """The value with the highest sequence number from ``seq`` on, its signature verified; or None.

        Without ``latest``, the first that arrives.
        """
        public_key, number = PublicKey.parse(key), check_integer(seq, "seq", 0, MAX_SAFE_INTEGER)
        found: MutableFound | None = await self._ask(
            lambda done: self._hyper.operations.mutable_get(public_key, done, minimum_seq=number, latest=latest)
        )
        return None if found is None else found.content

    async def ping(self, address: AnyAddress) -> float | None:
        """The round trip to a node in seconds; None when it does not answer within 4 s."""
        to = Address.of(address)
        reply: Reply | None = await self._ask(lambda done: self._hyper.node.ping(to, done))
        return None if reply is None else reply.rtt


def _check_relays(relays: Sequence[AnyAddress]) -> list[Address]:
    if not isinstance(relays, Sequence) or isinstance(relays, str):
        raise TypeError(f"relays is a list of addresses, got {relays!r}")
    return [Address.of(relay) for relay in relays]


def _stored(stored: Stored) -> Stored:
    """Raises `StorageError` for what was stored nowhere."""
    if stored.nodes:
        return stored
    if PutError.SEQ_REUSED in stored.errors:
        raise StorageError("another value is stored under this sequence number: use a higher one")
    if PutError.SEQ_TOO_LOW in stored.errors:
        raise StorageError("a value with a higher sequence number is stored: use a higher one still")
    raise StorageError(f"no node stored it; {stored.replies} answered the search")
