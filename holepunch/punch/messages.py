"""The bytes of connecting: PEER_HANDSHAKE, PEER_HOLEPUNCH, the Noise payload, and the encrypted hole-punch payload.

Knows layouts only: no state, no clock, no randomness (nonces and secrets come in). A decoder raises `DecodeError` and
nothing else. Node: hyperdht lib/messages.js, lib/secure-payload.js, lib/constants.js.
"""

# no `from __future__ import annotations`: each annotation of a named tuple that is text is compiled at every import

import hashlib
from enum import IntEnum
from typing import NamedTuple, Self

from nacl import bindings
from nacl.exceptions import CryptoError

from holepunch.address import Address
from holepunch.compact import Buffer, Reader, Writer
from holepunch.errors import DecodeError
from holepunch.keys import hash32

__all__ = [
    "MAX_LISTED",
    "NS_PEER_HANDSHAKE",
    "NS_PEER_HOLEPUNCH",
    "VERSION",
    "Abort",
    "Greeting",
    "HandshakeMessage",
    "HolepunchInfo",
    "HolepunchMessage",
    "HolepunchPayload",
    "Mode",
    "NoisePayload",
    "RelayInfo",
    "RelayThrough",
    "SecurePayload",
    "UdxInfo",
    "holepunch_secret",
]

VERSION = 1
"""Of the Noise payload, and of each block in it."""

MAX_LISTED = 32
"""Addresses of each list of a payload that are kept. The work they cause must not grow with what a stranger sends."""

_NAMESPACE = hash32(b"hyperswarm/dht")
NS_PEER_HANDSHAKE = hash32(_NAMESPACE, b"\x00")
"""The prologue of the Noise IK handshake."""
NS_PEER_HOLEPUNCH = hash32(_NAMESPACE, b"\x01")
"""What the hole-punch secret is derived from, keyed by the handshake hash."""


class Mode(IntEnum):
    """Which leg of its way a handshake or hole-punch message is on."""

    FROM_CLIENT = 0
    FROM_SERVER = 1
    FROM_RELAY = 2
    FROM_SECOND_RELAY = 3
    REPLY = 4


class Abort(IntEnum):
    """The error field of both payloads. Values that a newer peer may send are aborts as well."""

    NONE = 0
    ABORTED = 1
    VERSION_MISMATCH = 2
    TRY_LATER = 3


class RelayInfo(NamedTuple):
    """A relay of a server, and the server's address as that relay sees it."""

    relay_address: Address
    peer_address: Address


def _mode(r: Reader) -> Mode:
    value = r.uint()
    if value > Mode.REPLY:
        raise DecodeError(f"mode {value}; the modes are 0 to {Mode.REPLY:d}")
    return Mode(value)


class HandshakeMessage(NamedTuple):
    """The value of a PEER_HANDSHAKE request or reply."""

    mode: Mode
    noise: bytes
    peer_address: Address | None = None
    relay_address: Address | None = None

    def encode(self) -> bytes:
        w = Writer().uint((self.peer_address is not None) | (self.relay_address is not None) << 1)
        w.uint(self.mode).buffer(self.noise)
        if self.peer_address is not None:
            w.address(self.peer_address)
        if self.relay_address is not None:
            w.address(self.relay_address)
        return w.to_bytes()

    @classmethod
    def decode(cls, data: Buffer) -> Self:
        r = Reader(data)
        flags = r.uint()
        return cls(
            mode=_mode(r),
            noise=r.buffer(),
            peer_address=r.address() if flags & 1 else None,
            relay_address=r.address() if flags & 2 else None,
        )


class HolepunchMessage(NamedTuple):
    """The value of a PEER_HOLEPUNCH request or reply."""

    mode: Mode
    id: int
    payload: bytes
    peer_address: Address | None = None

    def encode(self) -> bytes:
        w = Writer().uint(self.peer_address is not None).uint(self.mode).uint(self.id).buffer(self.payload)
        if self.peer_address is not None:
            w.address(self.peer_address)
        return w.to_bytes()

    @classmethod
    def decode(cls, data: Buffer) -> Self:
        r = Reader(data)
        flags = r.uint()
        return cls(mode=_mode(r), id=r.uint(), payload=r.buffer(), peer_address=r.address() if flags & 1 else None)


class HolepunchInfo(NamedTuple):
    """The server's number for this handshake, and the relays that hole-punch messages can go through."""

    id: int
    relays: tuple[RelayInfo, ...]


class UdxInfo(NamedTuple):
    """The sender's raw stream."""

    id: int
    reusable_socket: bool = False
    seq: int = 0


class RelayThrough(NamedTuple):
    """The blind relay that the sender wants, and the token that pairs the two sides there."""

    public_key: bytes
    token: bytes


class Greeting(NamedTuple):
    """What peers of this implementation tell each other besides. Node's decoder ignores the flag and the bytes behind
    what it knows (hyperdht lib/messages.js, ``noisePayload``), and its encoder never sets the flag."""

    tags: tuple[bytes, ...] = ()
    """What the layer above has to say, 16 bytes each."""
    proves: bool = False
    """The sender goes on only with a peer that proves something on the stream first, and it will do so itself."""


_ADDRESS6_SIZE = 18
_GREETING = b"trio"
"""In front of a greeting: should Node give the flag a meaning of its own, that is told from ours."""
TAG_SIZE = 16
MAX_TAGS = 16
"""In one greeting: 256 bytes, with which the message still fits every network's packets."""


class NoisePayload(NamedTuple):
    """What the two Noise messages of a handshake carry.

    A payload of another version decodes to that version and nothing else.
    """

    version: int = VERSION
    error: int = Abort.NONE
    firewall: int = 0
    holepunch: HolepunchInfo | None = None
    addresses4: tuple[Address, ...] = ()
    addresses6: tuple[bytes, ...] = ()
    """16 octets and a port each, kept as they are: nothing is dialled over IPv6."""
    udx: UdxInfo | None = None
    secret_stream: bool = False
    relay_through: RelayThrough | None = None
    relay_addresses: tuple[Address, ...] | None = None
    greeting: Greeting | None = None

    def encode(self) -> bytes:
        flags = (
            (self.holepunch is not None)
            | bool(self.addresses4) << 1
            | bool(self.addresses6) << 2
            | (self.udx is not None) << 3
            | self.secret_stream << 4
            | (self.relay_through is not None) << 5
            | (self.relay_addresses is not None) << 6
            | (self.greeting is not None) << 7
        )
        w = Writer().uint(self.version).uint(flags).uint(self.error).uint(self.firewall)
        if self.holepunch is not None:
            w.uint(self.holepunch.id)
            w.array(list(self.holepunch.relays), lambda w, i: w.address(i.relay_address).address(i.peer_address))
        if self.addresses4:
            w.addresses(self.addresses4)
        if self.addresses6:
            w.array(list(self.addresses6), lambda w, a: w.fixed(_ADDRESS6_SIZE, a))
        if self.udx is not None:
            w.uint(VERSION).uint(self.udx.reusable_socket).uint(self.udx.id).uint(self.udx.seq)
        if self.secret_stream:
            w.uint(VERSION)
        if self.relay_through is not None:
            w.uint(VERSION).uint(0).fixed(32, self.relay_through.public_key).fixed(32, self.relay_through.token)
        if self.relay_addresses is not None:
            w.addresses(self.relay_addresses)
        if self.greeting is not None:
            w.fixed(len(_GREETING), _GREETING).uint(self.greeting.proves)
            w.array(list(self.greeting.tags), lambda w, tag: w.fixed(TAG_SIZE, tag))
        return w.to_bytes()

    @classmethod
    def decode(cls, data: Buffer) -> Self:
        r = Reader(data)
        version = r.uint()
        if version != VERSION:
            return cls(version=version)
        flags = r.uint()

        return cls(
            version=version,
            error=r.uint(),
            firewall=r.uint(),
            holepunch=_read_holepunch(r) if flags & 1 else None,
            addresses4=tuple(r.addresses()[:MAX_LISTED]) if flags & 2 else (),
            addresses6=tuple(r.array(lambda r: r.fixed(_ADDRESS6_SIZE))) if flags & 4 else (),
            udx=_read_udx(r) if flags & 8 else None,
            secret_stream=bool(flags & 16) and r.uint() > 0,
            relay_through=_read_relay_through(r) if flags & 32 else None,
            relay_addresses=tuple(r.addresses()[:MAX_LISTED]) if flags & 64 else None,
            greeting=_read_greeting(r) if flags & 128 else None,
        )


def _read_holepunch(r: Reader) -> HolepunchInfo:
    return HolepunchInfo(r.uint(), tuple(r.array(lambda r: RelayInfo(r.address(), r.address()))[:MAX_LISTED]))


def _read_udx(r: Reader) -> UdxInfo:
    r.uint()  # version: one so far, and the fields are the same in any
    features = r.uint()
    id = r.uint()
    if id > 0xFFFFFFFF:
        raise DecodeError(f"stream id {id} is no 32-bit number")
    return UdxInfo(id, bool(features & 1), r.uint())


def _read_relay_through(r: Reader) -> RelayThrough:
    r.uint()  # version
    r.uint()  # flags: none defined
    return RelayThrough(r.fixed(32), r.fixed(32))


def _read_greeting(r: Reader) -> Greeting | None:
    """Nothing that is behind the flag makes a payload invalid: to others it may mean something else."""
    try:
        if r.fixed(len(_GREETING)) != _GREETING:
            return None
        proves = bool(r.uint() & 1)
        return Greeting(tuple(r.array(lambda r: r.fixed(TAG_SIZE))[:MAX_TAGS]), proves)
    except DecodeError:
        return None


class HolepunchPayload(NamedTuple):
    """What both sides tell each other, encrypted, while they punch."""

    error: int = Abort.NONE
    firewall: int = 0
    round: int = 0
    connected: bool = False
    punching: bool = False
    addresses: tuple[Address, ...] | None = None
    """The sender's own, as its NAT shows them; those of a random NAT have port 0."""
    remote_address: Address | None = None
    """The receiver's address that the sender has opened its NAT towards."""
    token: bytes | None = None
    remote_token: bytes | None = None

    def encode(self) -> bytes:
        flags = (
            self.connected
            | self.punching << 1
            | (self.addresses is not None) << 2
            | (self.remote_address is not None) << 3
            | (self.token is not None) << 4
            | (self.remote_token is not None) << 5
        )
        w = Writer().uint(flags).uint(self.error).uint(self.firewall).uint(self.round)
        if self.addresses is not None:
            w.addresses(self.addresses)
        if self.remote_address is not None:
            w.address(self.remote_address)
        if self.token is not None:
            w.fixed(32, self.token)
        if self.remote_token is not None:
            w.fixed(32, self.remote_token)
        return w.to_bytes()

    @classmethod
    def decode(cls, data: Buffer) -> Self:
        r = Reader(data)
        flags = r.uint()
        return cls(
            error=r.uint(),
            firewall=r.uint(),
            round=r.uint(),
            connected=bool(flags & 1),
            punching=bool(flags & 2),
            addresses=tuple(r.addresses()[:MAX_LISTED]) if flags & 4 else None,
            remote_address=r.address() if flags & 8 else None,
            token=r.fixed(32) if flags & 16 else None,
            remote_token=r.fixed(32) if flags & 32 else None,
        )


def holepunch_secret(handshake_hash: bytes) -> bytes:
    """The key of all hole-punch payloads of one handshake."""
    return hashlib.blake2b(NS_PEER_HOLEPUNCH, digest_size=32, key=handshake_hash).digest()


class SecurePayload:
    """Seals and opens the hole-punch payloads of one handshake, and makes its tokens."""

    __slots__ = ("_local_secret", "_shared_secret")

    NONCE_SIZE = bindings.crypto_secretbox_NONCEBYTES

    def __init__(self, shared_secret: bytes, local_secret: bytes) -> None:
        """``local_secret``: 32 random bytes, told to nobody."""
        self._shared_secret = shared_secret
        self._local_secret = local_secret

    def seal(self, payload: HolepunchPayload, nonce: bytes) -> bytes:
        """``nonce``: 24 random bytes, never used again."""
        return nonce + bindings.crypto_secretbox(payload.encode(), nonce, self._shared_secret)

    def open(self, data: Buffer) -> HolepunchPayload:
        """Raises `DecodeError` for what was not sealed with this secret, or is no payload."""
        data = bytes(data)
        if len(data) < self.NONCE_SIZE:
            raise DecodeError(f"a hole-punch payload of {len(data)} bytes")
        nonce, box = data[: self.NONCE_SIZE], data[self.NONCE_SIZE :]
        try:
            plain = bindings.crypto_secretbox_open(box, nonce, self._shared_secret)
        except CryptoError:
            raise DecodeError("a hole-punch payload that does not decrypt") from None
        return HolepunchPayload.decode(plain)

    def token(self, host: str) -> bytes:
        """What a peer can only know, and echo, when it receives at ``host``."""
        return hashlib.blake2b(host.encode(), digest_size=32, key=self._local_secret).digest()
