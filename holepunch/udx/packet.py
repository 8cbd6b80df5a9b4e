"""The UDX packet format (protocol note udx.md section 1): headers, SACK blocks, and checks of whole runs of datagrams.

Reads and builds bytes, keeps nothing. Sequence numbers are 32 bits here and unbounded everywhere else (`expand`).
"""

from __future__ import annotations

import struct
import sys
from array import array
from functools import lru_cache
from operator import itemgetter
from typing import TYPE_CHECKING, Final, NamedTuple

from holepunch.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence


__all__ = [
    "ACK_WORD",
    "DATA",
    "DATA_WORD",
    "DESTROY",
    "END",
    "HEADER_SIZE",
    "HEARTBEAT",
    "MASK",
    "MAX_SACK_BLOCKS",
    "MESSAGE",
    "SACK",
    "SEQ_WORD",
    "WORDS",
    "Packet",
    "decode",
    "expand",
    "header",
    "header_words",
    "in_order_data_run",
    "join_payloads",
    "newest_of_acks",
    "number_column",
    "peek",
    "run_of_one_stream",
    "sack_area",
    "write_header",
]

DATA: Final = 0x01
END: Final = 0x02
SACK: Final = 0x04
MESSAGE: Final = 0x08
DESTROY: Final = 0x10
HEARTBEAT: Final = 0x20

HEADER_SIZE: Final = 20
WORDS: Final = HEADER_SIZE // 4
"""A header is five little-endian words: (magic, version, flags, data offset), id, window, seq, ack."""
SEQ_WORD: Final = 3

MAX_SACK_BLOCKS: Final = 50
"""What Node sends and reads in one packet (libudx udx.c, the SACK part of send_ack)."""

MASK: Final = 0xFFFFFFFF
_HEADER = struct.Struct("<HBBIIII")
_HEADER_WORDS = struct.Struct("<IIIII")
_MAGIC_AND_ID = struct.Struct("<HxxI")
_MAGIC_WORD = 0x01FF
DATA_WORD: Final = _MAGIC_WORD | DATA << 16
ACK_WORD: Final = _MAGIC_WORD
"""First words of the two packets that nearly all are: plain DATA, and an ACK, without data offset."""
_NATIVE = sys.byteorder == "little"
"""Runs are checked and stamped through native 32-bit arrays; on big-endian machines they take the slow way round."""


class Packet(NamedTuple):
    """One decoded packet. ``payload`` is a view into the datagram."""

    flags: int
    data_offset: int
    stream_id: int
    window: int
    seq: int
    ack: int
    sacks: list[tuple[int, int]]
    payload: memoryview


def expand(number: int, near: int) -> int:
    """The unbounded sequence number that ends in these 32 bits and is nearest to ``near``."""
    return near + ((number - near + 0x80000000 & MASK) - 0x80000000)


def header(flags: int, stream_id: int, window: int, seq: int, ack: int, data_offset: int = 0) -> bytes:
    return _HEADER.pack(_MAGIC_WORD, flags, data_offset, stream_id, window, seq & MASK, ack & MASK)


def write_header(into: bytearray, at: int, flags: int, stream_id: int, window: int, seq: int, ack: int) -> None:
    """A header without data offset, written at byte ``at`` of an existing buffer."""
    _HEADER.pack_into(into, at, _MAGIC_WORD, flags, 0, stream_id, window, seq & MASK, ack & MASK)


def sack_area(blocks: Iterable[tuple[int, int]]) -> bytes:
    """Half-open ranges of received numbers, as they follow the header."""
    numbers = [number & MASK for block in blocks for number in block]
    return struct.pack(f"<{len(numbers)}I", *numbers)


def _numbers(first: int, count: int) -> Sequence[int]:
    """``count`` consecutive sequence numbers, as the wire has them."""
    first &= MASK
    numbers = range(first, first + count)
    return numbers if numbers.stop <= MASK else [number & MASK for number in numbers]


def number_column(first: int, count: int) -> array[int]:
    """``count`` consecutive sequence numbers in wire order, to be assigned to a strided view of many headers."""
    column = array("I", _numbers(first, count))
    if not _NATIVE:
        column.byteswap()
    return column


def decode(datagram: memoryview) -> Packet:
    """Raises `DecodeError` for what is not UDX, or is cut short of its data offset."""
    if len(datagram) < HEADER_SIZE:
        raise DecodeError(f"a UDX packet has at least {HEADER_SIZE} bytes, got {len(datagram)}")
    magic, flags, offset, stream_id, window, seq, ack = _HEADER.unpack_from(datagram)
    if magic != _MAGIC_WORD:
        raise DecodeError(f"not UDX version 1: {bytes(datagram[:2]).hex()}")
    body = len(datagram) - HEADER_SIZE
    if offset > body:
        raise DecodeError(f"a data offset of {offset} in a packet of {body} bytes after the header")
    sacks: list[tuple[int, int]] = []
    if flags & SACK:
        # the blocks fill the data offset when there is one, else all that follows (udx.md section 1)
        count = min((offset if 0 < offset < body else body) // 8, MAX_SACK_BLOCKS)
        numbers = struct.unpack_from(f"<{2 * count}I", datagram, HEADER_SIZE)
        sacks = list(zip(numbers[::2], numbers[1::2], strict=True))
    return Packet(flags, offset, stream_id, window, seq, ack, sacks, datagram[HEADER_SIZE + offset :])


def header_words(datagram: memoryview) -> tuple[int, int, int, int, int]:
    """The `WORDS` of a datagram that has them, unchecked: first word, id, window, seq, ack."""
    return _HEADER_WORDS.unpack_from(datagram)


def peek(view: memoryview) -> int | None:
    """The stream id of a UDX packet; None for anything else (shorter than 20 bytes, other magic or version)."""
    if len(view) < HEADER_SIZE:
        return None
    magic, stream_id = _MAGIC_AND_ID.unpack_from(view)
    return stream_id if magic == _MAGIC_WORD else None


def run_of_one_stream(view: memoryview, segment: int) -> bool:
    """Every datagram of the run is a UDX packet, and for the stream of the first one."""
    if segment < HEADER_SIZE:
        return False
    size = len(view)
    whole = size // segment
    first = peek(view)
    if first is None or (size % segment and peek(view[whole * segment :]) != first):
        return False
    if whole <= 1:
        return True
    if _NATIVE and segment % 4 == 0:
        columns = view[: whole * segment].cast("I")
        step = segment // 4
        words = columns[0::step].tolist()
        alike = words == words[:1] * whole or all(word & 0xFFFF == _MAGIC_WORD for word in words)
        return alike and columns[1::step].tolist() == [first] * whole
    return all(peek(view[at : at + segment]) == first for at in range(0, whole * segment, segment))


def in_order_data_run(view: memoryview, segment: int, count: int, first: int) -> bool:
    """The first ``count`` datagrams are DATA and nothing else, without data offset, and numbered from ``first`` on."""
    if not _NATIVE or segment % 4 or segment < HEADER_SIZE:
        return False
    columns = view[: count * segment].cast("I")
    step = segment // 4
    numbers = columns[SEQ_WORD::step].tolist()
    return columns[0::step].tolist() == [DATA_WORD] * count and numbers == list(_numbers(first, count))


def join_payloads(view: memoryview, segment: int, count: int) -> bytes:
    """The payloads of the first ``count`` datagrams, two or more, of a run of plain DATA, in one piece."""
    return b"".join(_payloads(segment, count)(view))


@lru_cache(maxsize=64)
def _payloads(segment: int, count: int) -> Callable[[memoryview], tuple[memoryview, ...]]:
    """Cuts a run into its payloads. A path has one size of packets, and of these a peer sends the same few numbers."""
    first, second, *more = (
        slice(at, at + segment - HEADER_SIZE) for at in range(HEADER_SIZE, count * segment, segment)
    )
    return itemgetter(first, second, *more)


def newest_of_acks(view: memoryview, count: int) -> tuple[int, int, int, int, int] | None:
    """The `header_words` of the last one of ``count`` plain ACKs, when its numbers are the highest of all.

    None: they are not, or something else is among them.
    """
    if not _NATIVE or len(view) != count * HEADER_SIZE:
        return None
    columns = view.cast("I")
    if columns[0::WORDS].tolist() != [ACK_WORD] * count:
        return None
    last = header_words(view[-HEADER_SIZE:])
    highest = max(columns[3::WORDS]), max(columns[4::WORDS])
    return last if last[SEQ_WORD:] == highest else None
