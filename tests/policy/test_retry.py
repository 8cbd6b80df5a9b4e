import random

import pytest

from holepunch.core import Schedule
from swarm.policy import Backoffs, PeerInfo
from swarm.policy.peers import PeerBook
from swarm.policy.retry import BulkTimer, RetryTimers

BACKOFFS = Backoffs(0.1, 0.2, 0.3, 0.4)


class Bench:
    def __init__(self) -> None:
        self.schedule = Schedule()
        self.book = PeerBook(self.schedule, lambda peer: None, lambda peer: None)
        self.batches: list[tuple[float, list[PeerInfo]]] = []

    def peer(self, number: int, proven: bool = False, attempts: int = 0, explicit: bool = False) -> PeerInfo:
        peer = self.book.add(bytes([number]) * 32)
        peer.proven, peer.attempts, peer.explicit = proven, attempts, explicit
        return peer

    def fire(self, batch: list[PeerInfo]) -> None:
        self.batches.append((self.schedule.now, batch))

    def timers(self) -> RetryTimers:
        return RetryTimers(self.schedule, random.Random(1), self.fire, BACKOFFS, 0.0)

    def run(self, until: float) -> None:
        while self.schedule.deadline() <= until:
            self.schedule.advance(self.schedule.deadline())
        self.schedule.advance(until)


def test_entries_added_together_come_in_one_batch() -> None:
    bench = Bench()
    timer = BulkTimer(bench.schedule, 0.05, bench.fire)
    peers = [bench.peer(n) for n in range(3)]
    for peer in peers:
        timer.add(peer)
    bench.run(1)
    assert [batch for _, batch in bench.batches] == [peers]


def test_entries_of_different_intervals_come_in_different_batches() -> None:
    bench = Bench()
    timer = BulkTimer(bench.schedule, 0.05, bench.fire)
    first, second = bench.peer(1), bench.peer(2)
    timer.add(first)
    bench.run(0.04)
    timer.add(second)
    bench.run(1)
    assert [batch for _, batch in bench.batches] == [[first], [second]]


def test_an_empty_timer_fires_nothing_and_wakes_nobody() -> None:
    bench = Bench()
    timer = BulkTimer(bench.schedule, 0.05, bench.fire)
    assert bench.schedule.deadline() == float("inf")
    timer.add(bench.peer(1))
    bench.run(1)
    assert len(bench.batches) == 1
    assert bench.schedule.deadline() == float("inf")


@pytest.mark.parametrize("start", [0.0, 0.01, 0.3, 0.659, 0.66, 1.0, 7.7])
def test_an_entry_waits_between_two_and_four_thirds_of_the_time(start: float) -> None:
    bench = Bench()
    timer = BulkTimer(bench.schedule, 1.0, bench.fire)
    timer.add(bench.peer(1))
    bench.run(start)
    timer.add(bench.peer(2))
    bench.run(20)
    waited = bench.batches[-1][0] - start
    assert 0.66 - 1e-9 <= waited <= 1.32 + 1e-9


def test_a_discarded_entry_is_not_fired_in_either_generation() -> None:
    bench = Bench()
    timer = BulkTimer(bench.schedule, 1.0, bench.fire)
    older, newer = bench.peer(1), bench.peer(2)
    timer.add(older)
    bench.run(0.7)
    timer.add(newer)
    timer.discard(older)
    timer.discard(newer)
    bench.run(10)
    assert bench.batches == []


@pytest.mark.parametrize(
    ("proven", "attempts", "explicit", "time"),
    [
        (False, 0, False, 0.1),
        (True, 0, False, 0.1),
        (True, 1, False, 0.1),
        (True, 2, False, 0.2),
        (True, 3, False, 0.3),
        (False, 1, False, 0.2),
        (False, 2, False, 0.3),
        (False, 3, False, 0.3),
        (True, 4, True, 0.4),
        (False, 9, True, 0.4),
    ],
)
def test_the_timer_is_chosen_by_how_the_peer_behaved(proven: bool, attempts: int, explicit: bool, time: float) -> None:
    bench = Bench()
    timers = bench.timers()
    peer = bench.peer(1, proven, attempts, explicit)
    assert timers.add(peer)
    assert peer in timers
    bench.run(5)
    ((at, batch),) = bench.batches
    assert batch == [peer]
    assert at == pytest.approx(1.32 * time)
    assert peer not in timers


@pytest.mark.parametrize("proven", [False, True])
def test_a_peer_found_by_topic_is_given_up_after_four_attempts(proven: bool) -> None:
    bench = Bench()
    timers = bench.timers()
    assert not timers.add(bench.peer(1, proven, 4))
    assert len(timers) == 0


def test_a_proven_peer_fires_again_after_the_short_time() -> None:
    bench = Bench()
    timers = bench.timers()
    peer = bench.peer(1, proven=True, attempts=1)
    for _ in range(2):
        assert timers.add(peer)
        bench.run(bench.schedule.now + 0.3)
    assert [batch for _, batch in bench.batches] == [[peer], [peer]]


def test_banned_and_dismissed_peers_are_not_retried() -> None:
    bench = Bench()
    timers = bench.timers()
    banned, dismissed = bench.peer(1, True, 1), bench.peer(2, True, 1)
    banned.banned = True
    dismissed.reconnect = False
    assert not timers.add(banned)
    assert not timers.add(dismissed)


def test_adding_a_waiting_peer_again_moves_it_to_the_timer_of_now() -> None:
    bench = Bench()
    timers = bench.timers()
    peer = bench.peer(1, proven=True, attempts=1)
    timers.add(peer)
    peer.attempts = 3
    timers.add(peer)
    assert len(timers) == 1
    bench.run(5)
    assert len(bench.batches) == 1
    assert bench.batches[0][0] == pytest.approx(0.396)


def test_cleared_timers_fire_nothing() -> None:
    bench = Bench()
    timers = bench.timers()
    timers.add(bench.peer(1))
    timers.clear()
    bench.run(5)
    assert bench.batches == []
    assert len(timers) == 0


def test_the_four_times_are_drawn_within_their_ranges() -> None:
    for seed in range(50):
        drawn = Backoffs.draw(random.Random(seed))
        assert 1 <= drawn.short <= 1.5
        assert 5 <= drawn.medium <= 6
        assert 15 <= drawn.long <= 17
        assert 600 <= drawn.very_long <= 720
