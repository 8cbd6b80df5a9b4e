"""Offline and degraded, from answers and timeouts per tick."""

from __future__ import annotations

from swarm.kademlia.health import Health

IDLE = (0, 1)
GOOD = (8, 2)
BAD = (4, 6)
DEAD = (0, 6)


class Clinic:
    def __init__(self) -> None:
        self.health = Health()
        self._totals = (0, 0)
        self.ticks(GOOD, GOOD, GOOD)

    def ticks(self, *events: tuple[int, int]) -> list[bool]:
        """Ticks with so many (answers, timeouts); for each, whether it changed the verdict."""
        changed = []
        for answers, timeouts in events:
            self._totals = (self._totals[0] + answers, self._totals[1] + timeouts)
            changed.append(self.health.update(*self._totals))
        return changed

    @property
    def verdict(self) -> tuple[bool, bool]:
        return self.health.online, self.health.degraded


ONLINE = (True, False)
DEGRADED = (True, True)
OFFLINE = (False, False)


def test_nothing_is_judged_in_the_first_three_ticks() -> None:
    health = Health()
    assert [health.update(0, 10 * n) for n in range(1, 5)] == [False] * 4
    assert health.online
    assert health.update(0, 50)
    assert not health.online


def test_two_ticks_without_an_answer_mean_offline_and_one_answer_online() -> None:
    clinic = Clinic()
    assert clinic.ticks(DEAD, DEAD) == [False, True]
    assert clinic.verdict == OFFLINE
    assert clinic.ticks((1, 3)) == [True]
    assert clinic.verdict == ONLINE


def test_any_answer_means_online_again() -> None:
    clinic = Clinic()
    clinic.ticks(DEAD, DEAD)
    assert clinic.ticks((1, 0)) == [True]
    assert clinic.verdict == ONLINE


def test_silence_around_a_node_that_knows_nobody_means_offline_however_little_was_asked() -> None:
    health = Health()
    assert [health.update(0, n, alone=True) for n in range(5)] == [False, False, False, False, True]
    assert not health.online
    assert health.update(1, 5, alone=True)
    assert health.online


def test_idle_ticks_say_nothing() -> None:
    clinic = Clinic()
    assert clinic.ticks(DEAD, IDLE, IDLE, IDLE, DEAD) == [False, False, False, False, True]
    assert clinic.verdict == OFFLINE
    assert clinic.ticks(IDLE, IDLE) == [False, False]


def test_four_bad_ticks_mean_degraded_and_four_good_ones_not() -> None:
    clinic = Clinic()
    assert clinic.ticks(BAD, BAD, BAD, BAD) == [False, False, False, True]
    assert clinic.verdict == DEGRADED
    assert clinic.ticks(GOOD, BAD, GOOD, GOOD, GOOD) == [False] * 5
    assert clinic.ticks(GOOD) == [True]
    assert clinic.verdict == ONLINE


def test_offline_is_not_degraded() -> None:
    clinic = Clinic()
    clinic.ticks(BAD, BAD, BAD, BAD, DEAD, DEAD)
    assert clinic.verdict == OFFLINE


def test_reset_is_online_and_knows_nothing() -> None:
    clinic = Clinic()
    assert not clinic.health.reset()
    clinic.ticks(GOOD, GOOD, GOOD, DEAD, DEAD)
    assert clinic.health.reset()
    assert clinic.verdict == ONLINE
    assert clinic.ticks(DEAD, DEAD, DEAD) == [False, False, False]
