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
    from collections.abc import Callable, Sequence

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

    async def announce(
        self,
        target: bytes,
        key_pair: KeyPair,
        *,
        relays: Sequence[Address] = (),
        bump: int = 0,
        refresh: bytes | None = None,
    ) -> Stored:
        """Store the key under ``target`` (32 bytes) at the closest nodes; they forget it after about 20 minutes.

        ``relays``: where a client should ask for the peer first, at most three. ``bump``: a time in milliseconds since
        1970 that is told to who looks up the target, the latest of all; nodes take none that is more than a minute
        ahead. ``refresh`` (32 bytes): the first element of a chain, see `renew`. Raises `StorageError` when no node
        took it.
        """
        _check_target(target)
        if refresh is not None:
            _check_element(refresh)
        if bump < 0:
            raise ValueError(f"bump is in milliseconds since 1970, got {bump}")
        operations = self._hyper.operations
        stored: Stored = await self._ask(
            lambda done: operations.announce(target, key_pair, relays, done, bump=bump, refresh=refresh).cancel
        )
        return _stored(stored, f"{key_pair.public_key} under {target.hex()}")

    async def renew(self, target: bytes, element: bytes) -> Stored:
        """Have nodes keep an announcement for another 20 minutes, without its key: by the element (32 bytes) that comes
        next in the chain whose first one it was announced with. Each element serves once.

        Such a chain is ``swarm.dht.signatures.refresh_chain(os.urandom(32), length)``. Raises `StorageError` when no
        node knows of it.
        """
        _check_target(target)
        _check_element(element)
        stored: Stored = await self._ask(lambda done: self._hyper.operations.renew(target, element, done))
        return _stored(stored, f"an announcement under {target.hex()} by the element {element.hex()}")

    async def unannounce(self, target: bytes, key_pair: KeyPair) -> Stored:
        """Have the key removed from every node near ``target`` (32 bytes) that lists it."""
        _check_target(target)
        return await self._ask(lambda done: self._hyper.operations.unannounce(target, key_pair, done).cancel)

    async def immutable_put(self, value: bytes) -> bytes:
        """Store a value; gives the hash under which it is found. Raises `StorageError` when no node took it."""
        stored: Stored = await self._ask(lambda done: self._hyper.operations.immutable_put(value, done))
        target = hash32(value)
        _stored(stored, f"the value {target.hex()}")
        return target

    async def immutable_get(self, target: bytes) -> bytes | None:
        """The value with this hash (32 bytes), or None."""
        _check_target(target)
        found: ImmutableFound | None = await self._ask(lambda done: self._hyper.operations.immutable_get(target, done))
        return None if found is None else found.value

    async def mutable_put(self, key_pair: KeyPair, value: bytes, *, seq: int = 0) -> Stored:
        """Store a signed value under the hash of its key. ``seq`` must be higher than that of the value before it.

        Raises `StorageError` when no node took it, and says so when nodes hold the same or a higher ``seq``.
        """
        stored: Stored = await self._ask(lambda done: self._hyper.operations.mutable_put(key_pair, value, seq, done))
        key = key_pair.public_key
        if not stored.nodes and PutError.SEQ_REUSED in stored.errors:
            raise StorageError(
                f"another value of {key} is stored under the sequence number {seq}: use a higher one", stored.errors
            )
        if not stored.nodes and PutError.SEQ_TOO_LOW in stored.errors:
            raise StorageError(
                f"a value of {key} with a higher sequence number than {seq} is stored: use one above it", stored.errors
            )
        return _stored(stored, f"the value of {key} with the sequence number {seq}")

    async def mutable_get(
        self,
        key: bytes | str,
        *,
        seq: int = 0,
        latest: bool = True,
        refresh: Callable[[MutableValue], bool] | None = None,
    ) -> MutableValue | None:
        """The value with the highest sequence number from ``seq`` on, its signature verified; or None.

        Without ``latest``, the first that arrives. ``refresh`` is asked about the value that was found last; if it says
        True, that is stored again, at the nodes that are closest now.
        """
        public_key = PublicKey.parse(key)
        renew: Callable[[MutableFound], bool] | None = None
        if refresh is not None:
            wanted = refresh
            renew = lambda found: wanted(found.content)  # noqa: E731
        operations = self._hyper.operations
        found: MutableFound | None = await self._ask(
            lambda done: operations.mutable_get(public_key, done, minimum_seq=seq, latest=latest, refresh=renew)
        )
        return None if found is None else found.content

    async def ping(self, address: Address | str) -> float | None:
        """The round trip to a node in seconds; None when it does not answer within 4 s."""
        to = Address.parse(address) if isinstance(address, str) else address
        reply: Reply | None = await self._ask(lambda done: self._hyper.node.ping(to, done))
        return None if reply is None else reply.rtt


def _check_target(target: bytes) -> None:
    if len(target) != 32:
        raise ValueError(f"a target is 32 bytes, got {len(target)}: {bytes(target[:40])!r}")


def _check_element(element: bytes) -> None:
    if len(element) != 32:
        raise ValueError(f"an element of a refresh chain is 32 bytes, got {len(element)}: {bytes(element[:40])!r}")


def _stored(stored: Stored, what: str) -> Stored:
    """Raises `StorageError` for what was stored nowhere."""
    if not stored.nodes:
        raise StorageError(f"no node stored {what}; {stored.replies} answered the search", stored.errors)
    return stored
