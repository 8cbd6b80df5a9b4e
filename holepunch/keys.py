"""Ed25519 identities: public keys as people and programs write them, key pairs, and the file one is kept in.

Node: hypercore-crypto 3.7.0 (``keyPair``), hypercore-id-encoding (z-base-32).
"""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import Self

from nacl import bindings
from nacl.exceptions import BadSignatureError

__all__ = ["KeyPair", "PublicKey", "check_key_pair", "hash32", "verify"]

_Z32 = "ybndrfg8ejkmcpqxot1uwisza345h769"
_Z32_VALUES = {c: i for i, c in enumerate(_Z32)}


def hash32(*parts: bytes) -> bytes:
    """BLAKE2b with a 32-byte digest over the concatenated parts: targets, ids and namespaces of the DHT."""
    h = hashlib.blake2b(digest_size=32)
    for part in parts:
        h.update(part)
    return h.digest()


class PublicKey(bytes):
    """An Ed25519 public key: 32 bytes with a readable face."""

    __slots__ = ()

    def __new__(cls, data: bytes) -> Self:
        if not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError(f"a public key is 32 bytes, got {type(data).__name__}; use PublicKey.parse for text")
        if len(data) != 32:
            raise ValueError(f"a public key is 32 bytes, got {len(data)}: {bytes(data)[:40].hex()}")
        return super().__new__(cls, data)

    @classmethod
    def parse(cls, key: bytes | str) -> Self:
        """From 32 bytes, 64 hex digits, 52 z-base-32 characters or a ``pear://<key>/…`` link. Raises ``ValueError``."""
        if not isinstance(key, str):
            return cls(key)
        text = key.strip()
        if text.startswith("pear://"):
            text = text[7:].split("/", 1)[0]
        try:
            if len(text) == 64:
                return cls(bytes.fromhex(text))
            if len(text) == 52:
                return cls(_z32_decode(text.lower()))
        except (ValueError, KeyError):
            pass
        raise ValueError(f"not a public key: {key!r}; a right one is 64 hex digits or 52 z-base-32 characters")

    @property
    def z32(self) -> str:
        """The 52-character form people pass on."""
        bits = int.from_bytes(self, "big") << 4
        return "".join(_Z32[bits >> shift & 31] for shift in range(255, -1, -5))

    @property
    def short(self) -> str:
        """The first 8 hex digits, for logs."""
        return self.hex()[:8]

    def __str__(self) -> str:
        return self.z32

    def __repr__(self) -> str:
        return f"PublicKey({self.hex()!r})"


def _z32_decode(text: str) -> bytes:
    bits = 0
    for c in text:
        bits = bits << 5 | _Z32_VALUES[c]
    if bits & 15:
        raise ValueError(text)
    return (bits >> 4).to_bytes(32, "big")


class KeyPair:
    """An Ed25519 key pair. Equal seeds give equal pairs, here and in Node (``crypto.keyPair(seed)``)."""

    __slots__ = ("public_key", "secret_key")

    def __init__(self, public_key: bytes, secret_key: bytes) -> None:
        if len(secret_key) != 64:
            raise ValueError(f"a secret key is 64 bytes (seed and public key), got {len(secret_key)}")
        self.public_key = PublicKey(public_key)
        self.secret_key = bytes(secret_key)
        # Signing with a public key that is not the seed's own gives the secret away to who sees two signatures.
        if bindings.crypto_sign_seed_keypair(self.seed) != (self.public_key, self.secret_key):
            raise ValueError("the secret key does not belong to the public key")

    @classmethod
    def generate(cls) -> Self:
        """A fresh pair, from the system's randomness."""
        return cls.from_seed(os.urandom(32))

    @classmethod
    def from_seed(cls, seed: bytes | bytearray | memoryview) -> Self:
        """Raises ``ValueError`` for another length than 32 bytes."""
        if not isinstance(seed, bytes | bytearray | memoryview):
            raise TypeError(f"a seed is 32 bytes, got {type(seed).__name__}")
        if len(seed) != 32:
            raise ValueError(f"a seed is 32 bytes, got {len(seed)}")
        return cls(*bindings.crypto_sign_seed_keypair(bytes(seed)))

    @classmethod
    def load_or_create(cls, path: str | os.PathLike[str]) -> Self:
        """The pair whose 32-byte seed is in ``path``; a fresh one, stored with mode 0600, when there is no such file.

        Raises ``ValueError`` for a file of another length, or one that other users may read or write, and ``OSError``
        as opening or creating it does. Of two processes that create it at once, both get the same pair.
        """
        file = Path(path).expanduser()
        try:
            return cls._load(file)
        except FileNotFoundError:
            return cls._create(file)

    @classmethod
    def _load(cls, file: Path) -> Self:
        with file.open("rb") as handle:
            status = os.fstat(handle.fileno())
            seed = handle.read(33)
        mode = stat.S_IMODE(status.st_mode)
        if os.name == "posix" and mode & 0o077:
            raise ValueError(f"{file} has mode {mode:04o}: others may read this key; run: chmod 600 {file}")
        if len(seed) != 32:
            raise ValueError(f"{file} is no key file: it has {status.st_size} bytes, not 32")
        return cls.from_seed(seed)

    @classmethod
    def _create(cls, file: Path) -> Self:
        from holepunch.files import written_aside  # for a new key file only

        file.parent.mkdir(parents=True, exist_ok=True)
        pair = cls.generate()
        with written_aside(file, pair.seed) as part:
            try:
                os.link(part, file)  # not renamed: a file of this name is never overwritten
            except FileExistsError:
                return cls._load(file)
        return pair

    @property
    def seed(self) -> bytes:
        return self.secret_key[:32]

    def sign(self, message: bytes) -> bytes:
        """A detached 64-byte signature."""
        return bindings.crypto_sign(message, self.secret_key)[:64]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, KeyPair) and self.public_key == other.public_key

    def __hash__(self) -> int:
        return hash(self.public_key)

    def __repr__(self) -> str:
        return f"KeyPair({self.public_key.hex()[:8]}…)"


def check_key_pair(value: KeyPair, name: str = "key_pair") -> KeyPair:
    """What an application gives as a key pair. Raises ``TypeError``, without the value: it may be a secret."""
    if not isinstance(value, KeyPair):
        raise TypeError(
            f"{name} is a KeyPair, got {type(value).__name__}; "
            "KeyPair.generate(), KeyPair.from_seed(seed) and KeyPair.load_or_create(path) make one"
        )
    return value


def verify(signature: bytes, message: bytes, public_key: bytes) -> bool:
    """Whether ``signature`` (64 bytes) over ``message`` is by ``public_key``. Wrong lengths are wrong signatures."""
    if len(signature) != 64 or len(public_key) != 32:
        return False  # libsodium reads 32 bytes of key, whatever is behind it
    try:
        bindings.crypto_sign_open(signature + message, public_key)
    except BadSignatureError:
        return False
    return True
