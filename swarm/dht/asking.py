"""What a client asks of the HyperDHT: who is there, and small values. The pure operations with awaiting around them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holepunch.address import Address
from holepunch.keys import KeyPair, PublicKey, hash32
from swarm.awaiting import Replies
from swarm.dht.block import NodeBlock
from swarm.dht.messages import PutError
from swarm.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from swarm.dht.messages import MutableValue
    from swarm.dht.operations import ImmutableFound, MutableFound, PeerFound, PeersFound, Stored
    from swarm.dht.rpc import Reply

__all__ = ["AskingBlock"]


class AskingBlock(NodeBlock):
    """A node that asks. Misuse raises ``ValueError`` before anything is sent."""

    def lookup(self, target: bytes) -> Replies[PeersFound]:
        """Who is announced under ``target`` (32 bytes), one reply for each node that knows somebody."""
        _check_target(target)
        return Replies(self._waiters, lambda found, end: self._hyper.operations.lookup(target, found, end).cancel)

    def find_peer(self, key: bytes | str) -> Replies[PeerFound]:
        """The nodes that relay to a listening peer."""
        public_key = PublicKey.parse(key)
        return Replies(self._waiters, lambda found, end: self._hyper.operations.find_peer(public_key, found, end))

    def find_node(self, target: bytes) -> Replies[Reply]:
        """The nodes on the way to ``target`` (32 bytes), and around it."""
        _check_target(target)
        return Replies(
            self._waiters, lambda found, end: self._hyper.node.find_node(target, on_reply=found, on_end=end).cancel
        )

    async def announce(self, target: bytes, key_pair: KeyPair, *, relays: Sequence[Address] = ()) -> Stored:
        """Store the key under ``target`` (32 bytes) at the closest nodes; they forget it after about 20 minutes.

        ``relays``: where a client should ask for the peer first, at most three. Raises `StorageError` when no node
        took it. Cancelled: no more nodes are asked; those that took it keep it.
        """
        _check_target(target)
        operations = self._hyper.operations
        return _stored(await self._ask(lambda done: operations.announce(target, key_pair, relays, done).cancel))

    async def unannounce(self, target: bytes, key_pair: KeyPair) -> Stored:
        """Have the key removed from every node near ``target`` (32 bytes) that lists it.

        Raises ``ValueError`` for another length. Cancelled: no more nodes are asked.
        """
        _check_target(target)
        return await self._ask(lambda done: self._hyper.operations.unannounce(target, key_pair, done).cancel)

    async def immutable_put(self, value: bytes) -> bytes:
        """Store a value of 1 to 4096 bytes; gives the hash under which it is found. About 1000 bytes fit in a datagram.

        Raises `StorageError` when no node took it, and ``ValueError`` for another size. Cancelled: no more nodes are
        asked; those that took it keep it.
        """
        _stored(await self._ask(lambda done: self._hyper.operations.immutable_put(value, done)))
        return hash32(value)

    async def immutable_get(self, target: bytes) -> bytes | None:
        """The value with this hash (32 bytes), or None.

        Raises ``ValueError`` for another length. Cancelled: the search ends.
        """
        _check_target(target)
        found: ImmutableFound | None = await self._ask(lambda done: self._hyper.operations.immutable_get(target, done))
        return None if found is None else found.value

    async def mutable_put(self, key_pair: KeyPair, value: bytes, *, seq: int = 0) -> Stored:
        """Store a signed value under the hash of its key. ``seq`` must be higher than that of the value before it.

        Raises `StorageError` when no node took it, and says so when nodes hold the same or a higher ``seq``. Cancelled:
        no more nodes are asked; those that took it keep it.
        """
        return _stored(await self._ask(lambda done: self._hyper.operations.mutable_put(key_pair, value, seq, done)))

    async def mutable_get(self, key: bytes | str, *, seq: int = 0, latest: bool = True) -> MutableValue | None:
        """The value with the highest sequence number from ``seq`` on, its signature verified; or None.

        Without ``latest``, the first that arrives. Raises ``ValueError`` for what is no public key. Cancelled: the
        search ends.
        """
        public_key = PublicKey.parse(key)
        operations = self._hyper.operations
        found: MutableFound | None = await self._ask(
            lambda done: operations.mutable_get(public_key, done, minimum_seq=seq, latest=latest)
        )
        return None if found is None else found.content

    async def ping(self, address: Address | str) -> float | None:
        """The round trip to a node in seconds; None when it does not answer within 4 s.

        Raises ``ValueError`` for what is no address. Cancelled: the answer is not waited for.
        """
        to = Address.parse(address) if isinstance(address, str) else address
        reply: Reply | None = await self._ask(lambda done: self._hyper.node.ping(to, done))
        return None if reply is None else reply.rtt


def _check_target(target: bytes) -> None:
    if len(target) != 32:
        raise ValueError(f"a target is 32 bytes, got {len(target)}: {bytes(target[:40])!r}")


def _stored(stored: Stored) -> Stored:
    """Raises `StorageError` for what was stored nowhere."""
    if stored.nodes:
        return stored
    if PutError.SEQ_REUSED in stored.errors:
        raise StorageError("another value is stored under this sequence number: use a higher one")
    if PutError.SEQ_TOO_LOW in stored.errors:
        raise StorageError("a value with a higher sequence number is stored: use a higher one still")
    raise StorageError(f"no node stored it; {stored.replies} answered the search")
