"""The packets that were sent and are not acknowledged: which are SACKed or lost, and what each delivery tells.

Loss detection is RACK (RFC 8985): a packet is lost when one that left later was delivered long enough ago.
Rate samples follow draft-cheng-iccrg-delivery-rate-estimation. Knows numbers and times; no bytes, timers or windows.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

from holepunch.udx.congestion import Sample
from holepunch.udx.packet import MAX_SACK_BLOCKS
from holepunch.udx.ranges import Ranges

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holepunch.udx.rtt import Rtt

__all__ = ["Flight"]


class Stamp(NamedTuple):
    """The state of delivery when a packet left. All packets of one send share one."""

    at: float
    delivered: int
    delivered_at: float
    first_sent_at: float
    app_limited: bool
    blind: bool
    """More had arrived than the peer's SACK blocks could tell: ``delivered`` is too low."""


class Run(NamedTuple):
    """Packets that left together for the first time."""

    first: int
    end: int
    stamp: Stamp


class Delivery(NamedTuple):
    """The packet that left last among those newly delivered."""

    stamp: Stamp
    number: int
    again: bool


class Flight:
    __slots__ = (
        "_app_limited_until",
        "_blind",
        "_delivered_at",
        "_first_sent_at",
        "_highest",
        "_judged",
        "_newest",
        "_rack",
        "_rack_rtt",
        "_reordering",
        "_resent",
        "_runs",
        "delivered",
        "lost",
        "newly_delivered",
        "next",
        "sacked",
        "una",
    )

    def __init__(self, first: int, now: float) -> None:
        self.una = first
        """The oldest number not acknowledged."""
        self.next = first
        """The number that no packet has left with yet."""
        self.sacked = Ranges()
        self.lost = Ranges()
        """Lost, and not sent again yet."""
        self.delivered = 0
        """Packets known to have arrived, ever."""
        self.newly_delivered = 0
        self._delivered_at = now
        self._first_sent_at = now
        self._app_limited_until = 0
        self._blind = False
        self._runs: list[Run] = []
        self._resent: dict[int, Stamp] = {}
        """Packets sent again and out since, by the time of their last transmission."""
        self._judged = first
        """First transmissions below it are delivered or were declared lost."""
        self._newest: Delivery | None = None
        self._rack: tuple[float, int] | None = None
        """When the packet that left last among all delivered ones left, and its number."""
        self._rack_rtt = 0.0
        self._highest = first
        """One past the highest number delivered."""
        self._reordering = False

    @property
    def size(self) -> int:
        """Packets believed to be on their way."""
        return self.next - self.una - self.sacked.total - self.lost.total

    @property
    def empty(self) -> bool:
        return self.una == self.next

    def mark_app_limited(self) -> None:
        """Less is sent than the path may take: deliveries do not show its bandwidth (draft section 3.4)."""
        self._app_limited_until = self.delivered + self.size or 1

    @property
    def app_limited(self) -> bool:
        return self._app_limited_until > 0

    def sent(self, count: int, now: float) -> None:
        """The next ``count`` numbers left for the first time."""
        stamp = self._stamp(now)
        first, self.next = self.next, self.next + count
        if self._runs and self._runs[-1].stamp == stamp:
            first = self._runs.pop().first
        self._runs.append(Run(first, self.next, stamp))

    def sent_again(self, start: int, end: int, now: float) -> None:
        stamp = self._stamp(now)
        self.lost.remove(start, end)
        for number in range(start, end):
            self._resent.pop(number, None)
            self._resent[number] = stamp

    def _stamp(self, now: float) -> Stamp:
        if self.size == 0:
            self._first_sent_at = self._delivered_at = now
        limited = self._app_limited_until > 0
        return Stamp(now, self.delivered, self._delivered_at, self._first_sent_at, limited, self._blind)

    def acknowledge(self, ack: int, now: float, rtt: Rtt) -> None:
        """Everything below ``ack`` arrived."""
        if ack <= self.una:
            return
        if self.sacked.total:
            for start, end in self.sacked.gaps(self.una, ack):
                self._deliver(start, end, now, rtt)
            self.sacked.remove(self.una, ack)
        else:
            self._deliver(self.una, ack, now, rtt)
        if self.lost.total:
            self.lost.remove(self.una, ack)
        self.una = ack
        self._blind = self._blind and self.sacked.total > 0
        gone = 0
        while gone < len(self._runs) and self._runs[gone].end <= ack:
            gone += 1
        del self._runs[:gone]

    def sack(self, blocks: Sequence[tuple[int, int]], now: float, rtt: Rtt) -> None:
        """Ranges that arrived beyond the cumulative ack. Blocks that cannot be true are skipped (udx.md section 1)."""
        self._blind = len(blocks) >= MAX_SACK_BLOCKS
        for start, end in blocks:
            if not self.una <= start < end <= self.next:
                continue
            for low, high in self.sacked.gaps(start, end):
                self._deliver(low, high, now, rtt)
                self.lost.remove(low, high)
                self.sacked.add(low, high)

    def _deliver(self, start: int, end: int, now: float, rtt: Rtt) -> None:
        self.delivered += end - start
        self.newly_delivered += end - start
        resent = self._resent
        again: list[int] = []
        if resent:
            candidates = range(start, end) if end - start < len(resent) else sorted(resent)
            again = [n for n in candidates if start <= n < end and n in resent]
            for number in again:
                self._sample(Delivery(resent.pop(number), number, again=True), now, rtt)
        if len(again) < end - start:
            once = end - 1
            while again and again[-1] == once:
                again.pop()
                once -= 1
            self._sample(Delivery(self._run_of(once).stamp, once, again=False), now, rtt)
            if once < self._highest:
                self._reordering = True
        self._highest = max(self._highest, end)

    def _sample(self, delivery: Delivery, now: float, rtt: Rtt) -> None:
        stamp, number, again = delivery
        if again and now - stamp.at < (rtt.minimum or 0.0):
            return  # too soon: this acknowledges the first transmission (RFC 8985 section 6.2)
        if self._rack is None or (stamp.at, number) > self._rack:
            self._rack = (stamp.at, number)
            self._rack_rtt = now - stamp.at
        if self._newest is None or (stamp.at, number) > (self._newest.stamp.at, self._newest.number):
            self._newest = delivery

    def _run_of(self, number: int) -> Run:
        return self._runs[bisect_right(self._runs, number, key=_first_of) - 1]

    def settle(self, since: int, shortest: float | None, now: float) -> Sample:
        """What was delivered since the last call, as a sample for congestion control.

        Packets below ``since`` took another path, and tell nothing about this one.
        """
        newest, newly = self._newest, self.newly_delivered
        self._newest, self.newly_delivered = None, 0
        if newly:
            self._delivered_at = now
            if self.delivered > self._app_limited_until:
                self._app_limited_until = 0
        if newest is None:
            return Sample(None, False, False, 0, newly, None)
        stamp = newest.stamp
        self._first_sent_at = stamp.at
        if newest.number < since:
            return Sample(None, False, False, 0, newly, None)
        interval = max(stamp.at - stamp.first_sent_at, now - stamp.delivered_at)
        # an interval below the shortest round trip comes from clocks or spurious retransmissions (draft section 3.3)
        trusted = interval > 0 and interval >= (shortest or 0.0)
        rate = (self.delivered - stamp.delivered) / interval if trusted else None
        rtt = None if newest.again else now - stamp.at
        return Sample(rate, stamp.app_limited, stamp.blind, stamp.delivered, newly, rtt)

    def detect_losses(self, recovering: bool, rtt: Rtt, now: float) -> tuple[list[tuple[int, int]], float]:
        """The packets found lost now, and when to look again (``math.inf``: only at the next delivery)."""
        if self._rack is None or self.empty:
            return [], math.inf
        rack_at, rack_number = self._rack
        allowed = self._rack_rtt + self._reordering_allowance(recovering, rtt)
        found: list[tuple[int, int]] = []
        look_again = math.inf
        self._judged = max(self._judged, self.una)
        at = max(bisect_right(self._runs, self._judged, key=_first_of) - 1, 0)
        while at < len(self._runs):
            run = self._runs[at]
            top = run.end if run.stamp.at < rack_at else min(run.end, rack_number)
            if run.stamp.at > rack_at or top <= self._judged:
                break
            if run.stamp.at + allowed > now:
                look_again = run.stamp.at + allowed
                break
            found += self._lose(self._judged, top)
            self._judged = top
            at += 1
        again = []
        for number, stamp in self._resent.items():
            if (stamp.at, number) >= self._rack:
                break
            if stamp.at + allowed > now:
                look_again = min(look_again, stamp.at + allowed)
                break
            again.append(number)
        for number in again:
            found += self._lose_again(number)
        return found, look_again

    def time_out(self, rtt: Rtt, now: float) -> list[tuple[int, int]]:
        """A retransmission timeout: the head is lost, and what left long enough ago (RFC 8985 section 6.3)."""
        long_ago = now - self._rack_rtt - self._reordering_allowance(False, rtt)
        found = [
            lost
            for number, stamp in list(self._resent.items())
            if number == self.una or stamp.at <= long_ago
            for lost in self._lose_again(number)
        ]
        found += self._lose(self.una, self.una + 1)
        self._judged = max(self._judged, self.una + 1)
        for run in self._runs:
            if run.stamp.at > long_ago:
                break
            found += self._lose(max(self.una, run.first), run.end)
            self._judged = max(self._judged, run.end)
        return found

    def _reordering_allowance(self, recovering: bool, rtt: Rtt) -> float:
        if not self._reordering and (recovering or self.sacked.total >= 3):
            return 0.0
        return min((rtt.minimum or 0.0) / 4, rtt.smoothed or 0.0)

    def _lose(self, start: int, end: int) -> list[tuple[int, int]]:
        """Declare first transmissions lost: those neither delivered, nor known to be lost, nor sent again."""
        found = []
        for low, high in self.sacked.gaps(start, end):
            for first, last in self.lost.gaps(low, high):
                if not self._resent:
                    found.append((first, last))
                else:
                    found += [(n, n + 1) for n in range(first, last) if n not in self._resent]
        for low, high in found:
            self.lost.add(low, high)
        return found

    def _lose_again(self, number: int) -> list[tuple[int, int]]:
        del self._resent[number]
        self.lost.add(number, number + 1)
        return [(number, number + 1)]


def _first_of(run: Run) -> int:
    return run.first
