"""Noise IK and XX as Hyperswarm speaks them: Diffie-Hellman on raw Ed25519 points, ChaCha20-Poly1305, BLAKE2b.

Pure: the ephemeral key pair comes in. Nothing is remembered between handshakes, and nothing here knows who carries the
messages. Sections are those of the Noise specification, revision 34. Node: noise-handshake 4.2, noise-curve-ed 2.1.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Literal, NamedTuple

from nacl import bindings
from nacl.exceptions import CryptoError
from nacl.exceptions import RuntimeError as SodiumError

from holepunch.errors import HandshakeError
from holepunch.keys import KeyPair, PublicKey

if TYPE_CHECKING:
    from holepunch.compact import Buffer

__all__ = ["Handshake", "Session", "SymmetricState", "dh", "scalar_of"]

KEY = 32
MAC = 16
HASH = 64
MAX_MESSAGE = 65535

Pattern = Literal["IK", "XX"]

# Each message is a row of tokens. The first letter of a Diffie-Hellman token is the initiator's key, the second the
# responder's; the initiator sends the first message (section 7.5).
PATTERNS: dict[str, tuple[tuple[str, ...], ...]] = {
    "XX": (("e",), ("e", "ee", "s", "es"), ("s", "se")),
    "IK": (("e", "es", "s", "ss"), ("e", "ee", "se")),
}


class Session(NamedTuple):
    """What a finished handshake leaves behind."""

    tx: bytes
    """The key of what this side sends, 32 bytes."""
    rx: bytes
    """The key of what the peer sends, 32 bytes."""
    hash: bytes
    """The handshake hash, 64 bytes. It is used whole as the key of what is derived from the session."""
    remote_public_key: PublicKey
    initiator: bool
    ephemeral: bytes = b""
    """The initiator's ephemeral public key: what both sides know of this handshake before its first message is read."""

    def __repr__(self) -> str:
        """Without the secrets: it may end in a log."""
        return f"<Session with {self.remote_public_key} initiator={self.initiator}>"


class Handshake:
    """One side of one handshake: `write` and `read` in turn, beginning with the initiator's `write`.

    ``remote_public_key`` must be given to the initiator of IK, and to nobody else; a responder learns it from the
    initiator. An ephemeral key pair serves one handshake.
    """

    __slots__ = (
        "_ephemeral",
        "_initiator",
        "_next",
        "_pattern",
        "_remote_ephemeral",
        "_remote_static",
        "_state",
        "_static",
    )

    def __init__(
        self,
        pattern: Pattern,
        initiator: bool,
        static: KeyPair,
        remote_public_key: bytes | None,
        prologue: bytes,
        ephemeral: KeyPair,
    ) -> None:
        if pattern not in PATTERNS:
            raise ValueError(f"the pattern is 'IK' or 'XX', got {pattern!r}")
        knows_remote = initiator and pattern == "IK"
        if knows_remote != (remote_public_key is not None):
            raise ValueError(f"{pattern}: a remote public key is for the initiator of IK, and for nobody else")
        self._pattern = PATTERNS[pattern]
        self._initiator = initiator
        self._static = static
        self._ephemeral = ephemeral
        self._remote_static = None if remote_public_key is None else PublicKey(remote_public_key)
        self._remote_ephemeral = b""
        self._next = 0
        self._state = SymmetricState(f"Noise_{pattern}_Ed25519_ChaChaPoly_BLAKE2b".encode())
        self._state.mix_hash(prologue)
        if pattern == "IK":  # the pre-message of IK: the responder's static key is known
            self._state.mix_hash(static.public_key if self._remote_static is None else self._remote_static)

    @property
    def complete(self) -> bool:
        return self._next == len(self._pattern)

    @property
    def remote_public_key(self) -> PublicKey | None:
        """The peer's static key, as soon as it is known."""
        return self._remote_static

    @property
    def session(self) -> Session:
        """Raises ``RuntimeError`` before the handshake is complete."""
        if not self.complete or self._remote_static is None:
            raise RuntimeError("the handshake is not complete")
        first, second = self._state.split()
        tx, rx = (first, second) if self._initiator else (second, first)
        ephemeral = self._ephemeral.public_key if self._initiator else self._remote_ephemeral
        return Session(tx, rx, self._state.h, self._remote_static, self._initiator, ephemeral)

    def write(self, payload: bytes = b"") -> bytes:
        """The next message. Raises `HandshakeError` when the peer's key is no valid point, ``ValueError`` for a payload
        that makes the message longer than 65,535 bytes, ``RuntimeError`` when it is the peer's turn."""
        tokens = self._turn(own=True)
        state = self._state.copy()
        message = bytearray()
        for token in tokens:
            if token == "e":
                message += self._ephemeral.public_key
                state.mix_hash(self._ephemeral.public_key)
            elif token == "s":
                message += state.encrypt_and_hash(self._static.public_key)
            else:
                state.mix_key(self._dh(token))
        message += state.encrypt_and_hash(payload)
        if len(message) > MAX_MESSAGE:
            raise ValueError(f"a Noise message has at most {MAX_MESSAGE} bytes, got {len(message)}")
        self._state = state
        self._next += 1
        return bytes(message)

    def read(self, message: Buffer) -> bytes:
        """The payload of the peer's next message. Raises `HandshakeError` for a bad one, which changes nothing: the
        right message is accepted after it. Raises ``RuntimeError`` when it is this side's turn."""
        tokens = self._turn(own=False)
        before = self._state, self._remote_static, self._remote_ephemeral
        self._state = self._state.copy()
        try:
            payload = self._read(tokens, bytes(message))
        except HandshakeError:
            self._state, self._remote_static, self._remote_ephemeral = before
            raise
        self._next += 1
        return payload

    def _read(self, tokens: tuple[str, ...], message: bytes) -> bytes:
        if len(message) > MAX_MESSAGE:
            raise HandshakeError(f"a message of {len(message)} bytes; at most {MAX_MESSAGE} are allowed")
        state = self._state
        position = 0
        for token in tokens:
            if token in ("e", "s"):
                size = KEY + MAC if token == "s" and state.has_key else KEY
                part = message[position : position + size]
                if len(part) < size:
                    raise HandshakeError(f"a message of {len(message)} bytes is too short")
                position += size
                if token == "e":
                    self._remote_ephemeral = part
                    state.mix_hash(part)
                else:
                    self._remote_static = PublicKey(state.decrypt_and_hash(part))
            else:
                state.mix_key(self._dh(token))
        return state.decrypt_and_hash(message[position:])

    def _turn(self, own: bool) -> tuple[str, ...]:
        if self.complete:
            raise RuntimeError("the handshake is complete")
        if (self._next % 2 == 0) != (own == self._initiator):
            raise RuntimeError("it is the peer's turn to write" if own else "it is this side's turn to write")
        return self._pattern[self._next]

    def _dh(self, token: str) -> bytes:
        own, remote = (token[0], token[1]) if self._initiator else (token[1], token[0])
        pair = self._static if own == "s" else self._ephemeral
        public = self._remote_static if remote == "s" else self._remote_ephemeral
        assert public is not None  # every pattern names a key before it uses it
        return dh(scalar_of(pair), public)


class SymmetricState:
    """Chaining key, running hash and cipher of a handshake (sections 5.1 and 5.2)."""

    __slots__ = ("ck", "h", "k", "n")

    def __init__(self, protocol_name: bytes) -> None:
        self.h = protocol_name.ljust(HASH, b"\0")
        self.ck = self.h
        self.k = b""
        self.n = 0

    def copy(self) -> SymmetricState:
        other = SymmetricState.__new__(SymmetricState)
        other.h, other.ck, other.k, other.n = self.h, self.ck, self.k, self.n
        return other

    @property
    def has_key(self) -> bool:
        return self.k != b""

    def mix_hash(self, data: bytes) -> None:
        self.h = hashlib.blake2b(self.h + data).digest()

    def mix_key(self, input_key_material: bytes) -> None:
        self.ck, key = _hkdf(self.ck, input_key_material)
        self.k, self.n = key[:KEY], 0

    def encrypt_and_hash(self, plaintext: bytes) -> bytes:
        ciphertext = plaintext
        if self.has_key:
            ciphertext = bindings.crypto_aead_chacha20poly1305_ietf_encrypt(plaintext, self.h, self._nonce(), self.k)
        self.mix_hash(ciphertext)
        return ciphertext

    def decrypt_and_hash(self, ciphertext: bytes) -> bytes:
        plaintext = ciphertext
        if self.has_key:
            if len(ciphertext) < MAC:
                raise HandshakeError(f"{len(ciphertext)} encrypted bytes are too few")
            try:
                plaintext = bindings.crypto_aead_chacha20poly1305_ietf_decrypt(
                    ciphertext, self.h, self._nonce(), self.k
                )
            except CryptoError:
                raise HandshakeError("a message does not decrypt") from None
        self.mix_hash(ciphertext)
        return plaintext

    def split(self) -> tuple[bytes, bytes]:
        """The keys of what the initiator and what the responder sends."""
        first, second = _hkdf(self.ck, b"")
        return first[:KEY], second[:KEY]

    def _nonce(self) -> bytes:
        nonce = self.n.to_bytes(8, "little")
        self.n += 1
        return bytes(4) + nonce


def _hkdf(chaining_key: bytes, input_key_material: bytes) -> tuple[bytes, bytes]:
    key = _hmac(chaining_key, input_key_material)
    first = _hmac(key, b"\x01")
    return first, _hmac(key, first + b"\x02")


def _hmac(key: bytes, data: bytes) -> bytes:
    return hmac.digest(key, data, "blake2b")


def scalar_of(pair: KeyPair) -> bytes:
    """The Ed25519 scalar of a key pair (RFC 8032, section 5.1.5): the first half of the seed's SHA-512, clamped."""
    scalar = bytearray(hashlib.sha512(pair.seed).digest()[:KEY])
    scalar[0] &= 248
    scalar[31] = scalar[31] & 127 | 64
    return bytes(scalar)


def dh(scalar: bytes, public_key: bytes) -> bytes:
    """The compressed Ed25519 point that both sides share. Raises `HandshakeError` for a low-order or invalid point.

    The scalar is used as it is: that of a key pair is clamped already, that of a tweaked key must not be.
    """
    try:
        return bindings.crypto_scalarmult_ed25519_noclamp(scalar, public_key)
    except SodiumError:
        raise HandshakeError(f"{public_key.hex()} is no valid public key") from None
