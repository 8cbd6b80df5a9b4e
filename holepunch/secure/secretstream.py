"""The encrypted stream of one connection, once its handshake is done: frames in order, and messages without order.

Pure: fed with what arrived, gives what to send. It has no timer: when a keep-alive is due is the caller's business, and
how much unread data it is fed the window of the transport below. Node: @hyperswarm/secret-stream 6.9, index.js.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from nacl import bindings
from nacl.exceptions import CryptoError

from holepunch.errors import DecodeError
from holepunch.keys import hash32
from holepunch.secure.framecipher import HEADER_SEED, LENGTH, OVERHEAD, TAG_CONTROL, FrameCipher, frame_cipher

if TYPE_CHECKING:
    from collections.abc import Iterable

    from holepunch.compact import Buffer
    from holepunch.secure.noise import Session

__all__ = ["DATAGRAM_OVERHEAD", "EMPTY_FRAME", "MAX_FRAME", "SecretStream", "stream_id"]

MAX_FRAME = 0xFFFFFF - OVERHEAD
"""Bytes of the largest message: its encrypted form has a 24-bit length."""
DATAGRAM_OVERHEAD = 8 + bindings.crypto_secretbox_MACBYTES
"""What `SecretStream.seal` adds: a counter of 8 bytes, and a MAC."""

EMPTY_FRAME = LENGTH + OVERHEAD
"""Bytes of a frame without content, which is a keep-alive, on the wire. No other frame is as short."""
MAX_CONTROLS = 256
"""Control frames that are decrypted before one of them is taken. They are rare, a flood of them is an attack."""

HEADER = 32 + HEADER_SEED
COUNTERS = 1 << 64

_NAMESPACE = hash32(b"hyperswarm/secret-stream")
_INITIATOR = hash32(_NAMESPACE, b"\x00")
_RESPONDER = hash32(_NAMESPACE, b"\x01")
_SEND = hash32(_NAMESPACE, b"\x02")


def stream_id(handshake_hash: bytes, initiator: bool) -> bytes:
    """The 32 bytes by which the initiator, or the responder, shows that it finished this very handshake."""
    return hashlib.blake2b(_role(initiator), key=handshake_hash, digest_size=32).digest()


def _send_key(handshake_hash: bytes, initiator: bool) -> bytes:
    return hashlib.blake2b(_role(initiator) + _SEND, key=handshake_hash, digest_size=32).digest()


def _role(initiator: bool) -> bytes:
    return _INITIATOR if initiator else _RESPONDER


class SecretStream:
    """One side of the stream. `header` is sent first; what the peer sends goes to `feed`, and leaves by `next_frame`.

    ``header_seed`` is 24 random bytes, ``counter`` 8.
    """

    __slots__ = (
        "_counter",
        "_data",
        "_first_counter",
        "_header",
        "_missing",
        "_offset",
        "_open_key",
        "_receiver",
        "_seal_key",
        "_sender",
        "_session",
        "control_bytes_received",
        "control_bytes_sent",
        "controls",
        "frame_limit",
        "frames_received",
        "frames_sent",
        "message_bytes_received",
        "message_bytes_sent",
    )

    def __init__(self, session: Session, header_seed: bytes, counter: bytes) -> None:
        if len(counter) != 8:
            raise ValueError(f"a counter of 8 bytes is needed, got {len(counter)}")
        self._session = session
        self._header = HEADER.to_bytes(LENGTH, "little") + stream_id(session.hash, session.initiator) + header_seed
        self._sender = frame_cipher(session.tx, header_seed)
        self._receiver: FrameCipher | None = None
        self._seal_key = _send_key(session.hash, session.initiator)
        self._open_key = _send_key(session.hash, not session.initiator)
        self._counter = self._first_counter = int.from_bytes(counter, "little")
        # What arrived, from `_offset` on not yet taken. Empty, and owning no memory, whenever all was taken.
        self._data = bytearray()
        self._offset = 0
        self._missing = 0
        self.controls: list[bytes] | None = None
        """Control frames that arrived and were not taken yet. ``None`` unless the peer is known to tell them from
        messages, as no Node peer does; then a tag means nothing, as in Node."""
        self.control_bytes_sent = 0
        """Encrypted bytes of control frames. They are no messages, whoever counts these."""
        self.control_bytes_received = 0
        self.frame_limit = (1 << 8 * LENGTH) - 1
        """Bytes of the largest frame that is taken, encrypted; a larger one breaks the protocol."""
        self.frames_sent = 0
        """Application messages, keep-alives not counted."""
        self.frames_received = 0
        self.message_bytes_sent = 0
        """Bytes of every frame but the header, keep-alives too. Once both ways carried some, a second connection from
        the same peer replaces this one (hyperswarm index.js, _handleServerConnection)."""
        self.message_bytes_received = 0

    @property
    def opened(self) -> bool:
        """Whether the peer's header was verified: it finished this very handshake, and this is no replay of it."""
        return self._receiver is not None

    def header(self) -> bytes:
        """The frame that is sent before all others, 59 bytes."""
        return self._header

    def encrypt(self, data: Buffer) -> list[Buffer]:
        """A message as the bytes to send, in new buffers. An empty message is a keep-alive: the peer drops it.

        Raises ``ValueError`` above `MAX_FRAME` bytes: a message is never split, its borders are the application's.
        """
        size = data.nbytes if isinstance(data, memoryview) else len(data)
        if size > MAX_FRAME:
            raise ValueError(f"a message has at most {MAX_FRAME} bytes, got {size}")
        frame = self._sender.encrypt(data, size)
        if size:
            self.frames_sent += 1
        self.message_bytes_sent += len(frame)
        return [frame]

    def encrypt_control(self, data: Buffer) -> list[Buffer]:
        """Likewise, for what is not the application's. Only for a peer that tells such frames from messages."""
        frame = self._sender.encrypt(data, len(data), TAG_CONTROL)
        self.control_bytes_sent += len(frame)
        return [frame]

    @property
    def buffered(self) -> int:
        """Bytes that were fed and not taken yet."""
        return len(self._data) - self._offset

    def keep_alive(self) -> bytes:
        """An empty message, 20 bytes to send."""
        return b"".join(self.encrypt(b""))

    @property
    def missing(self) -> int:
        """Bytes until the frame that was begun is complete; 0 while none is, or its length is not known. Who feeds
        that many, and no more, leaves nothing over that would be moved with the next ones."""
        return self._missing

    def feed(self, chunks: Iterable[Buffer]) -> None:
        """What the transport delivered, cut anywhere. The chunks are copied."""
        if self._offset == len(self._data):
            self._data = bytearray().join(chunks)
            self._offset = 0
            return
        if self._offset:
            # A bytearray gives up bytes at its front without moving the rest.
            del self._data[: self._offset]
            self._offset = 0
        for chunk in chunks:
            self._data += chunk

    def next_frame(self) -> bytes | None:
        """The next message, never empty, or ``None`` when it is not complete yet.

        Raises `DecodeError` when the peer breaks the protocol. The stream must be destroyed then; it stays where it is.
        """
        data = self._data
        available = len(data)
        self._missing = 0
        while available >= self._offset + LENGTH:
            at = self._offset
            size = data[at] | data[at + 1] << 8 | data[at + 2] << 16
            start = at + LENGTH
            end = start + size
            if self._receiver is None:
                # Refused by its length, as frames are below, before the rest of it is waited for.
                if size != HEADER:
                    raise DecodeError(f"a header of {size} bytes, {HEADER} expected")
                if available < end:
                    self._missing = end - available
                    return None
                self._open(bytes(data[start:end]))
                self._offset = end
                continue
            if size > self.frame_limit:
                raise DecodeError(f"a frame of {size} bytes, at most {self.frame_limit} expected")
            if size < OVERHEAD:
                raise DecodeError(f"a frame of {size} bytes, at least {OVERHEAD} expected")
            if available < end:
                self._missing = end - available
                return None
            message = self._receiver.decrypt(data, start, end)
            if message is None:
                raise DecodeError("a frame does not decrypt")
            self._offset = end
            if self.controls is not None and self._receiver.control:
                self.control_bytes_received += LENGTH + size
                if len(self.controls) >= MAX_CONTROLS:
                    raise DecodeError(f"{MAX_CONTROLS} control frames in a row")
                self.controls.append(message)
                continue
            self.message_bytes_received += LENGTH + size
            if message:
                self.frames_received += 1
                return message
        if self._offset == available:
            self._data = bytearray()
            self._offset = 0
        return None

    def _open(self, header: bytes) -> None:
        if header[:32] != stream_id(self._session.hash, not self._session.initiator):
            raise DecodeError("the peer's header belongs to another handshake")
        self._receiver = frame_cipher(self._session.rx, header[32:])

    def seal(self, data: Buffer) -> bytes:
        """An unordered message, encrypted: `DATAGRAM_OVERHEAD` bytes longer. It does not wait for the headers.

        Raises ``OverflowError`` when all 2^64 counters are used up.
        """
        counter = (self._counter + 1) % COUNTERS
        if counter == self._first_counter:
            raise OverflowError("all counters for unordered messages are used up")
        self._counter = counter
        prefix = counter.to_bytes(8, "little")
        return prefix + bindings.crypto_secretbox(bytes(data), prefix + bytes(16), self._seal_key)

    def open(self, datagram: Buffer) -> bytes | None:
        """The unordered message in a datagram; ``None`` for a forged one. Repeated and late ones are not noticed."""
        if len(datagram) < DATAGRAM_OVERHEAD:
            return None
        sealed = bytes(datagram)
        try:
            return bindings.crypto_secretbox_open(sealed[8:], sealed[:8] + bytes(16), self._open_key)
        except CryptoError:
            return None
