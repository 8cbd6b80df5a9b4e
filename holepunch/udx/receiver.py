"""The receiving half of a stream: packets in any order become bytes in order, and what arrived becomes ACKs.

Everything kept is bounded, whatever the peer sends. It builds no packets: `UdxStream` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from holepunch.udx.packet import DATA, END, MAX_SACK_BLOCKS
from holepunch.udx.ranges import Ranges

if TYPE_CHECKING:
    from holepunch.compact import Buffer

__all__ = ["WINDOW", "Receiver"]

WINDOW: Final = 4 * 1024 * 1024
"""Bytes held for the application, in order or not: what Node always advertises (udx.md section 8)."""
OVERRUN: Final = 256 * 1024
"""Bytes accepted beyond it: a sender may have had them under way when the window shrank. More is dropped."""
MAX_STORED_PACKETS: Final = 8192
"""Packets held out of order. The window filled with packets of the smallest MTU makes 3641."""
SMALL: Final = 512
"""Bytes of a payload below which it is joined with the one before: as an object of its own it would take a multiple of
its size, and the window counts only that."""
LOWEST_BLOCKS: Final = 10
REOPENING: Final = WINDOW // 4
"""A window that was smaller than this, and has grown by as much, is worth an ACK of its own (udx.md section 8)."""


class Receiver:
    __slots__ = (
        "_chunks",
        "_discarding",
        "_end_number",
        "_ranges",
        "_recent",
        "_stored",
        "_stored_bytes",
        "advertised",
        "bytes_received",
        "expected",
        "readable",
    )

    def __init__(self, first: int) -> None:
        self.expected = first
        """The next number in order, which is the ack of every packet that leaves."""
        self.readable = 0
        """Bytes in order that were not taken."""
        self.advertised = WINDOW
        """The window that left last."""
        self.bytes_received = 0
        """Bytes in order, ever."""
        self._chunks: list[Buffer] = []
        self._end_number: int | None = None
        self._stored: dict[int, bytes] | None = None
        """Payloads beyond a gap, by number. Once reported in a SACK they are never discarded."""
        self._stored_bytes = 0
        self._ranges: Ranges | None = None
        self._recent: list[int] = []
        """The numbers that the ranges grew by last, one for each."""
        self._discarding = False

    @property
    def ended(self) -> bool:
        """Every number up to and including the remote's END has arrived."""
        return self._end_number is not None and self.expected > self._end_number

    @property
    def has_gaps(self) -> bool:
        return bool(self._stored)

    def window(self) -> int:
        room = WINDOW - self.readable - self._stored_bytes
        return room if room > 0 else 0

    def owes_update(self) -> bool:
        """The peer may be waiting for a window that is open again."""
        return self.advertised < REOPENING and self.window() - self.advertised >= REOPENING

    def sack_blocks(self) -> list[tuple[int, int]]:
        """Ranges received beyond the gap, ascending. When there are too many: the lowest, which fill first, and those
        that grew last (RFC 2018 section 4), or the peer would learn of most packets long after they arrived."""
        ranges = self._ranges
        if ranges is None:
            return []
        if len(ranges) <= MAX_SACK_BLOCKS:
            return ranges.head(MAX_SACK_BLOCKS)
        blocks = set(ranges.head(LOWEST_BLOCKS))
        for number in reversed(self._recent):
            if len(blocks) == MAX_SACK_BLOCKS:
                break
            if number >= self.expected:
                blocks.add(ranges.range_of(number))
        return sorted(blocks)

    def discard(self) -> None:
        """The application reads no more: what is unread is dropped, and no bytes are accepted any more."""
        self._discarding = True
        self._chunks.clear()
        self.readable = 0

    def takes(self, flags: int, seq: int, payload: Buffer) -> bool:
        """Whether the packet is for the reader: new, before the end, and within the bounds."""
        if seq < self.expected or self.ended or (self._stored is not None and seq in self._stored):
            return False
        if self._discarding and flags & DATA and len(payload):
            return False
        room = WINDOW + OVERRUN - self.readable - self._stored_bytes - len(payload)
        if not self._stored:
            return room >= 0
        if seq == self.expected:
            # what closes a gap must still fit when the packets beyond it have filled everything
            return room + OVERRUN >= 0
        return room >= 0 and len(self._stored) < MAX_STORED_PACKETS

    def takes_run(self, size: int) -> bool:
        """Whether a run of DATA, ``size`` bytes in all and from the expected number on, needs no closer look."""
        if self._stored or self._discarding or self._end_number is not None:
            return False
        return self.readable + size <= WINDOW + OVERRUN

    def refuses(self, flags: int, payload: Buffer) -> bool:
        """Bytes that nobody will read, from a peer that goes on sending."""
        return self._discarding and not self.ended and flags & DATA != 0 and len(payload) > 0

    def accept(self, flags: int, seq: int, payload: Buffer) -> None:
        """A DATA or END packet that `takes` let pass. The payload is copied."""
        if flags & END and self._end_number is None:
            self._end_number = seq
        data = bytes(payload) if flags & DATA else b""
        if seq == self.expected:
            self.expected += 1
            self._deliver(data)
            if self._stored:
                self._advance()
        else:
            self._store(seq, data)

    def accept_run(self, count: int, data: bytes) -> None:
        """The payloads of ``count`` DATA packets, from the expected number on, with no gap open."""
        self.expected += count
        self._deliver(data)

    def take(self, limit: int | None) -> list[Buffer]:
        """Bytes in order, at most ``limit``."""
        if limit is None or limit >= self.readable:
            taken, self._chunks = self._chunks, []
            self.readable = 0
            return taken
        missing = limit
        used = 0
        while missing and missing >= len(self._chunks[used]):
            missing -= len(self._chunks[used])
            used += 1
        taken = self._chunks[:used]
        del self._chunks[:used]
        if missing:
            chunk = memoryview(self._chunks[0])
            taken.append(chunk[:missing])
            self._chunks[0] = chunk[missing:]
        self.readable -= limit
        return taken

    def _deliver(self, data: bytes) -> None:
        size = len(data)
        self.bytes_received += size
        if size and not self._discarding:
            self.readable += size
            if size >= SMALL or not self._chunks:
                self._chunks.append(data)
            else:
                self._append_small(data)

    def _append_small(self, data: bytes) -> None:
        last = self._chunks[-1]
        if isinstance(last, bytearray):  # and nobody else has it: what is left of one taken in part is a view
            last += data
        elif isinstance(last, bytes) and len(last) < SMALL:
            self._chunks[-1] = joined = bytearray(last)
            joined += data
        else:
            self._chunks.append(data)

    def _store(self, seq: int, data: bytes) -> None:
        if self._stored is None or self._ranges is None:
            self._stored, self._ranges = {}, Ranges()
        self._stored[seq] = data
        self._stored_bytes += len(data)
        self._ranges.add(seq, seq + 1)
        if self._recent and self._recent[-1] == seq - 1:
            self._recent[-1] = seq
        else:
            self._recent = [*self._recent[1 - MAX_SACK_BLOCKS :], seq]

    def _advance(self) -> None:
        """Move what is in order now to the reader. Stored packets beyond the END belong to nothing."""
        assert self._stored is not None
        assert self._ranges is not None
        first = self.expected
        while not self.ended and (data := self._stored.pop(self.expected, None)) is not None:
            self.expected += 1
            self._stored_bytes -= len(data)
            self._deliver(data)
        if self.ended or not self._stored:
            self._stored = self._ranges = None
            self._stored_bytes = 0
            self._recent = []
        elif self.expected > first:
            self._ranges.remove(first, self.expected)
