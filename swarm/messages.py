"""Python objects over a connection: msgpack, one object a frame. Not for the DHT's wire."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgpack
import trio

if TYPE_CHECKING:
    from holepunch.stream import EncryptedStream

__all__ = ["MessageChannel"]

MAX_MESSAGE = 1 << 20
"""Bytes of a packed object. msgpack's own limits follow from it."""


class MessageChannel(trio.abc.Channel[Any]):
    """A channel of what msgpack can carry: None, bool, int, float, str, bytes, lists and dicts of these.

    Tuples arrive as lists. Raises what the stream raises, and ``trio.EndOfChannel`` at the peer's end.
    """

    def __init__(self, stream: EncryptedStream) -> None:
        self._stream = stream

    async def send(self, value: Any) -> None:
        """Send one object. Cancelled: all of it or nothing.

        Raises ``TypeError`` for what msgpack cannot carry, ``ValueError`` for what is above 1 MiB when packed.
        """
        try:
            data = msgpack.packb(value, use_bin_type=True)
        except OverflowError as error:
            raise ValueError(f"msgpack cannot carry {value!r}: {error}") from error
        if len(data) > MAX_MESSAGE:
            raise ValueError(f"a message has at most {MAX_MESSAGE} bytes when packed, got {len(data)}")
        await self._stream.send_frame(data)

    async def receive(self) -> Any:
        """The next object. Cancelled: nothing is lost.

        Raises ``trio.EndOfChannel`` at the peer's end, and ``trio.BrokenResourceError`` when it sent anything else.
        """
        frame = await self._stream.receive_frame()
        if frame is None:
            raise trio.EndOfChannel
        if len(frame) > MAX_MESSAGE:
            raise self._broken(ValueError(f"a message of {len(frame)} bytes, at most {MAX_MESSAGE} are accepted"))
        try:
            return msgpack.unpackb(frame, raw=False, strict_map_key=False)
        except (ValueError, TypeError, msgpack.UnpackException, RecursionError) as error:  # TypeError: a list as a key
            raise self._broken(error) from error

    def _broken(self, error: Exception) -> trio.BrokenResourceError:
        self._stream.destroy(error)
        broken = trio.BrokenResourceError(f"the peer sent what is no msgpack message: {error}")
        broken.__cause__ = error
        return broken

    async def aclose(self) -> None:
        """Close the connection, as its own `aclose` does. Cancelled: it is destroyed at once."""
        await self._stream.aclose()
