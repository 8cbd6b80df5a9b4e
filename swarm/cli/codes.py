"""Codes that one person reads to another: each side of a code can prove to the other that it knows it.

A code is a secret from which both key pairs are made. The offering side listens with its key and admits the other key
alone, so that nobody who sees the public keys (every DHT node does) gets in, or learns what is offered. No I/O here.
"""

from __future__ import annotations

import base64
import os
from typing import Self

from holepunch.keys import KeyPair, hash32

__all__ = ["Code"]

SIZE = 20
"""Bytes of secret: 160 bits, which fill 32 characters exactly."""


class Code:
    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    @classmethod
    def generate(cls) -> Self:
        return cls(os.urandom(SIZE))

    @classmethod
    def of(cls, identity: KeyPair) -> Self:
        """The same code each time for one identity."""
        return cls(hash32(b"swarm code of an identity", identity.seed)[:SIZE])

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ``ValueError``."""
        try:
            secret = base64.b32decode(text.strip().upper())
        except ValueError:
            secret = b""
        if len(secret) != SIZE:
            raise ValueError(f"not a code: {text!r}; a right one is 32 letters and digits from 2 to 7")
        return cls(secret)

    def __str__(self) -> str:
        return base64.b32encode(self._secret).decode().lower()

    @property
    def offering(self) -> KeyPair:
        """The key pair of the side that shows the code."""
        return KeyPair.from_seed(hash32(b"swarm code, offering side", self._secret))

    @property
    def taking(self) -> KeyPair:
        """The key pair of the side that is given the code."""
        return KeyPair.from_seed(hash32(b"swarm code, taking side", self._secret))

    def admits(self, public_key: bytes) -> bool:
        """Whether the offering side lets this key in."""
        return public_key == self.taking.public_key
