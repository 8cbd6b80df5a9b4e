"""The trio stream of one connection: a secret stream over a UDX stream. A thin shell: both are pure cores.

It owns no task and no timer. It knows no DHT and no topic.
"""

from __future__ import annotations

from operator import index
from typing import TYPE_CHECKING, NoReturn

import trio

from holepunch.channel import CHUNK, SecureChannel

if TYPE_CHECKING:
    from holepunch.compact import Buffer

__all__ = ["EncryptedStream"]

SMALL = CHUNK // 4
"""Bytes of a write that `send_all` may put into one frame with others."""
MAX_FRAME = 0xFFFFFF - 17
"""Bytes of the largest frame: a 24-bit length, less tag byte and MAC."""
MAX_DATAGRAM = 1152 - 24
"""Bytes of the largest unordered message: what fits a packet at base MTU, less counter and MAC."""
CLOSE_TIMEOUT = 15.0
"""Seconds for a closed stream to have its end acknowledged; UDX itself gives up after 13."""


class EncryptedStream(SecureChannel, trio.abc.HalfCloseableStream):
    """An encrypted, reliable, ordered byte stream to one public key. Frames and unordered messages ride along.

    Every method raises ``trio.ClosedResourceError`` once this side closed the stream, ``trio.BrokenResourceError`` when
    the peer or the network ended it out of order, and ``trio.BusyResourceError`` when a second task sends, or receives,
    at the same time. What arrived in order before a break can still be received.
    """

    # -- sending -----------------------------------------------------------------------------------------------------

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes; frames of at most 64 KiB carry them. Returns when they are queued within the send window.

        A full checkpoint is executed once for every 256 KiB sent while the window is open, and whenever it is not;
        otherwise only pending cancellation is looked at. Cancelled: an unknown part was sent, whole frames only.
        """
        if isinstance(data, memoryview):
            data = _contiguous(data)
        with self._sending:
            await self._before_sending()
            size = len(data) if isinstance(data, bytes) else memoryview(data).nbytes
            if size > SMALL:
                view = memoryview(data).cast("B")
                for start in range(0, size, CHUNK):
                    await self._write_frame(view[start : start + CHUNK])
                return
            core = self._raw.core
            if core.writable <= 0:
                await self._wait_writable()
            if size and core.idle and not self._unsealed:
                self._write_at_once(data)
            elif size:
                self._join(data)
            self._since_yield += size
            if self._since_yield >= self._yield_after:
                await self._yield()

    def _write_at_once(self, data: Buffer) -> None:
        endpoint = self._endpoint
        self._raw.core.write(self._secret.encrypt(data))
        self._alive.wrote_at = endpoint.schedule.now
        endpoint.touch(self._raw)

    def _join(self, data: Buffer) -> None:
        """Something is under way, so this one may wait for others, until the running task yields: a frame for all of
        them costs little more than one for each."""
        self._unsealed += data
        if len(self._unsealed) > CHUNK - SMALL:
            self._seal()
        self._alive.wrote_at = self._endpoint.schedule.now
        self._endpoint.touch_soon(self._raw, self._seal)

    async def send_frame(self, data: bytes | bytearray | memoryview) -> None:
        """Send one message whose borders the peer sees: one ``write`` of a Node peer. Cancelled: all of it or nothing.

        Raises ``ValueError`` for more than 16,777,198 bytes, and for none: an empty frame is a keep-alive on the wire.
        """
        if isinstance(data, memoryview):
            data = _contiguous(data)
        size = memoryview(data).nbytes
        if not 0 < size <= MAX_FRAME:
            raise ValueError(f"a frame has 1 to {MAX_FRAME} bytes, got {size}")
        with self._sending:
            await self._before_sending()
            await self._write_frame(data)

    async def wait_send_all_might_not_block(self) -> None:
        """Wait for room in the send window. Cancelled: nothing changes."""
        with self._sending:
            await self._before_sending()
            await trio.lowlevel.checkpoint()
            await self._wait_writable()

    async def send_eof(self) -> None:
        """End the own direction; the other one stays usable. Sending after it raises ``trio.ClosedResourceError``.

        Cancelled: nothing was done.
        """
        with self._sending:
            await trio.lowlevel.checkpoint()
            if self._closed_here:
                raise trio.ClosedResourceError("this side closed the stream")
            if self._eof_sent:
                return
            self._raise_if_broken()
            self._end()

    async def send_datagram(self, data: bytes | bytearray | memoryview) -> None:
        """Send an unordered message: one encrypted packet that may be lost, or overtake others.

        Raises ``ValueError`` above 1128 bytes. Cancelled: nothing is sent.
        """
        size = memoryview(data).nbytes
        if size > MAX_DATAGRAM:
            raise ValueError(f"a datagram has at most {MAX_DATAGRAM} bytes, got {size}")
        await trio.lowlevel.checkpoint()
        if self._closed_here:
            raise trio.ClosedResourceError("this side closed the stream")
        self._raise_if_broken()
        self._raw.core.send_message(self._secret.seal(data))
        self._endpoint.touch(self._raw)

    async def _before_sending(self) -> None:
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._closed_here or self._eof_sent:
            raise trio.ClosedResourceError("this side ended sending")
        self._raise_if_broken()

    async def _write_frame(self, data: Buffer) -> None:
        core = self._raw.core
        if core.writable <= 0:
            await self._wait_writable()
        idle = core.idle
        self._seal()
        core.write(self._secret.encrypt(data))
        self._alive.wrote_at = self._endpoint.schedule.now
        # at once when nothing is under way, for the round trip, or when the queue is full; else with what follows:
        # the fewer times it is cut into packets, the fewer short batches
        if idle or core.writable <= 0:
            self._endpoint.touch(self._raw)
        else:
            self._endpoint.touch_soon(self._raw, self._seal)
        self._since_yield += len(data)
        if self._since_yield >= self._yield_after:
            await self._yield()

    async def _wait_writable(self) -> None:
        while self._raw.core.writable <= 0:
            await self._sending.wait()
            if self._closed_here:
                raise trio.ClosedResourceError("this side closed the stream")
            self._raise_if_broken()

    async def _yield(self) -> None:
        self._since_yield = 0
        await trio.lowlevel.checkpoint()

    def limit_frames(self, size: int) -> None:
        """Take no frame above ``size`` bytes from the peer: it would be kept until it is whole."""
        self._secret.frame_limit = size

    # -- receiving ---------------------------------------------------------------------------------------------------

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Bytes as they come, at most ``max_bytes``; ``b""`` is the end of the stream and nothing else.

        Raises ``ValueError`` for ``max_bytes`` below 1. Cancelled: nothing is lost.
        """
        if max_bytes is not None and index(max_bytes) < 1:
            raise ValueError(f"max_bytes is at least 1, got {max_bytes}")
        with self._receiving:
            frame = await self._receive()
            if frame is None:
                return b""
            if max_bytes is not None:
                if len(frame) > max_bytes:
                    frame, self._rest = frame[:max_bytes], frame[max_bytes:]
                return frame
            return self._join_small(frame)

    async def receive_frame(self) -> bytes | None:
        """The next frame with its borders, or what a `receive_some` left of one; None at the end of the stream.

        Cancelled: nothing is lost.
        """
        with self._receiving:
            return await self._receive()

    async def receive_datagram(self) -> bytes:
        """The next unordered message. A peer that sends faster than they are taken loses the oldest.

        Raises ``trio.BrokenResourceError`` once the peer has ended its direction. Cancelled: nothing is lost.
        """
        with self._datagrams:
            await trio.lowlevel.checkpoint()
            while True:
                if self._closed_here:
                    raise trio.ClosedResourceError("this side closed the stream")
                while self._raw.core.messages:
                    message = self._secret.open(self._raw.core.messages.popleft())
                    if message is not None:
                        return message
                self._raise_if_broken()
                if self._raw.core.ended:
                    raise trio.BrokenResourceError("the peer ended the stream")
                await self._datagrams.wait()

    async def _receive(self) -> bytes | None:
        if self._closed_here:
            await trio.lowlevel.checkpoint()
            raise trio.ClosedResourceError("this side closed the stream")
        waited = False
        while True:
            ready = self._rest or self._next_frame()
            if ready:
                if not waited:
                    self._rest = ready
                    await trio.lowlevel.checkpoint()
                self._rest = b""
                return ready
            if self._raw.core.ended:
                if not waited:
                    await trio.lowlevel.checkpoint()
                return None
            if not waited:
                await trio.lowlevel.checkpoint_if_cancelled()
            self._raise_if_broken()
            await self._receiving.wait()
            waited = True
            if self._closed_here:
                raise trio.ClosedResourceError("this side closed the stream")

    def _join_small(self, first: bytes) -> bytes:
        """One wake-up takes all that is there, up to `CHUNK`."""
        if self._nothing_there:
            return first
        size = len(first)
        parts = [first]
        while size < CHUNK:
            frame = self._next_frame()
            if frame is None:
                break
            if size + len(frame) > CHUNK:
                self._rest = frame
                break
            parts.append(frame)
            size += len(frame)
        return first if len(parts) == 1 else b"".join(parts)

    # -- its end --------------------------------------------------------------------------------------------------

    async def aclose(self) -> None:
        """Close both directions. What was sent is still delivered, in the background; what the peer sends is refused.

        Never fails; closing again does nothing. Cancelled: the stream is destroyed at once, and the peer told so.
        """
        self._close()
        try:
            await trio.lowlevel.checkpoint()
        except trio.Cancelled:
            self.destroy()
            raise

    def _close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._timer.cancel()
        core = self._raw.core
        if not core.closed:
            core.close_read()
            self._timer = self._endpoint.schedule.after(CLOSE_TIMEOUT, self.destroy)
            self._end()
        self._wake()
        self._tell_closed()

    def _end(self) -> None:
        if not self._eof_sent:
            self._eof_sent = True
            self._seal()
            self._raw.core.write_end()
            self._raw.ending = True
        self._endpoint.touch(self._raw)

    @property
    def _closed_here(self) -> bool:
        """Whether this side closed it, or the block that it belonged to was left: then nothing of it is left either."""
        return self._closed or self._endpoint.over

    def _raise_if_broken(self) -> None:
        if self._cause is not None or self._raw.core.closed:
            self._raise_broken()

    def _raise_broken(self) -> NoReturn:
        cause = self.cause
        raise trio.BrokenResourceError(str(cause) if cause is not None else "the stream is over") from cause


def _contiguous(data: memoryview) -> bytes | memoryview:
    """What libsodium can read: a view with gaps is copied."""
    return data if data.c_contiguous else data.tobytes()
