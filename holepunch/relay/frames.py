"""The frames of Protomux: channel numbers, control messages, batches. Layouts only (protomux.md, sections 1 and 3).

A decoder raises `DecodeError` and nothing else. Node: protomux index.js.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from holepunch.compact import Reader, Writer
from holepunch.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from holepunch.compact import Buffer

__all__ = ["BATCH", "CLOSE", "CONTROL", "OPEN", "REJECT", "Item", "Open", "batch", "close", "items", "open_", "reject"]

CONTROL: Final = 0
"""The channel of control messages."""
BATCH: Final = 0
OPEN: Final = 1
REJECT: Final = 2
CLOSE: Final = 3


class Item(NamedTuple):
    """One message. Its channel number is the sender's; ``payload`` begins with the message type."""

    channel: int
    payload: bytes

    def encode(self) -> bytes:
        """As a frame of its own."""
        return Writer().uint(self.channel).raw(self.payload).to_bytes()


class Open(NamedTuple):
    """What a side says when it opens a channel. No id and an empty one are the same."""

    local_id: int
    protocol: str
    id: bytes
    handshake: bytes

    @classmethod
    def decode(cls, r: Reader) -> Open:
        return cls(r.uint(), r.string(), r.buffer(), r.rest())


def open_(message: Open) -> Item:
    w = Writer().uint(OPEN).uint(message.local_id).string(message.protocol).buffer(message.id).raw(message.handshake)
    return Item(CONTROL, w.to_bytes())


def reject(local_id: int) -> Item:
    """``local_id``: the number that the receiver of the reject gave the channel."""
    return Item(CONTROL, Writer().uint(REJECT).uint(local_id).to_bytes())


def close(local_id: int) -> Item:
    """``local_id``: the number that the sender of the close gave the channel."""
    return Item(CONTROL, Writer().uint(CLOSE).uint(local_id).to_bytes())


def batch(collected: Iterable[Item]) -> bytes:
    """One frame of several messages, in order."""
    w = Writer().uint(CONTROL).uint(BATCH)
    channel: int | None = None
    for item in collected:
        if item.channel != channel:
            if channel is not None:
                w.uint(0)
            channel = item.channel
            w.uint(channel)
        w.buffer(item.payload)
    return w.to_bytes()


def items(frame: Buffer) -> Iterator[Item]:
    """The messages of a frame, one after another, as they decode."""
    r = Reader(frame)
    channel = r.uint()
    start = r.position
    kind = r.uint()
    if channel != CONTROL or kind != BATCH:
        r.position = start
        yield Item(channel, r.rest())
        return
    channel = r.uint()
    while r.remaining:
        size = r.uint()
        if not size:
            channel = r.uint()
            continue
        # a length that runs over the end is cut there, as in Node
        payload = r.fixed(min(size, r.remaining))
        if channel == CONTROL and payload[:1] == b"\x00":
            # nobody nests batches, and following them would take as much stack as a stranger likes
            raise DecodeError("a batch inside a batch")
        yield Item(channel, payload)
