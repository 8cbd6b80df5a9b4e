"""What one run of a swarm leaves for the next: good DHT nodes, and the peers met under each topic. Values and their
bytes; no files, no clock.

Every file is one value in msgpack behind a check sum, so that a torn or foreign one is told from a good one.
"""

from __future__ import annotations

import hashlib
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgpack

from holepunch.compact import Reader, Writer
from holepunch.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from holepunch.address import Address

__all__ = ["MAX_FILE", "Peers", "decode_nodes", "encode_nodes", "merge_nodes"]

MAX_NODES = 64
"""Nodes kept. A search starts at 20; the rest are spares for those that are gone by then."""
ENOUGH_NODES = 20
"""From so many nodes heard in this run on, those of earlier runs are no longer needed."""
MAX_TOPICS = 64
"""Topics kept, joined now or not: those used last."""
MAX_PEERS = 64
"""Peers kept of one topic, those met last: as many as a swarm connects to (`Limits.max_peers`)."""
MAX_RELAYS = 4
"""Relay addresses kept of one peer: the three that it announces through, and its own."""
MAX_FILE = 1 << 20
"""Bytes of the largest file that is read. A full one has about 260,000."""

_NODES = b"trio-hyperswarm nodes 1\n"
_PEERS = b"trio-hyperswarm peers 1\n"
_CHECK = 16


def merge_nodes(heard: Sequence[Address], earlier: Sequence[Address]) -> list[Address]:
    """The nodes to keep. ``heard`` in this run; too few of them push out none of the earlier ones."""
    known = heard if len(heard) >= ENOUGH_NODES else (*heard, *earlier)
    return list(dict.fromkeys(known))[:MAX_NODES]


def encode_nodes(nodes: Sequence[Address]) -> bytes:
    return seal(_NODES, _pack_addresses(nodes))


def decode_nodes(data: bytes) -> list[Address]:
    """Raises `DecodeError` for anything but the bytes of `encode_nodes`."""
    return _unpack_addresses(_open(_NODES, data))[:MAX_NODES]


class Peers:
    """Who was met under which topic, and through which relays. The least recent give way."""

    __slots__ = ("_topics",)

    def __init__(self) -> None:
        self._topics: dict[bytes, dict[bytes, tuple[Address, ...]]] = {}

    def met(self, topic: bytes, public_key: bytes, relays: Sequence[Address]) -> None:
        """A connection to this peer was made, and it is in this topic."""
        peers = self._topics.pop(topic, {})
        known = peers.pop(public_key, ())
        peers[public_key] = tuple(relays[:MAX_RELAYS]) or known
        _shrink(peers, MAX_PEERS)
        self._topics[topic] = peers
        _shrink(self._topics, MAX_TOPICS)

    def lost(self, public_key: bytes) -> None:
        """Nobody knows this peer any more."""
        for topic, peers in list(self._topics.items()):
            if peers.pop(public_key, None) is not None and not peers:
                del self._topics[topic]

    def of(self, topic: bytes, limit: int) -> list[tuple[bytes, tuple[Address, ...]]]:
        """Peers of a topic and their relays, the one met last first."""
        return list(islice(reversed(self._topics.get(topic, {}).items()), limit))

    def encode(self) -> bytes:
        return seal(
            _PEERS,
            [[t, [[key, _pack_addresses(r)] for key, r in peers.items()]] for t, peers in self._topics.items()],
        )

    @classmethod
    def decode(cls, data: bytes) -> Peers:
        """Raises `DecodeError` for anything but the bytes of `encode`."""
        result = cls()
        for topic, peers in _pairs(_open(_PEERS, data)):
            target = _key(topic)
            for key, relays in _pairs(peers):
                result.met(target, _key(key), _unpack_addresses(relays))
        return result


def _shrink(table: dict[bytes, Any], limit: int) -> None:
    while len(table) > limit:
        del table[next(iter(table))]


def seal(kind: bytes, value: object) -> bytes:
    body: bytes = msgpack.packb(value)
    return kind + _check_sum(kind, body) + body


def _open(kind: bytes, data: bytes) -> Any:
    body = data[len(kind) + _CHECK :]
    if data[: len(kind)] != kind:
        raise DecodeError(f"it does not begin with {kind!r}")
    if data[len(kind) : len(kind) + _CHECK] != _check_sum(kind, body):
        raise DecodeError("its check sum is wrong: it was cut off or changed")
    try:
        return msgpack.unpackb(body)
    except (ValueError, msgpack.UnpackException, RecursionError) as error:
        raise DecodeError(f"it holds no msgpack: {error}") from error


def _check_sum(kind: bytes, body: bytes) -> bytes:
    return hashlib.blake2b(kind + body, digest_size=_CHECK).digest()


def _pack_addresses(addresses: Sequence[Address]) -> bytes:
    return Writer().addresses(addresses).to_bytes()


def _unpack_addresses(data: object) -> list[Address]:
    if not isinstance(data, bytes):
        raise DecodeError("addresses are bytes")
    return Reader(data).addresses()


def _pairs(value: object) -> Iterable[tuple[object, object]]:
    if not isinstance(value, list) or any(not isinstance(entry, list) or len(entry) != 2 for entry in value):
        raise DecodeError("a list of pairs is expected")
    return ((first, second) for first, second in value)


def _key(value: object) -> bytes:
    if not isinstance(value, bytes) or len(value) != 32:
        raise DecodeError("32 bytes are expected")
    return value
