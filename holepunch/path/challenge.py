"""The proof that a path leads to the peer: a challenge that only it can answer, in unordered messages of the stream.

Layouts and MACs only. Both are made with a key that nobody but the two ends of the handshake has. Node peers take them
for messages that do not decrypt, and drop them. (The idea is RFC 9000's, section 8.2.)
"""

from __future__ import annotations

import hmac
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from holepunch.compact import Buffer

__all__ = ["NONCE", "SIZE", "Challenges", "PathMessage"]

NONCE: Final = 8
"""Random bytes of one challenge, which its answer repeats."""
_MAC: Final = 16
SIZE: Final = 1 + NONCE + _MAC
"""Bytes of either message. At least 24, so that Node tries to decrypt it, which fails, instead of anything else."""
_CHALLENGE: Final = 1
_ANSWER: Final = 2


class PathMessage(NamedTuple):
    is_answer: bool
    nonce: bytes


class Challenges:
    """Makes and reads the messages of one connection."""

    __slots__ = ("_is_initiator", "_key")

    def __init__(self, handshake_hash: bytes, *, is_initiator: bool) -> None:
        self._key = blake2b(b"trio-hyperswarm path", digest_size=32, key=handshake_hash).digest()
        self._is_initiator = is_initiator

    def challenge(self, nonce: bytes) -> bytes:
        return self._seal(_CHALLENGE, nonce)

    def answer(self, nonce: bytes) -> bytes:
        return self._seal(_ANSWER, nonce)

    def read(self, data: Buffer) -> PathMessage | None:
        """None: it is something else, or nothing that the peer made."""
        message = bytes(data)
        if len(message) != SIZE or message[0] not in (_CHALLENGE, _ANSWER):
            return None
        body, mac = message[:-_MAC], message[-_MAC:]
        if not hmac.compare_digest(mac, self._mac(body, by_initiator=not self._is_initiator)):
            return None
        return PathMessage(message[0] == _ANSWER, body[1:])

    def _seal(self, kind: int, nonce: bytes) -> bytes:
        body = bytes((kind,)) + nonce
        return body + self._mac(body, by_initiator=self._is_initiator)

    def _mac(self, body: bytes, *, by_initiator: bool) -> bytes:
        """The sender's role is part of it: what was sent cannot be sent back."""
        return blake2b(body + bytes((by_initiator,)), digest_size=_MAC, key=self._key).digest()
