"""Two sides of a secret stream, and what goes between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holepunch.keys import KeyPair
from holepunch.secure import SecretStream, Session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holepunch.compact import Buffer


def sessions() -> tuple[Session, Session]:
    keys = KeyPair.from_seed(bytes(32)).public_key
    a, b = bytes([1]) * 32, bytes([2]) * 32
    return Session(a, b, bytes(64), keys, True), Session(b, a, bytes(64), keys, False)


def both() -> tuple[SecretStream, SecretStream]:
    """Two sides that have not seen each other's header."""
    mine, theirs = sessions()
    return SecretStream(mine, b"a" * 24, bytes(8)), SecretStream(theirs, b"b" * 24, bytes(8))


def opened() -> tuple[SecretStream, SecretStream]:
    sender, receiver = both()
    receiver.feed([sender.header()])
    sender.feed([receiver.header()])
    assert sender.next_frame() is receiver.next_frame() is None
    return sender, receiver


def wire(stream: SecretStream, *messages: bytes) -> bytes:
    return b"".join(b"".join(stream.encrypt(m)) for m in messages)


def frames(stream: SecretStream) -> list[bytes]:
    found = []
    while (frame := stream.next_frame()) is not None:
        found.append(frame)
    return found


def cut(data: bytes, sizes: Sequence[int]) -> list[Buffer]:
    chunks: list[Buffer] = []
    start = 0
    for size in sizes:
        chunks.append(data[start : start + size])
        start += size
    return [*chunks, data[start:]]
