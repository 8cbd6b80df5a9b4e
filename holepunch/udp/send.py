"""Putting datagrams into a socket: one with its TTL, or a run of equally sized ones by the best means that works.

Never raises for what happens to a datagram. Sources: udp(7) and sendmmsg(2) of Linux.
"""

from __future__ import annotations

import errno
import socket
import struct
import sys
from array import array
from enum import Enum
from typing import TYPE_CHECKING, Any

from holepunch.udp import MAX_DATAGRAM, MAX_SEGMENTS
from holepunch.udp.fragments import fragments_allowed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holepunch.address import Address
    from holepunch.compact import Buffer
    from holepunch.udp.libc import Libc

__all__ = ["MessageArray", "SendTier", "Sender"]

_SOL_UDP = 17
_UDP_SEGMENT = 103
_UINT16 = struct.Struct("=H")
_INT = struct.Struct("=i")

_NO_ROOM = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOBUFS})
_NOT_SEGMENTED = frozenset({errno.EIO, errno.EINVAL, errno.EMSGSIZE, errno.ENOPROTOOPT, errno.EOPNOTSUPP})
"""What the kernel says when it will not cut a run: EIO where the device has no checksum offload, EINVAL or EMSGSIZE
when the run breaks a limit or a segment does not fit the device's MTU."""


class SendTier(Enum):
    """How runs are handed to the system, best first."""

    SEGMENT = "sendmsg with UDP_SEGMENT"
    MMSG = "sendmmsg"
    SINGLE = "sendto"


class MessageArray:
    """The arrays of one `sendmmsg`, shared by the sockets of a network: a call is synchronous."""

    __slots__ = ("_array", "_buffers", "_ffi", "_keep", "_longs", "_name", "_sendmmsg")

    def __init__(self, libc: Libc) -> None:
        ffi = self._ffi = libc.ffi
        self._sendmmsg = libc.functions.sendmmsg
        self._array = ffi.new("struct mmsghdr[]", MAX_SEGMENTS)
        self._buffers = ffi.new("struct iovec[]", MAX_SEGMENTS)
        self._name = bytearray(16)
        name = ffi.from_buffer(self._name)
        self._keep: tuple[Any, ...] = (name,)
        for i in range(MAX_SEGMENTS):
            header = self._array[i].header
            header.name, header.name_length = name, 16
            header.buffers, header.buffer_count = self._buffers + i, 1
        self._longs = memoryview(ffi.buffer(self._buffers)).cast("B").cast("L")

    def send(self, sock: socket.socket, data: bytes, segment: int, to: Address) -> int:
        """Send at most `MAX_SEGMENTS` datagrams; how many the system took.

        Raises ``BlockingIOError`` when it has no room, ``NotImplementedError`` when it refuses the call as such.
        """
        ffi = self._ffi
        count = -(-len(data) // segment)
        start = int(ffi.cast("uintptr_t", ffi.from_buffer(data)))
        self._name[:] = struct.pack("=H2s4s8x", socket.AF_INET, to.port.to_bytes(2, "big"), socket.inet_aton(to.host))
        self._longs[0 : 2 * count : 2] = array("L", range(start, start + len(data), segment))
        self._longs[1 : 2 * count : 2] = array("L", [segment] * (count - 1) + [len(data) - segment * (count - 1)])
        position = sent = 0
        while position < count:
            taken = self._sendmmsg(sock.fileno(), self._array + position, count - position, socket.MSG_DONTWAIT)
            if taken > 0:
                sent += taken
                position += taken
            elif ffi.errno in _NO_ROOM:
                raise BlockingIOError
            elif ffi.errno == errno.ENOSYS:
                raise NotImplementedError
            else:
                position += 1  # this one is lost; those behind it may be luckier
        return sent


class Sender:
    """The sending half of one socket. It steps down a tier for good when the system refuses what the tier needs."""

    __slots__ = ("_array", "_control", "_segment", "_sock", "tier")

    def __init__(self, sock: socket.socket, array: MessageArray | None, tier: SendTier | None = None) -> None:
        """``tier``: use none better. ``array``: what `SendTier.MMSG` works with; without it that tier is left out."""
        self._sock = sock
        self._array = array
        self._segment = 0
        self._control: list[tuple[int, int, bytes]] = []
        self.tier = tier or SendTier.SEGMENT
        if self.tier is SendTier.SEGMENT and not _can_segment(sock):
            self.tier = SendTier.MMSG
        if self.tier is SendTier.MMSG and array is None:
            self.tier = SendTier.SINGLE

    def send(self, buffers: Sequence[Buffer], to: Address, ttl: int = 0) -> bool:
        """One datagram. False when the system has no room."""
        try:
            if ttl:
                self._send_with_ttl(b"".join(buffers), to, ttl)
            else:
                self._sock.sendto(buffers[0] if len(buffers) == 1 else b"".join(buffers), to)
        except OSError as error:
            return error.errno not in _NO_ROOM
        return True

    def send_segments(self, buffers: Sequence[Buffer], segment: int, to: Address) -> bool:
        """A run of datagrams. False when the system ran out of room somewhere in it."""
        if self.tier is SendTier.SEGMENT and segment <= MAX_DATAGRAM:
            # Tried without a look at its size: a run within the limits, which is the rule, costs nothing here.
            try:
                self._sock.sendmsg(buffers, self._segmented(segment), 0, to)
            except OSError as error:
                if error.errno not in _NOT_SEGMENTED:
                    return error.errno not in _NO_ROOM
            else:
                return True
        data = b"".join(buffers)
        limit = segment * max(1, min(MAX_SEGMENTS, MAX_DATAGRAM // segment))
        try:
            for start in range(0, len(data), limit):
                self._send_run(data[start : start + limit], segment, to)
        except BlockingIOError:
            return False
        return True

    def send_fragmentable(self, buffers: Sequence[Buffer], segment: int, to: Address) -> bool:
        """As `send_segments`, of datagrams that may be cut on their way. Rare, so it is done in the plainest way."""
        with fragments_allowed(self._sock):
            try:
                self._send_singly(b"".join(buffers), segment, to)
            except BlockingIOError:
                return False
        return True

    def _send_run(self, data: bytes, segment: int, to: Address) -> None:
        """A run within the limits. Raises ``BlockingIOError``."""
        if self.tier is SendTier.SEGMENT and segment < len(data):
            try:
                self._sock.sendmsg([data], self._segmented(segment), 0, to)
            except OSError as error:
                if error.errno in _NO_ROOM:
                    raise BlockingIOError from None
                if error.errno in _NOT_SEGMENTED:
                    self._send_refused(data, segment, to)
        else:
            self._send_each(data, segment, to)

    def _send_refused(self, data: bytes, segment: int, to: Address) -> None:
        """A run that the kernel would not cut. Raises ``BlockingIOError``."""
        full = len(data) // segment * segment
        if self._send_each(data[:full], segment, to):
            # not the full datagrams are at fault (too large for the device, say), but that they are to be cut
            self.tier = SendTier.SINGLE if self._array is None else SendTier.MMSG
        if full < len(data):
            self._send_each(data[full:], segment, to)

    def _send_each(self, data: bytes, segment: int, to: Address) -> int:
        """Datagram by datagram; how many the system took. Raises ``BlockingIOError``."""
        if self._array is not None and self.tier is not SendTier.SINGLE and segment < len(data):
            try:
                return self._array.send(self._sock, data, segment, to)
            except NotImplementedError:
                self._array, self.tier = None, SendTier.SINGLE
        return self._send_singly(data, segment, to)

    def _send_singly(self, data: bytes, segment: int, to: Address) -> int:
        view = memoryview(data)
        sent = 0
        for start in range(0, len(data), segment):
            try:
                self._sock.sendto(view[start : start + segment], to)
                sent += 1
            except OSError as error:
                if error.errno in _NO_ROOM:
                    raise BlockingIOError from None
        return sent

    def _segmented(self, segment: int) -> list[tuple[int, int, bytes]]:
        if segment != self._segment:
            self._segment, self._control = segment, [(_SOL_UDP, _UDP_SEGMENT, _UINT16.pack(segment))]
        return self._control

    def _send_with_ttl(self, data: bytes, to: Address, ttl: int) -> None:
        if sys.platform == "linux":
            self._sock.sendmsg([data], [(socket.IPPROTO_IP, socket.IP_TTL, _INT.pack(ttl))], 0, to)
            return
        normal = self._sock.getsockopt(socket.IPPROTO_IP, socket.IP_TTL)
        self._sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
        try:
            self._sock.sendto(data, to)
        finally:
            self._sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, normal)


def _can_segment(sock: socket.socket) -> bool:
    # Kernels before 4.18 do not know the option; they would ignore it on a message, and send one huge datagram.
    if sys.platform != "linux":
        return False
    try:
        sock.getsockopt(_SOL_UDP, _UDP_SEGMENT)
    except OSError:
        return False
    return True
