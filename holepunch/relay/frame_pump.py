"""Carries the frames of one `Protomux` over one encrypted stream. A trio shell; it reads no message."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from holepunch.relay.protomux import Protomux

if TYPE_CHECKING:
    from holepunch.stream import EncryptedStream

__all__ = ["FramePump"]


class FramePump:
    """`run` in a task; call `wake` after the mux was told to send something from elsewhere."""

    def __init__(self, stream: EncryptedStream) -> None:
        self.mux = Protomux()
        self._stream = stream
        self._news = trio.Event()
        self._ending = False

    def wake(self) -> None:
        self._news.set()

    def end(self) -> None:
        """Send what is there, then end the stream in order: `run` returns."""
        self._ending = True
        self._news.set()

    async def run(self) -> bool:
        """Until the stream is over, and closed. True when it ended in order, whoever ended it."""
        in_order = False
        try:
            async with self._stream, trio.open_nursery() as nursery:
                nursery.start_soon(self._send)
                in_order = await self._receive()
                nursery.cancel_scope.cancel()
        finally:
            self.mux.close()
        return in_order or self._ending

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
            if mux.outgoing:
                self._news.set()

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
