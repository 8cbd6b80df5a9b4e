"""What is queued, and the packets cut from it: the send queue, and batches of packets that are sent, and kept, as one.

Holds bytes and headers. Which packets may go, and when, is the sender's business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from holepunch.udx.packet import DATA, END, HEADER_SIZE, SEQ_WORD, WORDS, header, number_column, write_header

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holepunch.compact import Buffer

__all__ = ["GRID_PACKETS", "Batch", "BatchPool", "SendQueue"]

GRID_PACKETS: Final = 44
"""44 datagrams of 1472 bytes are the most that one GSO send of 64 KB carries."""
MIN_GRID_PACKETS: Final = 22
"""A grid that is not at least half full would cost more memory than it saves time."""
MAX_SPARE_GRIDS: Final = 64
"""Grids kept for reuse (5 MB): what one stream keeps in flight through a peer's window of 4 MiB."""


class SendQueue:
    """Bytes written and not yet cut into packets."""

    __slots__ = ("_chunks", "_taken", "size")

    def __init__(self) -> None:
        self._chunks: list[Buffer] = []
        self._taken = 0
        """Bytes of the first chunk that are gone."""
        self.size = 0

    def push(self, chunks: Sequence[Buffer]) -> None:
        """Keep the buffers, without a copy: from now on they are not to be changed."""
        for chunk in chunks:
            if chunk:
                self._chunks.append(chunk)
                self.size += len(chunk)

    def push_back(self, data: bytes) -> None:
        """Bytes that were pulled return to the front."""
        if self._taken:
            self._chunks[0] = self._chunks[0][self._taken :]
            self._taken = 0
        self._chunks.insert(0, data)
        self.size += len(data)

    def pull_into(self, buffer: memoryview) -> None:
        """Fill a buffer with the next bytes, which must be there."""
        chunks = self._chunks
        self.size -= len(buffer)
        used = at = 0
        while at < len(buffer):
            rest = memoryview(chunks[used])[self._taken :]
            count = min(len(rest), len(buffer) - at)
            buffer[at : at + count] = rest[:count]
            at += count
            if count == len(rest):
                used += 1
                self._taken = 0
            else:
                self._taken += count
        del chunks[:used]

    def pull(self, size: int) -> Buffer:
        """The next ``size`` bytes, which must be there; without a copy when one chunk has them all."""
        chunks = self._chunks
        self.size -= size
        first = memoryview(chunks[0])[self._taken :] if self._taken else chunks[0]
        if len(first) > size:
            self._taken += size
            return memoryview(first)[:size]
        pieces: list[Buffer] = [first]
        missing = size - len(first)
        used = 1
        while missing > 0:
            chunk = chunks[used]
            if len(chunk) > missing:
                break
            pieces.append(chunk)
            missing -= len(chunk)
            used += 1
        if missing:
            pieces.append(memoryview(chunks[used])[:missing])
        del chunks[:used]
        self._taken = missing
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


class Batch:
    """Consecutive packets: their headers in one buffer, their payloads in another, and both as one list to send.

    It is kept until its last packet is acknowledged, and so is the store that retransmissions are sent from.
    """

    __slots__ = ("_headers", "_iov", "_payload", "_words", "count", "ends", "first", "last_size", "size")

    def __init__(self, payload: Buffer, size: int, count: int) -> None:
        """``payload`` cut every ``size`` bytes into ``count`` packets; the last may be shorter, or empty."""
        self.first = 0
        """The number of the first packet."""
        self.count = count
        self.size = size
        """Payload bytes of every packet but the last."""
        self.last_size = len(payload) - (count - 1) * size
        self.ends = False
        """The last packet carries END."""
        self._payload = payload
        self._headers = bytearray(HEADER_SIZE * count)
        self._words = memoryview(self._headers).cast("I")
        self._iov: list[Buffer] = [self._headers, payload]
        if count > 1:
            heads, body = memoryview(self._headers), memoryview(payload)
            self._iov *= count
            self._iov[0::2] = [heads[at : at + HEADER_SIZE] for at in range(0, HEADER_SIZE * count, HEADER_SIZE)]
            self._iov[1::2] = [body[at : at + size] for at in range(0, size * count, size)]

    @property
    def end(self) -> int:
        return self.first + self.count

    def packet_size(self, number: int) -> int:
        """Bytes of the datagram, header included."""
        return HEADER_SIZE + (self.last_size if number == self.first + self.count - 1 else self.size)

    def packets(self, start: int, end: int, stream_id: int, window: int, ack: int) -> tuple[list[Buffer], int]:
        """The packets ``start`` to ``end`` with fresh headers: buffers and segment size of a `Transmit`."""
        low, high = start - self.first, end - self.first
        ends = self.ends and high == self.count
        plain = high - low - ends
        if plain == 1:
            write_header(self._headers, HEADER_SIZE * low, DATA, stream_id, window, start, ack)
        elif plain:
            at = HEADER_SIZE * low
            self._headers[at : at + HEADER_SIZE * plain] = header(DATA, stream_id, window, 0, ack) * plain
            self._words[low * WORDS + SEQ_WORD : (low + plain) * WORDS : WORDS] = number_column(start, plain)
        if ends:
            flags = DATA | END if self.last_size else END
            write_header(self._headers, HEADER_SIZE * (high - 1), flags, stream_id, window, end - 1, ack)
        if high - low == 1:
            return self._iov[2 * low : 2 * high], self.packet_size(start)
        return self._iov[2 * low : 2 * high], HEADER_SIZE + self.size

    def padded_packet(self, number: int, padding: int, stream_id: int, window: int, ack: int) -> list[Buffer]:
        """One packet of the batch as an MTU probe. Only this transmission of it is padded."""
        at = 2 * (number - self.first)
        flags = DATA | END if self.ends and number == self.end - 1 else DATA
        return [header(flags, stream_id, window, number, ack, padding), bytes(padding), self._iov[at + 1]]

    def cut(self, count: int) -> bytes:
        """Keep the first ``count`` packets, and give back the bytes of the others."""
        rest = bytes(memoryview(self._payload)[self.size * count : self.size * (self.count - 1) + self.last_size])
        self.count = count
        self.last_size = self.size
        self.ends = False
        return rest


class Grid(Batch):
    """A batch of full packets only, whose buffers and views are made once and used again."""

    __slots__ = ("_writable",)

    def __init__(self, size: int) -> None:
        store = bytearray(size * GRID_PACKETS)
        super().__init__(store, size, GRID_PACKETS)
        self._writable = memoryview(store)

    def fill(self, queue: SendQueue, count: int) -> None:
        self.count = count
        self.last_size = self.size
        self.ends = False
        queue.pull_into(self._writable[: self.size * count])


class BatchPool:
    """Where grids wait for their next use. One may serve all streams of a process."""

    __slots__ = ("_spare",)

    def __init__(self) -> None:
        self._spare: list[Grid] = []

    def batch(self, queue: SendQueue, size: int, most: int) -> Batch:
        """The next packets of the queue, of ``size`` payload bytes; full ones, and the short rest of the queue only
        when no more than ``most`` packets hold it all. The queue must not be empty."""
        full, rest = divmod(queue.size, size)
        if full >= MIN_GRID_PACKETS:
            count = min(full, GRID_PACKETS)
            grid = self._grid(size)
            grid.fill(queue, count)
            return grid
        if rest and full < most:
            return Batch(bytes(queue.pull(queue.size)), size, full + 1)
        return Batch(bytes(queue.pull(full * size)), size, full)

    def recycle(self, batch: Batch) -> None:
        """Every packet of the batch is acknowledged. No driver holds one: it copies what it keeps (`Transmit`)."""
        if isinstance(batch, Grid) and len(self._spare) < MAX_SPARE_GRIDS:
            self._spare.append(batch)

    def _grid(self, size: int) -> Grid:
        while self._spare:
            grid = self._spare.pop()
            if grid.size == size:
                return grid
            # another path has another size: the views are worth nothing
        return Grid(size)
