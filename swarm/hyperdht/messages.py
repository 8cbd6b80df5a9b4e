"""The values of HyperDHT's requests and replies: bytes to frozen values and back. No state, no signatures, no clock.

What connecting sends (PEER_HANDSHAKE, PEER_HOLEPUNCH) is in `holepunch.punch.messages`. A decoder raises `DecodeError`
and nothing else. Node: hyperdht lib/messages.js, hyperdht-address.
"""

# no `from __future__ import annotations`: each annotation of a named tuple that is text is compiled at every import

from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple, Self

from holepunch.address import Address
from holepunch.compact import Buffer, Reader, Writer
from holepunch.keys import PublicKey

__all__ = [
    "SIGNATURE_SIZE",
    "AnnounceRequest",
    "Command",
    "LookupReply",
    "MutablePutRequest",
    "MutableValue",
    "PeerAddress",
    "PeerRecord",
    "PluginRequest",
    "PutError",
    "decode_minimum_seq",
    "encode_lookup_reply",
    "encode_minimum_seq",
]

SIGNATURE_SIZE = 64


class Command(IntEnum):
    """HyperDHT's commands, all of them external in terms of dht-rpc."""

    PEER_HANDSHAKE = 0
    PEER_HOLEPUNCH = 1
    FIND_PEER = 2
    LOOKUP = 3
    ANNOUNCE = 4
    UNANNOUNCE = 5
    MUTABLE_PUT = 6
    MUTABLE_GET = 7
    IMMUTABLE_PUT = 8
    IMMUTABLE_GET = 9
    PLUGIN = 10


class PutError(IntEnum):
    """Why a node refuses a mutable value that is signed correctly."""

    SEQ_REUSED = 16
    SEQ_TOO_LOW = 17


class PeerRecord(NamedTuple):
    """Who is announced, and the nodes that a connection to it can be asked for at."""

    public_key: PublicKey
    relay_addresses: tuple[Address, ...] = ()

    def write(self, w: Writer) -> None:
        w.fixed(32, self.public_key).addresses(self.relay_addresses)

    def encode(self) -> bytes:
        w = Writer()
        self.write(w)
        return w.to_bytes()

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(PublicKey(r.fixed(32)), tuple(r.addresses()))

    @classmethod
    def decode(cls, data: Buffer) -> Self:
        return cls.read(Reader(data))


class LookupReply(NamedTuple):
    """What one node knows about a topic. ``bump`` is in milliseconds since 1970, 0 when nobody set it."""

    peers: tuple[PeerRecord, ...]
    bump: int = 0

    @classmethod
    def decode(cls, data: Buffer) -> Self:
        r = Reader(data)
        peers = tuple(r.array(PeerRecord.read))
        return cls(peers, r.uint() if r.remaining else 0)  # nodes of before bump send none


def encode_lookup_reply(records: Sequence[bytes], bump: int) -> bytes:
    """``records``: `PeerRecord`s as they are stored, encoded."""
    return Writer().array(list(records), Writer.raw).uint(bump).to_bytes()


class AnnounceRequest(NamedTuple):
    """The value of ANNOUNCE and UNANNOUNCE. Without ``peer`` it only reveals the next element of a refresh chain."""

    peer: PeerRecord | None
    refresh: bytes | None = None
    signature: bytes | None = None
    bump: int = 0

    def encode(self) -> bytes:
        flags = (
            (self.peer is not None)
            | (self.refresh is not None) << 1
            | (self.signature is not None) << 2
            | (self.bump != 0) << 3
        )
        w = Writer().uint(flags)
        if self.peer is not None:
            self.peer.write(w)
        if self.refresh is not None:
            w.fixed(32, self.refresh)
        if self.signature is not None:
            w.fixed(SIGNATURE_SIZE, self.signature)
        if self.bump:
            w.uint(self.bump)
        return w.to_bytes()

    @classmethod
    def decode(cls, data: Buffer) -> Self:
        r = Reader(data)
        flags = r.uint()
        return cls(
            peer=PeerRecord.read(r) if flags & 1 else None,
            refresh=r.fixed(32) if flags & 2 else None,
            signature=r.fixed(SIGNATURE_SIZE) if flags & 4 else None,
            bump=r.uint() if flags & 8 else 0,
        )


class MutableValue(NamedTuple):
    """A signed value and its version: what MUTABLE_GET answers, and what a node stores."""

    seq: int
    value: bytes
    signature: bytes

    def signed_part(self) -> bytes:
        return Writer().uint(self.seq).buffer(self.value).to_bytes()

    def encode(self) -> bytes:
        return Writer().uint(self.seq).buffer(self.value).fixed(SIGNATURE_SIZE, self.signature).to_bytes()

    @classmethod
    def decode(cls, data: Buffer) -> Self:
        return cls.read(Reader(data))

    @classmethod
    def read(cls, r: Reader) -> Self:
        return cls(r.uint(), r.buffer(), r.fixed(SIGNATURE_SIZE))


class MutablePutRequest(NamedTuple):
    """The value of MUTABLE_PUT: a `MutableValue` after the key that signed it."""

    public_key: PublicKey
    content: MutableValue

    def encode(self) -> bytes:
        return self.public_key + self.content.encode()

    @classmethod
    def decode(cls, data: Buffer) -> Self:
        r = Reader(data)
        return cls(PublicKey(r.fixed(32)), MutableValue.read(r))


def encode_minimum_seq(seq: int) -> bytes:
    """The value of MUTABLE_GET: older versions are not wanted."""
    return Writer().uint(seq).to_bytes()


def decode_minimum_seq(data: Buffer) -> int:
    return Reader(data).uint()


class PluginRequest(NamedTuple):
    """The value of PLUGIN: a command of a named extension."""

    plugin: str
    version: int
    command: int
    value: bytes | None = None

    def encode(self) -> bytes:
        w = Writer().string(self.plugin).uint(self.version).uint(self.command).uint(self.value is not None)
        if self.value is not None:
            w.buffer(self.value)
        return w.to_bytes()

    @classmethod
    def decode(cls, data: Buffer) -> Self:
        r = Reader(data)
        plugin, version, command, flags = r.string(), r.uint(), r.uint(), r.uint()
        return cls(plugin, version, command, r.buffer() if flags & 1 else None)


class PeerAddress(NamedTuple):
    """A public key together with nodes that may relay to it (hyperdht-address). A bare key is one without nodes."""

    public_key: PublicKey
    nodes: tuple[Address, ...] | None = None

    def encode(self) -> bytes:
        w = Writer().fixed(32, self.public_key).uint(self.nodes is not None)
        if self.nodes is not None:
            w.addresses(self.nodes)
        return w.to_bytes()

    @classmethod
    def decode(cls, data: Buffer) -> Self:
        r = Reader(data)
        key = PublicKey(r.fixed(32))
        flags = r.uint() if r.remaining else 0
        return cls(key, tuple(r.addresses()) if flags & 1 else None)
