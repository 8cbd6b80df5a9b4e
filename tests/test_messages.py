"""Python objects over a connection: whatever the peer sends is an object, or the one documented error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import msgpack
import pytest
import trio
from hypothesis import example, given
from hypothesis import strategies as st

from swarm.messages import MessageChannel

if TYPE_CHECKING:
    from holepunch.stream import EncryptedStream


class Frame:
    """A stream that brings one frame."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.cause: BaseException | None = None

    async def receive_frame(self) -> bytes:
        await trio.lowlevel.checkpoint()
        return self.data

    def destroy(self, cause: BaseException) -> None:
        self.cause = cause


def channel_of(frame: Frame) -> MessageChannel:
    return MessageChannel(cast("EncryptedStream", frame))


LEAVES = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text() | st.binary()
)
OBJECTS = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(0, 9), inner))


def broken(value: Any, at: int, byte: int) -> bytes:
    data = bytearray(msgpack.packb(value, use_bin_type=True))
    data[at % len(data)] = byte
    return bytes(data)


@given(data=st.binary(max_size=64) | st.builds(broken, OBJECTS, st.integers(0, 100), st.integers(0, 255)))
@example(data=b"\x81\x91\x01\x02")  # a list as the key of a map
@example(data=b"\x81\x81\x01\x02\x03")  # a map as the key of a map
@example(data=b"\x91" * 2000 + b"\x01")
@example(data=b"\xdd\xff\xff\xff\xff")
@example(data=b"\xa1\xff")
async def test_bytes_of_a_peer_give_an_object_or_break_the_channel(data: bytes) -> None:
    frame, error = Frame(data), None
    try:
        await channel_of(frame).receive()
    except trio.BrokenResourceError as raised:
        error = raised
    assert error is None or "no msgpack message" in str(error)
    assert frame.cause is (None if error is None else error.__cause__)


@given(value=OBJECTS)
async def test_what_is_packed_is_what_arrives(value: Any) -> None:
    assert await channel_of(Frame(msgpack.packb(value, use_bin_type=True))).receive() == value


async def test_message_of_more_than_a_mebibyte_breaks_the_channel() -> None:
    frame = Frame(bytes((1 << 20) + 1))
    with pytest.raises(trio.BrokenResourceError, match="1048577 bytes"):
        await channel_of(frame).receive()
    assert frame.cause is not None
