from __future__ import annotations

from holepunch.udx.congestion import HIGH_GAIN, INITIAL_WINDOW, MIN_WINDOW, Bbr, Mode, Sample


class Path:
    """Acknowledges a window at a time, at a bandwidth (packets per second) and a round trip that the test sets."""

    def __init__(self, rate: float, rtt: float = 0.1) -> None:
        self.bbr = Bbr(0.0)
        self.rate, self.rtt = rate, rtt
        self.now, self.delivered = 0.0, 0

    def rounds(self, count: int, *, app_limited: bool = False, lost: int = 0, overstated: bool = False) -> None:
        for _ in range(count):
            out = self.bbr.window
            rate = min(out / self.rtt, self.rate)
            rtt = max(self.rtt, out / self.rate)
            prior = self.delivered
            self.now += rtt
            self.delivered += out
            sample = Sample(rate, app_limited, overstated, prior, out, rtt)
            self.bbr.on_ack(sample, lost, self.delivered, 0, self.now)


def test_nothing_is_paced_before_the_first_sample() -> None:
    bbr = Bbr(0.0)
    assert bbr.window == INITIAL_WINDOW
    assert bbr.pacing_rate is None


def test_startup_grows_the_window_each_round_until_the_pipe_is_full() -> None:
    path = Path(rate=5000)
    path.rounds(4)
    assert not path.bbr.filled
    assert path.bbr.window > 8 * INITIAL_WINDOW
    path.rounds(10)
    assert path.bbr.filled
    assert path.bbr.mode is Mode.PROBE_BW
    assert path.bbr.bandwidth == 5000


def test_cruising_keeps_two_bandwidth_delay_products_in_flight() -> None:
    path = Path(rate=5000)
    path.rounds(20)
    assert 2 * 500 <= path.bbr.window <= 2 * 500 * 1.6


def test_what_the_application_holds_back_says_nothing_about_the_path() -> None:
    path = Path(rate=5000)
    path.rounds(15)
    path.rate = 100
    path.rounds(30, app_limited=True)
    assert path.bbr.bandwidth == 5000


def test_an_idle_application_does_not_slow_its_first_bulk_transfer() -> None:
    bbr = Bbr(0.0)
    bbr.on_ack(Sample(10.0, True, False, 0, 1, 0.1), 0, 1, 0, 0.1)
    assert bbr.pacing_rate is not None
    assert bbr.pacing_rate >= HIGH_GAIN * INITIAL_WINDOW / 0.1


def test_an_overstated_rate_confirms_but_never_raises_the_estimate() -> None:
    path = Path(rate=5000)
    path.rounds(15)
    path.rate = 9000
    path.bbr.window = 2000
    path.rounds(1, overstated=True)
    assert path.bbr.bandwidth == 5000


def test_recovery_takes_away_the_queue_but_not_what_the_path_itself_holds() -> None:
    path = Path(rate=5000)
    path.rounds(20)
    before = path.bbr.window
    path.bbr.on_recovery(in_flight=50, newly_delivered=1)
    assert 500 <= path.bbr.window < before
    path.bbr.on_recovered()
    assert path.bbr.window == before


def test_a_timeout_leaves_one_packet_and_the_next_acks_bring_the_window_back() -> None:
    path = Path(rate=5000)
    path.rounds(20)
    path.bbr.on_timeout(in_flight=0)
    assert path.bbr.window == 1
    path.rounds(1)
    assert path.bbr.window == MIN_WINDOW
    path.bbr.on_recovered()
    assert path.bbr.window > 500


def test_the_round_trip_is_measured_anew_with_almost_nothing_in_flight() -> None:
    path = Path(rate=5000)
    path.rounds(20)
    path.rtt = 0.2
    while path.bbr.mode is not Mode.PROBE_RTT:
        path.rounds(1)
        assert path.now < 20
    assert path.bbr.window == MIN_WINDOW
    path.rounds(4)
    assert path.bbr.window > MIN_WINDOW


def test_losses_on_a_short_path_bring_the_window_down_to_what_arrived() -> None:
    path = Path(rate=200_000, rtt=0.0002)
    path.rounds(30)
    unlimited = path.bbr.window
    out = path.bbr.window
    path.delivered += 300
    path.now += 0.001
    path.bbr.on_ack(Sample(200_000, False, False, path.delivered, 300, 0.001), out - 300, path.delivered, 0, path.now)
    assert path.bbr.window <= 300 < unlimited
    path.rounds(200)
    assert path.bbr.window > 300, "and it is tried again, little by little"


def test_losses_on_a_long_path_do_not() -> None:
    path = Path(rate=5000)
    path.rounds(20)
    before = path.bbr.window
    path.bbr.on_ack(Sample(5000, False, False, path.delivered, 100, 0.1), 300, path.delivered + 100, 0, path.now + 0.1)
    assert path.bbr.window == before


def test_flows_begin_their_cycles_in_any_phase_but_the_draining_one() -> None:
    gains = set()
    for phase in range(14):
        path = Path(rate=5000)
        path.bbr = Bbr(0.0, phase)
        while path.bbr.mode is not Mode.PROBE_BW:
            path.rounds(1)
        gains.add(path.bbr._pacing_gain())
    assert gains == {1.25, 1.0}
