"""What peers meet under: 32 bytes, taken as they are or hashed from a name. Knows no network and no peers."""

from __future__ import annotations

import hashlib
from typing import Self

__all__ = ["Topic"]


class Topic(bytes):
    """The 32-byte key that peers announce and look up.

    Raises ``TypeError`` for anything but bytes and ``ValueError`` for another length; both name `Topic.from_name`.
    """

    __slots__ = ()

    def __new__(cls, data: bytes) -> Self:
        if not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError(f"a topic is 32 bytes, got {type(data).__name__}; Topic.from_name makes one from text")
        if len(data) != 32:
            shown = bytes(data[:40])
            raise ValueError(f"a topic is 32 bytes, got {len(data)}: {shown!r}; Topic.from_name makes one from text")
        return super().__new__(cls, data)

    @classmethod
    def from_name(cls, name: str) -> Self:
        """SHA-256 of the UTF-8 form of ``name``: what Node applications get from ``createHash('sha256')``."""
        if not isinstance(name, str):
            raise TypeError(f"a topic's name is text, got {type(name).__name__}; Topic(...) takes 32 bytes")
        return cls(hashlib.sha256(name.encode()).digest())

    @classmethod
    def parse(cls, topic: str | bytes) -> Self:
        """What `Swarm.join` accepts: a name, exactly 32 bytes, or a topic. Raises like the two forms above."""
        if isinstance(topic, cls):
            return topic
        return cls.from_name(topic) if isinstance(topic, str) else cls(topic)

    @property
    def short(self) -> str:
        """The first 8 hex digits, for logs."""
        return self.hex()[:8]

    def __str__(self) -> str:
        return self.hex()

    def __repr__(self) -> str:
        return f"Topic({self.hex()!r})"
