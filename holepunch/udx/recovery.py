"""What acknowledgements tell, and what their absence does: round-trip time, congestion window, path MTU, lost packets.

Owns the timers that repair losses (reordering, tail probe, retransmission timeout). Sends nothing itself.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from holepunch.udx.congestion import Bbr
from holepunch.udx.flight import Flight
from holepunch.udx.mtu import PathMtu
from holepunch.udx.rtt import Rtt

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["MAX_TIMEOUTS", "Recovery"]

MAX_TIMEOUTS: Final = 7
"""Consecutive retransmission timeouts without progress after which the peer is taken for dead (udx.md section 6)."""
STALL_TIMEOUTS: Final = 2
"""Those after which the path is taken for gone, about 3 s after the packet left."""
QUERY_INTERVAL: Final = 0.25
"""Seconds between HEARTBEATs from the first of them on, so that a path that loses many packets is not mistaken for one
that is gone, nor waits for the next timeout."""
BACKOFF: Final = 2.0
"""After one timeout the next comes after twice the usual time; it does not double again (udx.md section 7)."""
SHORTEST_TAIL_PROBE: Final = 0.01
"""Seconds. Sooner, a tail probe mostly finds a peer that was not scheduled yet, not a lost packet."""
LONE_PACKET_GRACE: Final = 0.002


class Recovery:
    __slots__ = (
        "_phase",
        "_progress",
        "_query_at",
        "_recovery_end",
        "_reorder_at",
        "_revived",
        "_rto_at",
        "_since",
        "_tail_probe_at",
        "_tail_probe_spent",
        "_timeouts",
        "congestion",
        "doubted",
        "flight",
        "heard",
        "lost",
        "mtu",
        "mtu_probe",
        "query_due",
        "rtt",
        "tail_probe_due",
        "timed_out",
    )

    def __init__(self, first: int, phase: int, now: float) -> None:
        self.flight = Flight(first, now)
        self.rtt = Rtt()
        self.congestion = Bbr(now, phase)
        self.mtu = PathMtu()
        self.mtu_probe: tuple[int, int] | None = None
        """The number and the size of the MTU probe that is out."""
        self.tail_probe_due = False
        """One packet should leave, whatever the windows say."""
        self.query_due = False
        """A HEARTBEAT should leave."""
        self.timed_out = False
        self.heard = False
        """The peer sent something from where the path leads, or got something through it: it is there, and wants it."""
        self.doubted = False
        """A packet was not acknowledged in time, and nothing came since."""
        self.lost = 0
        self._phase = phase
        self._since = first
        """Packets from this number on took the present path."""
        self._progress = first
        self._timeouts = 0
        self._revived = 0
        """How many timeouts there had been when the last sign of life came."""
        self._recovery_end: int | None = None
        self._tail_probe_spent = False
        """One per round-trip sample."""
        self._rto_at = self._tail_probe_at = self._reorder_at = self._query_at = math.inf

    @property
    def stalled(self) -> bool:
        """So long nothing has got through that the path may be gone."""
        return self._timeouts - self._revived >= STALL_TIMEOUTS

    def revive(self, now: float) -> None:
        """Something arrived, if not what is waited for: that leaves once more, and gets its time."""
        self._revived = self._timeouts
        self._believe()
        if not self.flight.empty:
            self.tail_probe_due = True
            self._rto_at = now + self.rtt.rto

    def _believe(self) -> None:
        self.doubted = False
        self._query_at = math.inf

    def restart(self, now: float) -> None:
        """The path is another one now: nothing learned about the old one holds (RFC 9000 section 9.4)."""
        self._since = self.flight.next
        self.rtt = Rtt()
        self.congestion = Bbr(now, self._phase)
        self.mtu = PathMtu()
        self.mtu_probe = None
        self._recovery_end = None

    def acknowledge(self, ack: int, now: float) -> None:
        self.flight.acknowledge(ack, now, self.rtt)

    def sack(self, blocks: Sequence[tuple[int, int]], now: float) -> None:
        self.flight.sack(blocks, now, self.rtt)

    def settle(self, now: float) -> None:
        """Draw the conclusions of all acknowledgements since the last call: once per batch of received packets."""
        flight = self.flight
        if not flight.newly_delivered and flight.una == self._progress:
            return
        sample = flight.settle(self._since, self.rtt.minimum, now)
        if sample.rtt is not None:
            self.rtt.sample(sample.rtt, now)
            self._tail_probe_spent = False
        if flight.una > self._progress:
            self._progress = flight.una
            self._timeouts = self._revived = 0
            self.heard = True
            self._believe()
        self._settle_mtu()
        if self._recovery_end is not None and flight.una >= self._recovery_end:
            self._recovery_end = None
            self.congestion.on_recovered()
        lost = self._detect_losses(sample.newly_delivered, now)
        self.congestion.on_ack(sample, lost, flight.delivered, flight.size, now)
        if self.congestion.probing_rtt:
            flight.mark_app_limited()
        self._rto_at = math.inf if flight.empty else now + self.rtt.rto
        self._arm_tail_probe(now)

    def on_resent(self, start: int, end: int, now: float) -> None:
        """Packets leave again, without padding: what arrives now proves nothing about a larger size."""
        self.flight.sent_again(start, end, now)
        if self.mtu_probe is not None and start <= self.mtu_probe[0] < end:
            self.mtu_probe = None
            self.mtu.on_probe_lost()

    def on_sent(self, now: float) -> None:
        """Packets left."""
        if self._rto_at == math.inf:
            self._rto_at = now + self.rtt.rto
        self._arm_tail_probe(now)

    def deadline(self) -> float:
        return min(self._rto_at, self._tail_probe_at, self._reorder_at, self._query_at)

    def expire(self, now: float) -> None:
        if now >= self._reorder_at:
            self._detect_losses(0, now)
        if now >= self._query_at:
            self.query_due = True
            self._query_at = now + QUERY_INTERVAL
        if now >= self._rto_at:
            self._time_out(now)
        elif now >= self._tail_probe_at:
            self._tail_probe_at = math.inf
            self._tail_probe_spent = True
            self.tail_probe_due = True
            self._rto_at = now + self.rtt.rto

    def _settle_mtu(self) -> None:
        if self.flight.una > self._since:
            self.mtu.start()
        if self.mtu_probe is not None:
            number, size = self.mtu_probe
            if number < self.flight.una or number in self.flight.sacked:
                self.mtu_probe = None
                self.mtu.on_probe_delivered(size)

    def _detect_losses(self, newly_delivered: int, now: float) -> int:
        recovering = self._recovery_end is not None
        found, self._reorder_at = self.flight.detect_losses(recovering, self.rtt, now)
        count = self._count_losses(found)
        if count and not recovering:
            self._recovery_end = self.flight.next
            self.congestion.on_recovery(self.flight.size, newly_delivered)
        return count

    def _count_losses(self, found: list[tuple[int, int]]) -> int:
        """How many of the lost packets speak of congestion: a lost MTU probe only speaks of its size."""
        count = sum(end - start for start, end in found)
        if self.mtu_probe is not None and any(start <= self.mtu_probe[0] < end for start, end in found):
            self.mtu_probe = None
            self.mtu.on_probe_lost()
            count -= 1
        self.lost += count
        return count

    def _time_out(self, now: float) -> None:
        self._timeouts += 1
        if self._timeouts >= MAX_TIMEOUTS:
            self.timed_out = True
        self._rto_at = now + BACKOFF * self.rtt.rto
        self.doubted = True
        # an address that never answered gets the retransmissions only: who it belongs to may have asked for nothing
        self._query_at = now + QUERY_INTERVAL if self.heard else math.inf
        self._tail_probe_at = self._reorder_at = math.inf
        self._count_losses(self.flight.time_out(self.rtt, now))
        self._recovery_end = self.flight.next
        self.congestion.on_timeout(self.flight.size)

    def _arm_tail_probe(self, now: float) -> None:
        """Only where loss detection has nothing to go by yet (udx.md section 7, RFC 8985 section 7)."""
        self._tail_probe_at = math.inf
        flight, smoothed = self.flight, self.rtt.smoothed
        if (
            flight.empty
            or smoothed is None
            or self._tail_probe_spent
            or self._recovery_end is not None
            or flight.sacked
        ):
            return
        wait = max(2 * smoothed, SHORTEST_TAIL_PROBE) + (LONE_PACKET_GRACE if flight.size == 1 else 0.0)
        if now + wait < self._rto_at:
            self._tail_probe_at = now + wait
