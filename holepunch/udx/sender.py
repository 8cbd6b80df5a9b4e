"""The sending half of a stream: bytes are queued, cut into batches, sent, kept until acknowledged, and sent again.

Decides which packet leaves when, within what recovery, the pacer and the peer's window allow. It reads no packets:
`UdxStream` tells it what the peer acknowledged.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import TYPE_CHECKING, Final, NamedTuple

from holepunch.udx.batch import Batch, BatchPool, SendQueue
from holepunch.udx.pacing import Pacer
from holepunch.udx.packet import HEADER_SIZE
from holepunch.udx.recovery import Recovery
from holepunch.udx.values import Route, Transmit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holepunch.compact import Buffer

__all__ = ["Sender"]

ASSUMED_WINDOW: Final = 4 * 1024 * 1024
"""Bytes the peer is taken to accept before it said so (udx.md section 7)."""

_POOL = BatchPool()

MAX_KEPT: Final = 16384
"""Packets kept until acknowledged, 24 MB at most: a peer may offer any window, and SACK all but the oldest packet."""


class Path(NamedTuple):
    """Where packets from the number ``since`` on go, and with which stream id (udx.md section 9)."""

    since: int
    route: Route
    remote_id: int


class Turn(NamedTuple):
    """What the packets that leave together share."""

    window: int
    ack: int
    now: float
    out: list[Transmit]


class Sender:
    __slots__ = (
        "_batches",
        "_end_number",
        "_ending",
        "_idle_on_zero_window",
        "_open",
        "_pace_at",
        "_pacer",
        "_paths",
        "_queue",
        "_window",
        "_window_ack",
        "_window_seq",
        "_zero_at",
        "bytes_sent",
        "heartbeat_due",
        "packets_sent",
        "recovery",
        "resent",
        "route_changed",
    )

    def __init__(self, first: int, phase: int, now: float) -> None:
        self.recovery = Recovery(first, phase, now)
        self.heartbeat_due = False
        """The peer's zero window is to be probed."""
        self.route_changed = False
        """Everything sent before the last change of path is acknowledged; for the owner to report and reset."""
        self.bytes_sent = 0
        self.packets_sent = 0
        self.resent = 0
        self._queue = SendQueue()
        self._batches: list[Batch] = []
        """Every packet from the oldest unacknowledged one on, in order."""
        self._open: Batch | None = None
        """The last batch, while packets of it have not left yet."""
        self._ending = False
        self._end_number: int | None = None
        self._paths: list[Path] = []
        self._pacer = Pacer(now)
        self._window = ASSUMED_WINDOW
        self._window_seq: int | None = None
        self._window_ack = first
        self._idle_on_zero_window = False
        self._pace_at = self._zero_at = math.inf

    # what the application wants

    @property
    def queued(self) -> int:
        """Bytes not yet cut into packets."""
        return self._queue.size

    @property
    def payload_size(self) -> int:
        return self.recovery.mtu.size - HEADER_SIZE

    @property
    def ending(self) -> bool:
        return self._ending

    def write(self, chunks: Sequence[Buffer]) -> None:
        self._queue.push(chunks)

    def end(self) -> None:
        self._ending = True
        if self._open is not None and not self._queue.size:
            self._open.ends = True
            self._end_number = self._open.end - 1

    # what the peer says

    @property
    def end_acknowledged(self) -> bool:
        return self._end_number is not None and self.recovery.flight.una > self._end_number

    @property
    def only_end_missing(self) -> bool:
        return self.recovery.flight.una == self._end_number

    def on_window(self, seq: int, ack: int, window: int) -> None:
        """``window`` bytes are free at the peer, as a packet with these numbers said (udx.md section 3, step 9)."""
        if ack < self.recovery.flight.una:
            return
        last = self._window_seq
        if last is None or seq > last or (seq == last and ack >= self._window_ack):
            self._window = window
            self._window_seq = seq
            self._window_ack = ack

    def acknowledge(self, ack: int, blocks: Sequence[tuple[int, int]], now: float) -> None:
        recovery = self.recovery
        recovery.acknowledge(ack, now)
        if blocks:
            recovery.sack(blocks, now)
        una = recovery.flight.una
        batches = self._batches
        done = 0
        while done < len(batches) and batches[done].end <= una:
            _POOL.recycle(batches[done])
            done += 1
        del batches[:done]
        while len(self._paths) > 1 and self._paths[1].since <= una:
            del self._paths[0]
            self.route_changed = len(self._paths) == 1

    # where packets go

    def change_path(self, route: Route, remote_id: int, now: float, *, leave: bool = False) -> None:
        """What has not left yet goes to the new place; what left before is sent again to the old one, unless that is
        to be left behind."""
        flight = self.recovery.flight
        self._uncut()
        path = Path(flight.next, route, remote_id)
        if not self._paths:
            self._paths = [path]
            return
        self.recovery.restart(now)
        self._pacer = Pacer(now)
        if flight.empty or leave:
            self._paths = [path._replace(since=flight.una)]
            self.route_changed = True
        elif self._paths[-1].since == path.since and len(self._paths) > 1:
            self._paths[-1] = path
        else:
            self._paths.append(path)

    def _uncut(self) -> None:
        """Packets that have not left yet become bytes again: another path may need another size."""
        batch, self._open = self._open, None
        if batch is None:
            return
        if batch.ends:
            self._end_number = None
        kept = self.recovery.flight.next - batch.first
        rest = batch.cut(kept)
        if rest:
            self._queue.push_back(rest)
        if not kept:
            self._batches.pop()

    # what leaves

    def pump(self, window: int, ack: int, now: float, out: list[Transmit]) -> bool:
        """Send what may leave now; ``window`` and ``ack`` go into the headers.

        True when they reach the peer as surely as with an ACK of their own. Neither an MTU probe can promise that, nor
        a retransmission: the peer takes no window from an old number (udx.md section 3, step 9).
        """
        recovery = self.recovery
        flight = recovery.flight
        if not (self._queue.size or self._open or self._ending or flight.lost.total or recovery.tail_probe_due):
            self._pace_at = math.inf
            if flight.size < recovery.congestion.window:
                flight.mark_app_limited()
            if not self._window or self._idle_on_zero_window or self._zero_at < math.inf:
                self._watch_zero_window(False, now)
            return False
        first, before = flight.next, len(out)
        turn = Turn(window, ack, now, out)
        self._pace_at = math.inf
        if recovery.tail_probe_due:
            recovery.tail_probe_due = False
            self._send_tail_probe(turn)
        unsent = self._unsent()
        lost, size = flight.lost.total, flight.size
        if lost or unsent:
            if not size and flight.app_limited:
                recovery.congestion.on_restart(now)
            new = min(unsent, self._peer_room(size))
            wanted = min(recovery.congestion.window - size, lost + new)
            if wanted > 0:
                budget = self._pacer.budget(recovery.congestion.pacing_rate, wanted, now)
                again = self._send_again(budget, turn) if lost else 0
                new = self._send_new(min(budget - again, new), turn)
                self._pacer.spend(again + new)
                unsent -= new
                if budget < wanted:
                    self._pace_at = self._pacer.ready_at()
        if not unsent and not flight.lost.total and flight.size < recovery.congestion.window:
            flight.mark_app_limited()
        if not self._window or self._idle_on_zero_window or self._zero_at < math.inf:
            self._watch_zero_window(unsent > 0, now)
        if len(out) == before:
            return False
        recovery.on_sent(now)
        probes = recovery.mtu_probe is not None and recovery.mtu_probe[0] >= first
        return flight.next - first > probes

    def _unsent(self) -> int:
        """Packets that have not left yet, as far as they can be counted before they are cut."""
        count = -(-self._queue.size // self.payload_size) if self._queue.size else 0
        if self._open is not None:
            count += self._open.end - self.recovery.flight.next
        elif not count and self._ending and self._end_number is None:
            count = 1
        return count

    def _peer_room(self, in_flight: int) -> int:
        """How many more packets the peer's window takes; a window smaller than a packet takes one."""
        packets = self._window // self.payload_size or (1 if self._window else 0)
        kept = self.recovery.flight.next - self.recovery.flight.una
        return max(min(packets - in_flight, MAX_KEPT - kept), 0)

    def _send_again(self, most: int, turn: Turn) -> int:
        """Lost packets leave first, the oldest before the others, and whatever the peer's window says."""
        flight = self.recovery.flight
        count = 0
        while count < most and flight.lost:
            start, end = flight.lost.first
            count += self._resend(start, min(end, start + most - count), turn)
        return count

    def _resend(self, start: int, end: int, turn: Turn) -> int:
        """As many packets from ``start`` on as lie in one batch and took one path."""
        batch = self._batches[bisect_right(self._batches, start, key=_first_of) - 1]
        at = bisect_right(self._paths, start, key=_since_of) - 1
        path = self._paths[at]
        end = min(end, batch.end)
        if at + 1 < len(self._paths):
            end = min(end, self._paths[at + 1].since)
        buffers, segment = batch.packets(start, end, path.remote_id, turn.window, turn.ack)
        # cut for another path that carried more; a packet keeps its bytes for ever, so it may only arrive in fragments
        fragment = at + 1 == len(self._paths) and segment > self.recovery.mtu.size
        turn.out.append(Transmit(*path.route, buffers, segment, fragment))
        self.recovery.on_resent(start, end, turn.now)
        self.packets_sent += end - start
        self.resent += end - start
        return end - start

    def _send_new(self, most: int, turn: Turn) -> int:
        recovery = self.recovery
        flight = recovery.flight
        first = flight.next
        _, route, remote_id = self._paths[-1]
        while most > 0:
            batch = self._open or self._cut(most)
            if batch is None:
                break
            start = flight.next
            count = min(most, batch.end - start)
            size = batch.packet_size(start)
            padding = recovery.mtu.padding(size) if recovery.mtu_probe is None else 0
            if padding:
                count = 1
                recovery.mtu_probe = (start, size + padding)
                packet = batch.padded_packet(start, padding, remote_id, turn.window, turn.ack)
                turn.out.append(Transmit(*route, packet, size + padding))
            else:
                packets = batch.packets(start, start + count, remote_id, turn.window, turn.ack)
                turn.out.append(Transmit(*route, *packets))
            flight.sent(count, turn.now)
            most -= count
            self.packets_sent += count
            self.bytes_sent += (count - 1) * batch.size + batch.packet_size(flight.next - 1) - HEADER_SIZE
            if flight.next == batch.end:
                self._open = None
        return flight.next - first

    def _cut(self, most: int) -> Batch | None:
        """The next batch of packets from the queue. The last bytes carry the END (udx.md section 4)."""
        ends = self._ending and self._end_number is None
        if self._queue.size:
            batch = _POOL.batch(self._queue, self.payload_size, most)
        elif ends:
            batch = Batch(b"", self.payload_size, 1)
        else:
            return None
        batch.first = self.recovery.flight.next
        if ends and not self._queue.size:
            batch.ends = True
            self._end_number = batch.end - 1
        self._batches.append(batch)
        self._open = batch
        return batch

    def _send_tail_probe(self, turn: Turn) -> None:
        """One new packet whatever the windows say, or else the last one that did not arrive again (RFC 8985 section
        7.3)."""
        flight = self.recovery.flight
        if self._unsent():
            self._send_new(1, turn)
        elif missing := flight.sacked.gaps(flight.una, flight.next):
            # none where the peer SACKed everything and acknowledges nothing: there is nothing to send it again
            end = missing[-1][1]
            self._resend(end - 1, end, turn)

    def clear(self) -> None:
        """The stream is closed: keep no bytes."""
        self._queue = SendQueue()
        self._batches = []
        self._open = None

    # what waits

    def _watch_zero_window(self, waiting: bool, now: float) -> None:
        """HEARTBEATs ask a closed window whether it is open again, for ever (udx.md section 8)."""
        closed = self._window == 0 and self.recovery.flight.empty
        if not closed or not waiting:
            self._zero_at = math.inf
        elif self._zero_at == math.inf:
            self._zero_at = now + self.recovery.rtt.rto
            self.heartbeat_due = self._idle_on_zero_window
        self._idle_on_zero_window = closed and not waiting

    def deadline(self) -> float:
        return min(self.recovery.deadline(), self._pace_at, self._zero_at)

    def expire(self, now: float) -> None:
        recovery = self.recovery
        recovery.expire(now)
        if recovery.query_due:
            recovery.query_due = False
            self.heartbeat_due = True
        if now >= self._zero_at:
            self._zero_at = now + 2 * recovery.rtt.rto
            self.heartbeat_due = True


def _first_of(batch: Batch) -> int:
    return batch.first


def _since_of(path: Path) -> int:
    return path.since
