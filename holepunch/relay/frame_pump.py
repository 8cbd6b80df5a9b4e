"""Carries the frames of one `Protomux` over one encrypted stream. A trio shell; it reads no message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from holepunch.relay.protomux import Protomux

if TYPE_CHECKING:
    from collections.abc import Callable

    from holepunch.stream import EncryptedStream

__all__ = ["FramePump"]


MAX_FRAME: Final = 65536
"""Bytes of one frame, of which a message takes less than 100."""
MAX_WAITING: Final = 1024
"""Frames that wait for a peer which does not read."""


class FramePump:
    """A mux and its stream. `run` it in a task."""

    def __init__(self, stream: EncryptedStream) -> None:
        self.mux = Protomux()
        self.mux.on_outgoing = self._wake
        self._stream = stream
        stream.limit_frames(MAX_FRAME)
        self._news = trio.Event()
        self._ending = False

    def _wake(self) -> None:
        if len(self.mux.outgoing) > MAX_WAITING:
            self._stream.destroy(BufferError("the peer does not read"))
        self._news.set()

    def end(self) -> None:
        """Send what is there, then end the stream in order: `run` returns."""
        self._ending = True
        self._news.set()

    async def run(self, on_end: Callable[[bool], None] | None = None) -> bool:
        """Until the stream is over, and closed. True when it ended in order, whoever ended it; ``on_end`` is told that
        before the channels are closed."""
        in_order = False
        try:
            async with self._stream, trio.open_nursery() as nursery:
                nursery.start_soon(self._send)
                in_order = await self._receive()
                nursery.cancel_scope.cancel()
        finally:
            in_order = in_order or self._ending
            if on_end is not None:
                on_end(in_order)
            self.mux.close()
        return in_order

    async def _receive(self) -> bool:
        mux = self.mux
        while True:
            try:
                frame = await self._stream.receive_frame()
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return False
            if frame is None:
                return True
            mux.receive(frame)
            if mux.failed is not None or mux.paused:
                self._stream.destroy(mux.failed or BufferError("too much waits for channels that are not open"))
                return False

    async def _send(self) -> None:
        mux = self.mux
        try:
            while not self._ending or mux.outgoing:
                outgoing, mux.outgoing = mux.outgoing, []
                for frame in outgoing:
                    await self._stream.send_frame(frame)
                if not mux.outgoing and not self._ending:
                    self._news = trio.Event()
                    await self._news.wait()
            await self._stream.aclose()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return
