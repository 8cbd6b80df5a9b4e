"""Taking datagrams out of a socket, a bounded batch at a time, by the best means the system has.

One set of buffers serves all sockets of a network: a drain and its dispatch are synchronous, so that sockets own none.
Sources: recvmmsg(2), udp(7) of Linux for UDP_GRO.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import socket
import struct
import sys
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol

from holepunch.address import Address
from holepunch.udp import Received
from holepunch.udp.libc import load
from holepunch.udp.runs import joined

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holepunch.udp.libc import Libc

__all__ = ["BATCH", "ReceiveTier", "Receiver", "enable_coalescing", "open_receiver"]

BATCH = 64
"""Messages of one drain. Coalesced ones are up to 64 KB each: 4 MB for one pass over what they carry."""
_SLOT = 65536
_SOURCES = 4096
"""Address objects kept for reuse. The table is emptied when it is full: the peers of the moment are back at once."""

_SOL_UDP = 17
_UDP_GRO = 104
_INT = struct.Struct("=i")


class ReceiveTier(Enum):
    """How datagrams are taken from the system, best first."""

    MMSG = "recvmmsg, coalesced"
    GRO = "recvmsg, coalesced"
    SINGLE = "recvfrom"


class Receiver(Protocol):
    tier: ReceiveTier

    def receive(self, sock: socket.socket) -> list[Received]:
        """One drain of at most `BATCH` messages. The views are valid until the next drain of this receiver."""


def open_receiver(sock: socket.socket, tier: ReceiveTier | None = None) -> Receiver:
    """The best receiver that works on ``sock``, or one no better than ``tier``."""
    if tier in (None, ReceiveTier.MMSG):
        libc = load()
        if libc is not None and (receiver := _MmsgReceiver(libc)).works(sock):
            return receiver
    if tier is not ReceiveTier.SINGLE and hasattr(sock, "recvmsg_into"):
        return _GroReceiver()
    return _SingleReceiver()


def enable_coalescing(sock: socket.socket, tier: ReceiveTier) -> None:
    """Have the kernel hand over runs of datagrams in one piece, where it can and ``tier`` can tell them apart."""
    if sys.platform == "linux" and tier is not ReceiveTier.SINGLE:
        with contextlib.suppress(OSError):  # before Linux 5.0
            sock.setsockopt(_SOL_UDP, _UDP_GRO, 1)


def _slots() -> tuple[mmap.mmap, list[memoryview]]:
    # Anonymous memory: pages that no datagram touched cost nothing.
    memory = mmap.mmap(-1, BATCH * _SLOT)
    view = memoryview(memory)
    return memory, [view[i : i + _SLOT] for i in range(0, BATCH * _SLOT, _SLOT)]


class _MmsgReceiver:
    """`recvmmsg` into one array of message headers, which is reset by one copy and read through casts."""

    __slots__ = (
        "_array",
        "_control_lengths",
        "_ffi",
        "_headers",
        "_keep",
        "_lengths",
        "_names",
        "_pristine",
        "_recvmmsg",
        "_segments",
        "_slots",
        "_sources",
        "tier",
    )

    _CONTROL = 32
    """Bytes for the control messages of one message; UDP_GRO takes 24."""

    def __init__(self, libc: Libc) -> None:
        ffi = self._ffi = libc.ffi
        self.tier = ReceiveTier.MMSG
        self._recvmmsg = libc.functions.recvmmsg
        memory, self._slots = _slots()
        names = bytearray(16 * BATCH)
        controls = bytearray(self._CONTROL * BATCH)
        array = self._array = ffi.new("struct mmsghdr[]", BATCH)
        buffers = ffi.new("struct iovec[]", BATCH)
        base, name, control = ffi.from_buffer(memory), ffi.from_buffer(names), ffi.from_buffer(controls)
        self._keep: tuple[Any, ...] = (buffers, base, name, control)
        for i in range(BATCH):
            buffers[i].base, buffers[i].length = base + i * _SLOT, _SLOT
            header = array[i].header
            header.name, header.name_length = name + 16 * i, 16
            header.buffers, header.buffer_count = buffers + i, 1
            header.control, header.control_length = control + self._CONTROL * i, self._CONTROL
        self._headers = memoryview(ffi.buffer(array)).cast("B")
        self._pristine = bytes(self._headers)
        # One field of every message each, as a strided view.
        words, longs = self._headers.cast("I"), self._headers.cast("L")
        self._lengths = words[ffi.offsetof("struct mmsghdr", "length") // 4 :: len(words) // BATCH]
        control_length = ffi.offsetof("struct msghdr", "control_length") // longs.itemsize
        self._control_lengths = longs[control_length :: len(longs) // BATCH]
        # Of a control message: size_t length, int level, int type, and then the value.
        self._segments = memoryview(controls).cast("i")[(longs.itemsize + 8) // 4 :: self._CONTROL // 4]
        # Family, port and host of a sockaddr_in are its first 8 of 16 bytes.
        self._names = memoryview(names).cast("Q")[::2]
        self._sources: dict[int, Address] = {}

    def works(self, sock: socket.socket) -> bool:
        """False where the call is there but refused, as sandboxes do."""
        return self._call(sock) >= 0 or self._ffi.errno == errno.EAGAIN

    def _call(self, sock: socket.socket) -> int:
        count: int = self._recvmmsg(sock.fileno(), self._array, BATCH, socket.MSG_DONTWAIT, self._ffi.NULL)
        return count

    def receive(self, sock: socket.socket) -> list[Received]:
        self._headers[:] = self._pristine
        count = self._call(sock)
        if count < 0:
            count = self._after_error(sock)
        lengths, names = self._lengths[:count].tolist(), self._names[:count].tolist()
        segments, controls = lengths, self._control_lengths[:count].tolist()
        if any(controls):
            coalesced = self._segments[:count].tolist()
            segments = [coalesced[i] if controls[i] else lengths[i] for i in range(count)]
        return [
            Received(view, segment, self._source(name))
            for view, segment, name in joined(self._slots, lengths, segments, names)
        ]

    def _after_error(self, sock: socket.socket) -> int:
        """Nothing there, or the call brought back the error of an earlier send: such are taken off one by one."""
        for _ in range(BATCH):
            if self._ffi.errno == errno.EAGAIN:
                break
            count = self._call(sock)
            if count >= 0:
                return count
        return 0

    def _source(self, name: int) -> Address:
        source = self._sources.get(name)
        if source is None:
            raw = name.to_bytes(8, sys.byteorder)
            if len(self._sources) >= _SOURCES:
                self._sources.clear()
            source = self._sources[name] = Address(socket.inet_ntoa(raw[4:8]), int.from_bytes(raw[2:4], "big"))
        return source


def _received(
    slots: Sequence[memoryview], lengths: Sequence[int], segments: Sequence[int], sources: Sequence[tuple[str, int]]
) -> list[Received]:
    return [Received(view, size, Address(*source)) for view, size, source in joined(slots, lengths, segments, sources)]


class _GroReceiver:
    """`recvmsg_into` of the standard library, one call per message."""

    __slots__ = ("_keep", "_slots", "tier")

    _CONTROL = socket.CMSG_SPACE(4) if hasattr(socket, "CMSG_SPACE") else 0

    def __init__(self) -> None:
        self.tier = ReceiveTier.GRO
        self._keep, self._slots = _slots()

    def receive(self, sock: socket.socket) -> list[Received]:
        lengths: list[int] = []
        segments: list[int] = []
        sources: list[tuple[str, int]] = []
        for _ in range(BATCH):
            try:
                length, control, _, source = sock.recvmsg_into([self._slots[len(lengths)]], self._CONTROL)
            except BlockingIOError:
                break
            except OSError:
                continue
            lengths.append(length)
            segments.append(_INT.unpack(control[0][2])[0] if control else length)
            sources.append(source)
        return _received(self._slots, lengths, segments, sources)


class _SingleReceiver:
    """`recvfrom_into`, which every system has."""

    __slots__ = ("_keep", "_slots", "tier")

    def __init__(self) -> None:
        self.tier = ReceiveTier.SINGLE
        self._keep, self._slots = _slots()

    def receive(self, sock: socket.socket) -> list[Received]:
        lengths: list[int] = []
        sources: list[tuple[str, int]] = []
        for _ in range(BATCH):
            try:
                length, source = sock.recvfrom_into(self._slots[len(lengths)])
            except BlockingIOError:
                break
            except OSError:
                continue
            lengths.append(length)
            sources.append(source)
        return _received(self._slots, lengths, lengths, sources)
