"""What HyperDHT signs and how: announcements, per storing node and token; mutable values. Also refresh chains.

Pure functions; keys and tokens come in. Node: hyperdht lib/persistent.js, lib/refresh-chain.js, lib/constants.js.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from holepunch.keys import hash32, verify
from swarm.hyperdht.messages import AnnounceRequest, Command, MutablePutRequest, MutableValue, PeerRecord

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holepunch.address import Address
    from holepunch.keys import KeyPair

__all__ = [
    "announce_signable",
    "mutable_signable",
    "namespace",
    "refresh_chain",
    "signed_announce",
    "signed_put",
    "verify_announce",
    "verify_mutable",
]

_ROOT = hash32(b"hyperswarm/dht")


def namespace(command: Command) -> bytes:
    """The 32 bytes in front of everything signed for ``command``: a signature for one command is none for another."""
    return hash32(_ROOT, bytes([command]))


_SIGNED = {c: namespace(c) for c in (Command.ANNOUNCE, Command.UNANNOUNCE, Command.MUTABLE_PUT)}


def announce_signable(
    command: Command, target: bytes, node_id: bytes, token: bytes, peer: PeerRecord, refresh: bytes | None = None
) -> bytes:
    """What an ANNOUNCE or UNANNOUNCE signs. It holds for one storing node, and only as long as its token."""
    return _SIGNED[command] + hash32(target, node_id, token, peer.encode(), refresh or b"")


def signed_announce(
    command: Command,
    key_pair: KeyPair,
    target: bytes,
    node_id: bytes,
    token: bytes,
    relay_addresses: Sequence[Address] = (),
    refresh: bytes | None = None,
    bump: int = 0,
) -> bytes:
    """The value of an ANNOUNCE or UNANNOUNCE to the node ``node_id``, which handed out ``token``."""
    peer = PeerRecord(key_pair.public_key, tuple(relay_addresses))
    signature = key_pair.sign(announce_signable(command, target, node_id, token, peer, refresh))
    return AnnounceRequest(peer, refresh, signature, bump).encode()


def verify_announce(command: Command, target: bytes, node_id: bytes, token: bytes, request: AnnounceRequest) -> bool:
    """Whether the announced key signed this request, for this node and token."""
    if request.peer is None or request.signature is None:
        return False
    signable = announce_signable(command, target, node_id, token, request.peer, request.refresh)
    return verify(request.signature, signable, request.peer.public_key)


def mutable_signable(content: MutableValue) -> bytes:
    """What a mutable value signs. It names neither node nor token, so whoever has a record may store it again."""
    return _SIGNED[Command.MUTABLE_PUT] + hash32(content.signed_part())


def signed_put(key_pair: KeyPair, seq: int, value: bytes) -> MutablePutRequest:
    unsigned = MutableValue(seq, value, b"")
    return MutablePutRequest(key_pair.public_key, MutableValue(seq, value, key_pair.sign(mutable_signable(unsigned))))


def verify_mutable(content: MutableValue, public_key: bytes) -> bool:
    return verify(content.signature, mutable_signable(content), public_key)


def refresh_chain(tail: bytes, length: int) -> list[bytes]:
    """``length`` elements, each the hash of the next and the last the hash of ``tail`` (32 random bytes).

    An announcement carries the first; revealing the next one renews it without a signature.
    """
    chain: list[bytes] = []
    for _ in range(length):
        tail = hash32(tail)
        chain.append(tail)
    chain.reverse()
    return chain
