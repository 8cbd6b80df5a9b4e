"""What one source, and all of them, may cost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from holepunch.address import Address
from holepunch.admission import (
    MAX_SOURCES,
    REQUESTS,
    REQUESTS_PER_HOST,
    REQUESTS_PER_NEIGHBOUR,
    Budget,
    Rate,
)
from swarm.kademlia.packets import MAX_PACKET, ResponsePacket, encode_response

HOST = Address("8.8.8.8", 1)
PLENTY = Rate(1e6, 1e6)


def admitted(budget: Budget, host: str, now: float, times: int) -> int:
    return sum(budget.admit(host, now) for _ in range(times))


def test_what_a_forged_host_receives_is_what_the_rate_says() -> None:
    per_second = REQUESTS_PER_HOST.per_second
    ordinary = ResponsePacket(0, HOST, bytes(32), bytes(32), [HOST] * 20, 0, None)
    assert per_second * len(encode_response(ordinary)) == 19_500
    assert per_second * MAX_PACKET == 125_200


def test_source_has_its_burst_and_then_its_rate() -> None:
    budget = Budget(Rate(10, 30), PLENTY)
    assert admitted(budget, "8.8.8.8", 0, 100) == 30
    assert admitted(budget, "8.8.8.8", 1, 100) == 10
    assert admitted(budget, "8.8.8.8", 1000, 100) == 30
    assert budget.refused == 70 + 90 + 70


def test_total_bounds_what_many_sources_cost_together() -> None:
    budget = Budget(Rate(10, 30), Rate(50, 100))
    assert sum(admitted(budget, f"8.8.8.{n}", 0, 30) for n in range(20)) == 100


def test_source_over_its_rate_uses_up_nothing_of_the_others() -> None:
    budget = Budget(Rate(1, 1), Rate(10, 10))
    assert admitted(budget, "8.8.8.8", 0, 1000) == 1
    assert sum(admitted(budget, f"8.8.4.{n}", 0, 1) for n in range(20)) == 9


def test_source_refused_for_the_total_keeps_its_own_budget() -> None:
    budget = Budget(Rate(0.001, 5), Rate(10, 10))
    for n in range(2):
        admitted(budget, f"8.8.4.{n}", 0, 5)
    assert admitted(budget, "8.8.8.8", 0, 50) == 0
    assert admitted(budget, "8.8.8.8", 1, 50) == 5


def test_costly_admission_counts_for_several() -> None:
    budget = Budget(Rate(1, 10), PLENTY)
    assert budget.admit("8.8.8.8", 0, cost=7)
    assert not budget.admit("8.8.8.8", 0, cost=4)
    assert budget.admit("8.8.8.8", 0, cost=3)


def test_neighbours_may_have_a_rate_of_their_own() -> None:
    budget = Budget(Rate(1, 1), PLENTY, neighbours=Rate(1000, 1000))
    for host in ("127.0.0.1", "192.168.1.7", "10.9.8.7"):
        assert admitted(budget, host, 0, 2000) == 1000
    assert admitted(budget, "8.8.8.8", 0, 2000) == 1


def test_whole_test_network_on_one_loopback_host_is_not_throttled() -> None:
    budget = Budget(REQUESTS_PER_HOST, REQUESTS, neighbours=REQUESTS_PER_NEIGHBOUR)
    for second in range(10):
        assert admitted(budget, "127.0.0.1", float(second), 2000) == 2000


def test_memory_stays_bounded_and_the_busiest_source_is_not_forgotten() -> None:
    budget = Budget(Rate(1, 5), PLENTY)
    admitted(budget, "8.8.8.8", 0, 5)
    for n in range(3 * MAX_SOURCES):
        budget.admit(f"9.{n >> 16}.{n >> 8 & 255}.{n & 255}", 0)
        assert not budget.admit("8.8.8.8", 0)
    assert len(budget._sources) == MAX_SOURCES


@given(st.lists(st.floats(0, 0.5), max_size=200))
def test_no_interval_admits_more_than_burst_and_rate_allow(pauses: list[float]) -> None:
    budget = Budget(Rate(5, 10), PLENTY)
    now = 0.0
    times = []
    for pause in pauses:
        now += pause
        times += [now] * admitted(budget, "8.8.8.8", now, 3)
    for i, start in enumerate(times):
        for j in range(i, len(times)):
            assert j - i + 1 <= 10 + 5 * (times[j] - start) + 1e-6
