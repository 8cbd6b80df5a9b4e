"""Round-trip tokens: proof that a requester receives at the host it sends from. Stateless for strangers.

Protocol: dht-rpc section 4. Reference: dht-rpc lib/io.js (``token``, ``_drain``).
"""

from __future__ import annotations

import hashlib
from hmac import compare_digest
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from holepunch.core import Random

__all__ = ["ROTATION", "Tokens"]

ROTATION = 7.5
"""Seconds between rotations (10 rounds of the reference's 750 ms timer): a token lives between one and two of them."""


class Tokens:
    """Two secrets, made when first needed. Rotation is caught up with when asked: an idle node needs no timer."""

    __slots__ = ("_rng", "_rotates_at", "_secrets")

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._secrets: tuple[bytes, bytes] | None = None
        self._rotates_at = 0.0

    def issue(self, host: str, now: float) -> bytes:
        """The token that ``host`` may bring back within `ROTATION` seconds, and no longer than twice that."""
        return _token(self._current(now)[1], host)

    def valid(self, token: bytes, host: str, now: float) -> bool:
        previous, current = self._current(now)
        return compare_digest(token, _token(current, host)) or compare_digest(token, _token(previous, host))

    def _current(self, now: float) -> tuple[bytes, bytes]:
        secrets = self._secrets
        if secrets is None or now >= self._rotates_at + ROTATION:
            # nothing issued so far is valid any longer, so there is no chain to follow
            secrets = self._rng.randbytes(32), self._rng.randbytes(32)
            self._rotates_at = now + ROTATION
        elif now >= self._rotates_at:
            secrets = rotate(secrets)
            self._rotates_at += ROTATION
        self._secrets = secrets
        return secrets


def rotate(secrets: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
    """(previous, current) of the next period."""
    previous, current = secrets
    return current, hashlib.blake2b(previous, digest_size=32).digest()


def _token(secret: bytes, host: str) -> bytes:
    return hashlib.blake2b(host.encode("ascii"), digest_size=32, key=secret).digest()
