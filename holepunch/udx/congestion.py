"""Congestion control: BBR version 1, in packets and seconds (draft-cardwell-iccrg-bbr-congestion-control-00).

Knows delivery rate samples and how much is in flight; knows no packets, buffers or timers.
The constants are Node's (udx.md section 7), and so is counting packets rather than bytes.
"""

from __future__ import annotations

import math
from enum import Enum
from typing import Final, NamedTuple

from holepunch.udx.rtt import WindowedExtreme

__all__ = ["INITIAL_WINDOW", "MIN_WINDOW", "Bbr", "Mode", "Sample"]

INITIAL_WINDOW: Final = 10
MIN_WINDOW: Final = 4
HIGH_GAIN: Final = 2.88539
"""2/ln 2: the smallest gain that doubles the delivery rate each round."""
CWND_GAIN: Final = 2.0
CYCLE: Final = (1.25, 0.75, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
DRAINING_PHASE: Final = 1
PACING_MARGIN: Final = 0.99
"""Pace a little below the estimate, so that a queue built by its error drains again."""
BANDWIDTH_ROUNDS: Final = 10
MIN_RTT_WINDOW: Final = 10.0
PROBE_RTT_TIME: Final = 0.2
FULL_PIPE_GROWTH: Final = 1.25
FULL_PIPE_ROUNDS: Final = 3
AGGREGATION_ROUNDS: Final = 5
"""The allowance is the maximum of two windows of this many rounds."""
AGGREGATION_TIME: Final = 0.1

SHORTEST_RTT: Final = 0.001
"""The shortest round trip the model works with, as in Node, whose clock ticks in milliseconds.

Below it the time that two processes take to be scheduled is larger than that of the path, and a window of two
bandwidth-delay products would leave the path idle most of the time.
"""

SHORT_PATH: Final = 0.005
"""On round trips below it, loss corrects the window (`Ceiling`)."""
TOLERATED_LOSS: Final = 0.02
CEILING_GROWTH: Final = 1 / 32


class Mode(Enum):
    STARTUP = "find the bandwidth"
    DRAIN = "empty the queue that startup made"
    PROBE_BW = "cruise, and look for more now and then"
    PROBE_RTT = "hold almost nothing in flight to see the true round trip"


class Sample(NamedTuple):
    """What one acknowledgement tells (draft-cheng-iccrg-delivery-rate-estimation section 3)."""

    rate: float | None
    """Packets per second; None when no rate can be told."""
    app_limited: bool
    """The rate shows what the application sent, not what the path can carry."""
    overstated: bool
    """Some of what seems to have arrived since the sampled packet left had arrived before."""
    prior_delivered: int
    """How many packets had been delivered when the sampled packet left."""
    newly_delivered: int
    rtt: float | None


class Ceiling:
    """What may be in flight on a short path, as its losses show.

    There the window is mostly made of allowances, for timers, bursts and batches of ACKs, and not of what the path
    holds; and they may be more than the receiver's socket buffer takes. BBR would go on overrunning it.
    """

    __slots__ = ("_arrived", "_lost", "_peak", "packets")

    def __init__(self) -> None:
        self.packets = math.inf
        self._peak = self._lost = self._arrived = 0

    def on_ack(self, arrived: int, lost: int, in_flight: int) -> None:
        self._arrived += arrived
        self._lost += lost
        self._peak = max(self._peak, in_flight + arrived + lost)

    def on_round(self, least: float) -> None:
        """A round is over. ``least`` is what the path itself holds."""
        if self._lost > TOLERATED_LOSS * (self._lost + self._arrived):
            self.packets = max(least, min(self.packets, self._peak) - self._lost)
        elif self._peak > self.packets * (1 - CEILING_GROWTH):
            self.packets += self.packets * CEILING_GROWTH
        self._peak = self._lost = self._arrived = 0


class Bbr:
    """``window`` packets may be in flight, leaving at ``pacing_rate`` packets per second (None: unknown yet).

    ``phase`` is any number: flows that share a path should begin their probing cycles at different phases.
    """

    __slots__ = (
        "_aggregate",
        "_aggregate_rounds",
        "_bandwidth",
        "_ceiling",
        "_conserving",
        "_cycle_at",
        "_cycle_index",
        "_epoch_acked",
        "_epoch_at",
        "_full_rate",
        "_full_rounds",
        "_idle_restart",
        "_last_aggregate",
        "_min_rtt",
        "_min_rtt_at",
        "_phase",
        "_prior_window",
        "_probe_rtt_done_at",
        "_probe_rtt_round_done",
        "_recovering",
        "_round_end",
        "_rounds",
        "_shortest",
        "bandwidth",
        "filled",
        "mode",
        "pacing_rate",
        "window",
    )

    def __init__(self, now: float, phase: int = 0) -> None:
        self.mode = Mode.STARTUP
        self.window = INITIAL_WINDOW
        self.pacing_rate: float | None = None
        self.filled = False
        self._phase = phase
        self.bandwidth = 0.0
        """Packets per second that the path was seen to deliver; 0 before the first sample."""
        self._bandwidth = WindowedExtreme(BANDWIDTH_ROUNDS, 1)
        self._min_rtt: float | None = None
        self._shortest = math.inf
        """The shortest round trip ever, as it was."""
        self._ceiling: Ceiling | None = None
        self._min_rtt_at = now
        self._rounds = 0
        self._round_end = 0
        self._full_rate = 0.0
        self._full_rounds = 0
        self._cycle_index = 0
        self._cycle_at = now
        self._probe_rtt_done_at: float | None = None
        self._probe_rtt_round_done = False
        self._idle_restart = False
        self._recovering = False
        self._conserving = False
        self._prior_window = 0
        self._epoch_at = now
        self._epoch_acked = 0
        self._aggregate = self._last_aggregate = 0.0
        self._aggregate_rounds = 0

    @property
    def probing_rtt(self) -> bool:
        """The window is kept small on purpose: what is delivered now says nothing about the bandwidth."""
        return self.mode is Mode.PROBE_RTT

    def on_ack(self, sample: Sample, newly_lost: int, delivered: int, in_flight: int, now: float) -> None:
        """``delivered`` in total, ``in_flight`` after this acknowledgement and the losses it showed."""
        new_round = self._update_round(sample, delivered)
        self._update_bandwidth(sample)
        self._update_aggregation(sample, new_round, now)
        if self.mode is Mode.PROBE_BW:
            self._update_cycle(in_flight, in_flight + sample.newly_delivered + newly_lost, newly_lost > 0, now)
        else:
            if new_round and not self.filled and not sample.app_limited:
                self._check_full_pipe()
            self._check_drain(in_flight, now)
        self._update_min_rtt(sample, new_round, delivered, in_flight, now)
        self._update_ceiling(sample, newly_lost, new_round, in_flight)
        self._set_pacing_rate(self._pacing_gain())
        self._set_window(sample.newly_delivered, newly_lost, delivered, in_flight)

    def on_restart(self, now: float) -> None:
        """Something is sent again after the application had nothing to send (draft section 4.2.2)."""
        self._idle_restart = True
        self._epoch_at = now
        self._epoch_acked = 0
        if self.mode is Mode.PROBE_BW:
            self._set_pacing_rate(1.0)
        elif self.mode is Mode.PROBE_RTT:
            self._check_probe_rtt_done(now)

    def on_recovery(self, in_flight: int, newly_delivered: int) -> None:
        """Packets are lost for the first time in this flight: for one round send no more than what arrives.

        What the path itself holds, without a queue, is no cause of loss, though, and is never taken away. Otherwise a
        path with random loss, where one recovery follows the other, would not recover from a pause for many rounds.
        """
        self._save_window()
        self._recovering = self._conserving = True
        self.window = max(in_flight + max(newly_delivered, 1), min(self.window, int(self._target(1.0))))

    def on_recovered(self) -> None:
        self._recovering = self._conserving = False
        self.window = max(self.window, self._prior_window)

    def on_timeout(self, in_flight: int) -> None:
        self._save_window()
        self._recovering = True
        self._conserving = False
        self._full_rate = 0.0
        self.window = in_flight + 1

    def _save_window(self) -> None:
        if self._recovering or self.mode is Mode.PROBE_RTT:
            self._prior_window = max(self._prior_window, self.window)
        else:
            self._prior_window = self.window

    def _update_round(self, sample: Sample, delivered: int) -> bool:
        if sample.rate is None or sample.prior_delivered < self._round_end:
            return False
        self._round_end = delivered
        self._rounds += 1
        self._conserving = False
        return True

    def _update_bandwidth(self, sample: Sample) -> None:
        rate = sample.rate
        if rate is not None and (not sample.app_limited or rate >= self.bandwidth):
            if sample.overstated and self.bandwidth:
                rate = min(rate, self.bandwidth)
            self._bandwidth.update(self._rounds, rate)
            self.bandwidth = self._bandwidth.value or 0.0

    def _update_aggregation(self, sample: Sample, new_round: bool, now: float) -> None:
        """How many more packets than the bandwidth explains were acknowledged at once (Linux tcp_bbr.c): a peer that
        acknowledges once per batch needs that many more in flight to be kept busy."""
        if sample.rate is None or not sample.newly_delivered:
            return
        if new_round:
            self._aggregate_rounds += 1
            if self._aggregate_rounds >= AGGREGATION_ROUNDS:
                self._aggregate_rounds = 0
                self._last_aggregate = self._aggregate
                self._aggregate = 0.0
        expected = self.bandwidth * (now - self._epoch_at)
        if self._epoch_acked <= expected:
            self._epoch_acked = 0
            self._epoch_at = now
            expected = 0.0
        self._epoch_acked += sample.newly_delivered
        self._aggregate = max(self._aggregate, min(self._epoch_acked - expected, self.window))

    def _update_cycle(self, in_flight: int, before: int, losing: bool, now: float) -> None:
        gain = CYCLE[self._cycle_index]
        over = now - self._cycle_at > self._model_rtt()
        if gain > 1.0:
            over = over and (losing or before >= self._target(gain))
        elif gain < 1.0:
            over = over or in_flight <= self._target(1.0)
        if over:
            self._cycle_index = (self._cycle_index + 1) % len(CYCLE)
            self._cycle_at = now

    def _check_full_pipe(self) -> None:
        if self.bandwidth >= self._full_rate * FULL_PIPE_GROWTH:
            self._full_rate = self.bandwidth
            self._full_rounds = 0
            return
        self._full_rounds += 1
        self.filled = self._full_rounds >= FULL_PIPE_ROUNDS

    def _check_drain(self, in_flight: int, now: float) -> None:
        if self.mode is Mode.STARTUP and self.filled:
            self.mode = Mode.DRAIN
        if self.mode is Mode.DRAIN and in_flight <= self._target(1.0):
            self._enter_probe_bw(now)

    def _enter_probe_bw(self, now: float) -> None:
        self.mode = Mode.PROBE_BW
        # any phase but the draining one, which only makes sense after probing
        index = self._phase % (len(CYCLE) - 1)
        self._cycle_index = index if index < DRAINING_PHASE else index + 1
        self._cycle_at = now

    def _update_min_rtt(self, sample: Sample, new_round: bool, delivered: int, in_flight: int, now: float) -> None:
        expired = now > self._min_rtt_at + MIN_RTT_WINDOW
        if sample.rtt is not None:
            rtt = max(sample.rtt, SHORTEST_RTT)
            if self._min_rtt is None or rtt <= self._min_rtt or expired:
                self._min_rtt = rtt
                self._min_rtt_at = now
        if expired and not self._idle_restart and self.mode is not Mode.PROBE_RTT:
            self._save_window()
            self.mode = Mode.PROBE_RTT
            self._probe_rtt_done_at = None
        if self.mode is Mode.PROBE_RTT:
            if self._probe_rtt_done_at is None:
                if in_flight <= MIN_WINDOW:
                    self._probe_rtt_done_at = now + PROBE_RTT_TIME
                    self._probe_rtt_round_done = False
                    self._round_end = delivered
            else:
                self._probe_rtt_round_done = self._probe_rtt_round_done or new_round
                if self._probe_rtt_round_done:
                    self._check_probe_rtt_done(now)
        if sample.newly_delivered:
            self._idle_restart = False

    def _check_probe_rtt_done(self, now: float) -> None:
        if self._probe_rtt_done_at is None or now <= self._probe_rtt_done_at:
            return
        self._min_rtt_at = now
        self.window = max(self.window, self._prior_window)
        if self.filled:
            self._enter_probe_bw(now)
        else:
            self.mode = Mode.STARTUP

    def _update_ceiling(self, sample: Sample, newly_lost: int, new_round: bool, in_flight: int) -> None:
        if sample.rtt is not None and sample.rtt < self._shortest:
            self._shortest = sample.rtt
        if self._shortest < SHORT_PATH:
            if self._ceiling is None:
                if not newly_lost:
                    return
                self._ceiling = Ceiling()
            self._ceiling.on_ack(sample.newly_delivered, newly_lost, in_flight)
            if new_round:
                self._ceiling.on_round(self.bandwidth * self._shortest + 3 * self._quantum())

    def _model_rtt(self) -> float:
        return self._min_rtt if self._min_rtt is not None else SHORTEST_RTT

    def _quantum(self) -> float:
        """Packets that leave in one burst: a millisecond's worth, one or two on slow paths (draft section 4.2.2.1)."""
        rate = self.pacing_rate or 0.0
        return 1.0 if rate < 100 else 2.0 if rate < 2000 else min(rate / 1000, 44.0)

    def _target(self, gain: float) -> float:
        if self._min_rtt is None:
            return INITIAL_WINDOW
        return self.bandwidth * self._min_rtt * gain + 3 * self._quantum()

    def _pacing_gain(self) -> float:
        match self.mode:
            case Mode.STARTUP:
                return HIGH_GAIN
            case Mode.DRAIN:
                return 1 / HIGH_GAIN
            case Mode.PROBE_BW:
                return CYCLE[self._cycle_index]
            case Mode.PROBE_RTT:
                return 1.0

    def _set_pacing_rate(self, gain: float) -> None:
        if not self.bandwidth:
            return
        rate = gain * self.bandwidth * PACING_MARGIN
        if not self.filled:
            # what little an application has sent so far must not slow down its first bulk transfer
            rate = max(rate, HIGH_GAIN * INITIAL_WINDOW / self._model_rtt(), self.pacing_rate or 0.0)
        self.pacing_rate = rate

    def _set_window(self, newly: int, newly_lost: int, delivered: int, in_flight: int) -> None:
        if self._recovering and newly_lost:
            self.window = max(self.window - newly_lost, 1)
        if self._conserving:
            self.window = max(self.window, in_flight + newly)
        else:
            target = self._target(HIGH_GAIN if self.mode in (Mode.STARTUP, Mode.DRAIN) else CWND_GAIN)
            if self.filled:
                aggregate = max(self._aggregate, self._last_aggregate)
                target += min(aggregate, self.bandwidth * AGGREGATION_TIME)
                self.window = min(self.window + newly, int(target))
            elif self.window < target or delivered < INITIAL_WINDOW:
                self.window += newly
            self.window = max(self.window, MIN_WINDOW)
        if self._ceiling is not None and self.window > self._ceiling.packets:
            self.window = int(self._ceiling.packets)
        if self.mode is Mode.PROBE_RTT:
            self.window = min(self.window, MIN_WINDOW)
