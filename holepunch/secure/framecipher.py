"""libsodium's secretstream (XChaCha20-Poly1305) over buffers of our own: one state per direction, one call per frame.

PyNaCl's public bindings cost one more copy and one more microsecond per message, half of what 100 bytes take, and keep
a buffer as large as the largest message while the state lives. So PyNaCl's compiled module is called directly, the way
the bindings do it; they are used where that module is not to be found.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Protocol

from nacl import bindings
from nacl.exceptions import RuntimeError as SodiumError

try:
    from nacl._sodium import ffi, lib
except ImportError:
    ffi = lib = None
else:
    _NULL = ffi.NULL
    _from_buffer = ffi.from_buffer
    _view = ffi.buffer

if TYPE_CHECKING:
    from holepunch.compact import Buffer

__all__ = [
    "HEADER_SEED",
    "LENGTH",
    "OVERHEAD",
    "TAG_CONTROL",
    "BoundCipher",
    "DirectCipher",
    "FrameCipher",
    "frame_cipher",
]

OVERHEAD = bindings.crypto_secretstream_xchacha20poly1305_ABYTES
"""What encryption adds to a message, 17 bytes: a tag byte in front, a MAC behind."""
HEADER_SEED = bindings.crypto_secretstream_xchacha20poly1305_HEADERBYTES
KEY = bindings.crypto_secretstream_xchacha20poly1305_KEYBYTES
LENGTH = 3
"""Bytes in front of every frame."""
TAG_MESSAGE = 0
TAG_CONTROL = bindings.crypto_secretstream_xchacha20poly1305_TAG_PUSH
"""Of frames between two peers of this implementation that are not the application's. libsodium gives it no effect."""
_U32 = struct.Struct("<I")


class FrameCipher(Protocol):
    """One direction. A sender only encrypts with it, a receiver only decrypts, both in the order of the stream."""

    @property
    def control(self) -> bool:
        """Whether the message decrypted last was tagged `TAG_CONTROL`."""

    def encrypt(self, data: Buffer, size: int, tag: int = TAG_MESSAGE) -> bytearray:
        """A frame: length in 3 bytes, little-endian, then ``data``, of ``size`` bytes, encrypted."""

    def decrypt(self, buffer: bytearray, start: int, end: int) -> bytes | None:
        """The message in ``buffer[start:end]``, at least `OVERHEAD` bytes; these bytes may be changed.

        ``None`` when it is forged; then neither the state nor the buffer changed.
        """


def frame_cipher(key: bytes, header: bytes) -> FrameCipher:
    """``key`` has 32 bytes, ``header`` 24 which the sender chose at random. Raises ``ValueError`` for other lengths."""
    if len(key) != KEY or len(header) != HEADER_SEED:
        raise ValueError(f"{KEY} and {HEADER_SEED} bytes are needed, got {len(key)} and {len(header)}")
    return BoundCipher(key, header) if lib is None else DirectCipher(key, header)


class DirectCipher:
    __slots__ = ("_pull", "_push", "_state", "_tag")

    def __init__(self, key: bytes, header: bytes) -> None:
        self._state = ffi.new("unsigned char[]", bindings.crypto_secretstream_xchacha20poly1305_STATEBYTES)
        self._tag = ffi.new("unsigned char[1]")
        self._push = lib.crypto_secretstream_xchacha20poly1305_push
        self._pull = lib.crypto_secretstream_xchacha20poly1305_pull
        # Senders too: init_push is the same, after it made a random header of its own.
        if lib.crypto_secretstream_xchacha20poly1305_init_pull(self._state, header, key) != 0:
            raise RuntimeError("libsodium did not accept the key")

    @property
    def control(self) -> bool:
        return bool(self._tag[0] == TAG_CONTROL)

    def encrypt(self, data: Buffer, size: int, tag: int = TAG_MESSAGE) -> bytearray:
        frame = bytearray(LENGTH + OVERHEAD + size)
        _U32.pack_into(frame, 0, size + OVERHEAD)  # its fourth byte is 0, and where the encrypted tag goes
        start = _from_buffer(frame)
        if self._push(self._state, start + LENGTH, _NULL, _from_buffer(data), size, _NULL, 0, tag) != 0:
            raise RuntimeError("libsodium did not encrypt")
        return frame

    def decrypt(self, buffer: bytearray, start: int, end: int) -> bytes | None:
        # In place, onto the ciphertext behind the tag byte: the MAC is checked before a byte is written.
        whole = _from_buffer(buffer)
        body = whole + start
        message = body + 1
        if self._pull(self._state, message, _NULL, self._tag, body, end - start, _NULL, 0) != 0:
            return None
        plaintext: bytes = _view(message, end - start - OVERHEAD)[:]
        return plaintext


class BoundCipher:
    __slots__ = ("_state", "control")

    def __init__(self, key: bytes, header: bytes) -> None:
        self.control = False
        self._state = bindings.crypto_secretstream_xchacha20poly1305_state()
        bindings.crypto_secretstream_xchacha20poly1305_init_pull(self._state, header, key)

    def encrypt(self, data: Buffer, size: int, tag: int = TAG_MESSAGE) -> bytearray:
        frame = bytearray((size + OVERHEAD).to_bytes(LENGTH, "little"))
        frame += bindings.crypto_secretstream_xchacha20poly1305_push(self._state, bytes(data), None, tag)
        return frame

    def decrypt(self, buffer: bytearray, start: int, end: int) -> bytes | None:
        try:
            sealed = bytes(buffer[start:end])
            message, tag = bindings.crypto_secretstream_xchacha20poly1305_pull(self._state, sealed, None)
        except SodiumError:
            return None
        self.control = tag == TAG_CONTROL
        return message
