"""The two messages of the blind relay protocol (blind-relay.md section 2). Layouts only.

A decoder raises `DecodeError` and nothing else. Node: blind-relay index.js.
"""

from __future__ import annotations

from typing import Final, NamedTuple, Self

from holepunch.compact import Buffer, Reader, Writer
from holepunch.errors import DecodeError

__all__ = ["PAIR", "PROTOCOL", "TOKEN", "UNPAIR", "Pair", "Unpair"]

PROTOCOL: Final = "blind-relay"
"""The name of the channel; its id is the client's public key."""
PAIR: Final = 0
UNPAIR: Final = 1
TOKEN: Final = 32
"""Bytes of a token."""

_FLAGS = 0xFC
"""The largest value of the flags: one byte, whose only known bit is the first."""


def _flags(r: Reader) -> int:
    flags = r.byte()
    if flags > _FLAGS:
        raise DecodeError(f"flags are 0 to {_FLAGS}, got {flags}")
    return flags


class Pair(NamedTuple):
    """A peer's request, and the relay's answer to it."""

    is_initiator: bool
    token: bytes
    id: int
    """The UDX stream of whoever sends this."""
    seq: int = 0

    def encode(self) -> bytes:
        return Writer().uint(self.is_initiator).fixed(TOKEN, self.token).uint(self.id).uint(self.seq).to_bytes()

    @classmethod
    def decode(cls, data: Buffer) -> Self:
        r = Reader(data)
        message = cls(bool(_flags(r) & 1), r.fixed(TOKEN), r.uint(), r.uint())
        if message.id > 0xFFFFFFFF:
            raise DecodeError(f"stream id {message.id} is no 32-bit number")
        return message


class Unpair(NamedTuple):
    """A peer no longer wants to be paired."""

    token: bytes

    def encode(self) -> bytes:
        return Writer().uint(0).fixed(TOKEN, self.token).to_bytes()

    @classmethod
    def decode(cls, data: Buffer) -> Self:
        r = Reader(data)
        _flags(r)
        return cls(r.fixed(TOKEN))
