"""What a client asks of the HyperDHT: who is there, and small values. The pure operations with awaiting around them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from holepunch.address import Address
from holepunch.arguments import check_32_bytes, check_bytes, check_integer, check_target
from holepunch.compact import MAX_SAFE_INTEGER
from holepunch.keys import KeyPair, PublicKey, check_key_pair, hash32
from swarm.awaiting import Replies
from swarm.dht.block import NodeBlock
from swarm.errors import StorageError
from swarm.hyperdht.messages import PutError

if TYPE_CHECKING:
    from collections.abc import Callable

    from swarm.hyperdht.messages import MutableValue
    from swarm.hyperdht.operations import ImmutableFound, MutableFound, PeerFound, PeersFound, Stored
    from swarm.kademlia.rpc import Reply

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

    async def announce(
        self,
        target: bytes,
        key_pair: KeyPair,
        *,
        relays: Sequence[AnyAddress] = (),
        bump: int = 0,
        refresh: bytes | None = None,
    ) -> Stored:
        """Store the key under ``target`` (32 bytes) at the closest nodes; they forget it after about 20 minutes.

        ``relays``: where a client should ask for the peer first, at most three. ``bump``: a time in milliseconds since
        1970 that is told to who looks up the target, the latest of all; nodes take none that is more than a minute
        ahead. ``refresh`` (32 bytes): the first element of a chain, see `renew`. Raises `StorageError` when no node
        took it. Cancelled: no more nodes are asked; those that took it keep it.
        """
        key, pair, addresses = check_target(target), check_key_pair(key_pair), _check_relays(relays)
        time = check_integer(bump, "bump", 0, MAX_SAFE_INTEGER)
        first = None if refresh is None else _check_element(refresh)
        stored: Stored = await self._waiters.answer(
            lambda done: self._hyper.operations.announce(key, pair, addresses, done, bump=time, refresh=first).cancel
        )
        return _stored(stored, f"{pair.public_key} under {key.hex()}")

    async def renew(self, target: bytes, element: bytes) -> Stored:
        """Have nodes keep an announcement for another 20 minutes, without its key: by the element (32 bytes) that comes
        next in the chain whose first one it was announced with. Each element serves once.

        Such a chain is ``swarm.hyperdht.signatures.refresh_chain(os.urandom(32), length)``. Raises `StorageError` when
        no node knows of it. Cancelled: no more nodes are asked.
        """
        key, following = check_target(target), _check_element(element)
        stored: Stored = await self._waiters.answer(lambda done: self._hyper.operations.renew(key, following, done))
        return _stored(stored, f"an announcement under {key.hex()} by the element {following.hex()}")

    async def unannounce(self, target: bytes, key_pair: KeyPair) -> Stored:
        """Have the key removed from every node near ``target`` (32 bytes) that lists it.

        Raises ``ValueError`` for another length. Cancelled: no more nodes are asked.
        """
        key, pair = check_target(target), check_key_pair(key_pair)
        return await self._waiters.answer(lambda done: self._hyper.operations.unannounce(key, pair, done).cancel)

    async def immutable_put(self, value: bytes) -> bytes:
        """Store a value; gives the hash under which it is found.

        Raises `StorageError` when no node took it, and ``ValueError`` for one that no datagram carries. Cancelled: no
        more nodes are asked; those that took it keep it.
        """
        data = check_bytes(value, "a stored value")
        stored: Stored = await self._waiters.answer(lambda done: self._hyper.operations.immutable_put(data, done))
        target = hash32(data)
        _stored(stored, f"the value {target.hex()}")
        return target

    async def immutable_get(self, target: bytes) -> bytes | None:
        """The value with this hash (32 bytes), or None.

        Raises ``ValueError`` for another length. Cancelled: the search ends.
        """
        key = check_target(target)
        found: ImmutableFound | None = await self._waiters.answer(
            lambda done: self._hyper.operations.immutable_get(key, done)
        )
        return None if found is None else found.value

    async def mutable_put(self, key_pair: KeyPair, value: bytes, *, seq: int = 0) -> Stored:
        """Store a signed value of 1 to 1000 bytes under the hash of its key. ``seq`` must be higher than that of the
        value before it.

        Raises `StorageError` when no node took it, and says so when nodes hold the same or a higher ``seq``. Cancelled:
        no more nodes are asked; those that took it keep it.
        """
        pair, data = check_key_pair(key_pair), check_bytes(value, "a stored value")
        number = check_integer(seq, "seq", 0, MAX_SAFE_INTEGER)
        stored: Stored = await self._waiters.answer(
            lambda done: self._hyper.operations.mutable_put(pair, data, number, done)
        )
        key = pair.public_key
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
        True, that is stored again, at the nodes that are closest now. Raises ``ValueError`` for what is no public key.
        Cancelled: the search ends.
        """
        public_key, number = PublicKey.parse(key), check_integer(seq, "seq", 0, MAX_SAFE_INTEGER)
        renew: Callable[[MutableFound], bool] | None = None
        if refresh is not None:
            wanted = refresh
            renew = lambda found: wanted(found.content)  # noqa: E731
        found: MutableFound | None = await self._waiters.answer(
            lambda done: self._hyper.operations.mutable_get(
                public_key, done, minimum_seq=number, latest=latest, refresh=renew
            )
        )
        return None if found is None else found.content

    async def ping(self, address: AnyAddress) -> float | None:
        """The round trip to a node in seconds; None when it does not answer within 4 s.

        Raises ``ValueError`` for what is no address. Cancelled: the answer is not waited for.
        """
        to = Address.of(address)
        reply: Reply | None = await self._waiters.answer(lambda done: self._hyper.node.ping(to, done))
        return None if reply is None else reply.rtt


def _check_relays(relays: Sequence[AnyAddress]) -> list[Address]:
    if not isinstance(relays, Sequence) or isinstance(relays, str):
        raise TypeError(f"relays is a list of addresses, got {relays!r}")
    return [Address.of(relay) for relay in relays]


def _check_element(element: bytes) -> bytes:
    return check_32_bytes(element, "an element of a refresh chain")


def _stored(stored: Stored, what: str) -> Stored:
    """Raises `StorageError` for what was stored nowhere."""
    if not stored.nodes:
        raise StorageError(f"no node stored {what}; {stored.replies} answered the search", stored.errors)
    return stored
