"""Own requests: matching, retries, congestion, sockets, suspending."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from holepunch.core import CLIENT, SERVER, Role
from swarm.kademlia.ids import node_id
from swarm.kademlia.inflight import MAX_IN_FLIGHT
from swarm.kademlia.packets import PING, PING_NAT
from swarm.kademlia.patience import UNKNOWN
from swarm.kademlia.rpc import Reply

if TYPE_CHECKING:
    from holepunch.signaller import Cancel

from tests.kademlia.bench import ELSEWHERE, HERE, PUNCH, TARGET, THERE, Bench

# -- asking


def test_request_that_nobody_answers_is_sent_four_times_and_fails_after_four_seconds() -> None:
    bench = Bench()
    times: list[float] = []
    bench.rpc.request(THERE, lambda reply: times.append(bench.schedule.now), command=7)
    bench.run(3.99)
    assert len(bench.sent) == 4
    assert not times
    bench.run(10)
    assert times == [4.0]
    assert len(bench.sent) == 4
    assert bench.rpc.timeouts == 1
    assert bench.rpc.retries == 3
    assert bench.rpc.in_flight == 0


def test_retransmissions_are_the_same_bytes() -> None:
    bench = Bench()
    bench.ask(value=b"value", target=TARGET)
    bench.rpc.firewalled = False  # changes where new requests leave from, not this one
    bench.run(4)
    assert len(set(bench.sent)) == 1


@pytest.mark.parametrize(("retries", "delay", "end"), [(0, 0.0, 1.0), (5, 0.0, 6.0), (3, 10.0, 44.0)])
def test_retries_and_delay_are_the_callers_choice(retries: int, delay: float, end: float) -> None:
    bench = Bench()
    bench.ask(retries=retries, delay=delay)
    bench.run(end - 0.01)
    assert bench.replies == []
    bench.run(end)
    assert bench.replies == [None]
    assert len(bench.sent) == retries + 1


def test_each_timeout_is_told() -> None:
    bench = Bench()
    timeouts: list[tuple[int, float]] = []
    bench.ask(on_timeout=lambda attempt: timeouts.append((attempt, bench.schedule.now)))
    bench.run(10)
    assert timeouts == [(1, UNKNOWN), (2, UNKNOWN + 1), (3, UNKNOWN + 2), (4, 4)]


@pytest.mark.parametrize(
    ("options", "tells"),
    [
        ({}, True),
        ({"retries": 0}, True),
        ({"role": SERVER}, True),
        ({"internal": True, "command": PING}, True),
        ({"hops": 2}, False),  # the peer behind the node may be silent
        ({"delay": 1.0}, False),  # a NAT may have forgotten
        ({"internal": True, "command": PING_NAT}, False),  # answered to a socket that a firewall guards
        ({"role": PUNCH}, False),  # whose packets a NAT may hold back
    ],
)
def test_silence_tells_that_a_node_is_gone_only_if_it_was_to_answer_here_and_at_once(
    options: dict[str, Any], tells: bool
) -> None:
    bench = Bench()
    bench.ask(**options)
    while bench.rpc.in_flight:
        assert bench.silent == []
        bench.run(bench.schedule.deadline())
    assert bench.silent == [THERE] * tells


def test_request_that_fails_without_having_timed_out_tells_nothing_of_the_node() -> None:
    bench = Bench()
    bench.ask()
    bench.ask()()
    bench.rpc.suspend()
    bench.ask()
    bench.run(10)
    assert bench.replies == [None, None]
    assert bench.silent == []


def sends_after(bench: Bench, **options: Any) -> list[float]:
    """When a request is sent, counted from its first time, that nobody answers."""
    started, times = bench.schedule.now, []
    before = len(bench.sent)
    bench.ask(ELSEWHERE, **options)
    while bench.rpc.in_flight:
        times += [bench.schedule.now - started] * (len(bench.sent) - before)
        before = len(bench.sent)
        bench.run(bench.schedule.deadline())
    assert bench.schedule.now - started == pytest.approx(4 + 4 * options.get("delay", 0))
    return times


def talk(bench: Bench, rtt: float, times: int = 20, **options: Any) -> None:
    for _ in range(times):
        bench.ask(**options)
        bench.run(bench.schedule.now + rtt)
        bench.answer(bench.asked().tid)


@pytest.mark.parametrize(
    ("rtt", "times"),
    [(0.0, [0, 0.2, 0.6, 1.4]), (0.05, [0, 0.2, 0.6, 1.4]), (0.3, [0, 0.3, 0.9, 1.9]), (0.9, [0, 0.9, 1.9, 2.9])],
)
def test_second_attempt_comes_as_soon_as_nodes_are_known_to_answer_and_each_waits_twice_as_long(
    rtt: float, times: list[float]
) -> None:
    bench = Bench()
    talk(bench, rtt)
    assert sends_after(bench) == pytest.approx(times, abs=0.05)


def test_one_slow_answer_makes_patient_and_one_to_a_third_attempt_tells_nothing() -> None:
    bench = Bench()
    talk(bench, 0.02)
    talk(bench, 0.3, times=1)
    cautious = sends_after(bench)[1]
    assert 0.2 < cautious < 1
    bench.ask()
    bench.run(bench.schedule.now + 3)
    bench.answer(bench.asked().tid)
    assert sends_after(bench)[1] == pytest.approx(cautious)


def test_what_is_passed_on_or_asked_to_wait_is_waited_for_longer_and_tells_nothing_of_other_answers() -> None:
    bench = Bench()
    talk(bench, 0.02)
    talk(bench, 0.5, hops=2)
    talk(bench, 0.5, delay=0.5)
    assert sends_after(bench)[1] == pytest.approx(0.2)
    assert sends_after(bench, hops=2) == pytest.approx([0, 0.4, 1.4, 2.4])
    assert sends_after(bench, delay=2.0) == pytest.approx([0, 2.2, 4.6, 7.4])


def test_node_is_silent_from_its_second_timeout_until_it_is_heard_or_half_a_minute_has_gone_by() -> None:
    bench = Bench()
    bench.ask(THERE)
    silent = []
    while bench.rpc.in_flight:
        bench.run(bench.schedule.deadline())
        silent.append(bench.rpc.is_silent(THERE))
    assert silent == [False, True, True, True]
    assert not bench.rpc.is_silent(ELSEWHERE)
    bench.run(bench.schedule.now + 31)
    assert not bench.rpc.is_silent(THERE)


@pytest.mark.parametrize("how", ["answers", "asks"])
def test_node_that_is_heard_is_silent_no_more(how: str) -> None:
    bench = Bench()
    bench.ask(THERE)
    bench.run(2)
    assert bench.rpc.is_silent(THERE)
    if how == "answers":
        bench.answer(bench.asked().tid)
    else:
        bench.hear(source=THERE)
    assert not bench.rpc.is_silent(THERE)


def test_silence_before_a_pause_says_nothing_after_it() -> None:
    bench = Bench()
    bench.ask(THERE)
    bench.run(2)
    bench.rpc.suspend()
    bench.rpc.resume()
    assert not bench.rpc.is_silent(THERE)


def test_silence_of_others_to_what_is_passed_on_is_not_the_asked_nodes() -> None:
    bench = Bench()
    bench.ask(THERE, hops=2)
    bench.run(10)
    assert not bench.rpc.is_silent(THERE)


def test_request_cancelled_at_its_first_timeout_is_not_sent_again() -> None:
    bench = Bench()
    cancels: list[Cancel] = []
    cancels.append(bench.ask(on_timeout=lambda attempt: cancels[0]()))
    bench.run(10)
    assert len(bench.sent) == 1
    assert bench.replies == []


def test_reply_is_handed_over_once_with_all_it_says() -> None:
    bench = Bench()
    bench.ask(target=TARGET)
    tid = bench.asked().tid
    bench.run(0.25)
    for _ in range(2):
        bench.answer(tid, id=node_id(THERE), token=TARGET, closer=[ELSEWHERE], error=16, value=b"v")
    expected = Reply(THERE, HERE, node_id(THERE), TARGET, [ELSEWHERE], 16, b"v", CLIENT, 0.25)
    assert bench.replies == bench.seen == [expected]
    bench.run(10)
    assert len(bench.sent) == 1
    assert bench.rpc.responses == 1


def test_reply_is_matched_by_transaction_id_wherever_it_comes_from() -> None:
    bench = Bench()
    bench.ask()
    bench.answer(bench.asked().tid + 1 & 0xFFFF)
    assert bench.replies == []
    bench.answer(bench.asked().tid, source=ELSEWHERE, role=SERVER)
    reply = bench.replies[0]
    assert reply is not None
    assert (reply.from_, reply.role) == (ELSEWHERE, SERVER)


def test_id_that_is_not_the_hash_of_the_source_counts_as_none() -> None:
    bench = Bench()
    bench.ask()
    bench.answer(bench.asked().tid, id=node_id(ELSEWHERE))
    reply = bench.replies[0]
    assert reply is not None
    assert reply.id is None
    request = bench.hear(id=node_id(ELSEWHERE))
    assert request is not None
    assert request.id is None


def test_cancelled_request_hears_nothing() -> None:
    bench = Bench()
    cancel = bench.ask()
    cancel()
    cancel()
    bench.answer(bench.asked().tid)
    bench.run(10)
    assert bench.replies == []
    assert len(bench.sent) == 1


def test_transaction_ids_count_up_and_wrap() -> None:
    bench = Bench()
    tids = []
    for _ in range(66_000):
        cancel = bench.ask(force=True)
        tids.append(bench.asked().tid)
        cancel()
    assert all(b == (a + 1) & 0xFFFF for a, b in pairwise(tids))


def test_transaction_id_in_use_is_passed_over() -> None:
    bench = Bench()
    bench.ask(retries=0, delay=1e9)
    first = bench.asked().tid
    tids = set()
    for _ in range(65_536):
        cancel = bench.ask(force=True)
        tids.add(bench.asked().tid)
        cancel()
    assert first not in tids
    assert len(tids) == 65_535


# -- which socket, which id


@pytest.mark.parametrize(
    ("firewalled", "ephemeral", "role", "leaves_from", "has_id"),
    [
        (True, True, None, CLIENT, False),
        (False, True, None, SERVER, False),
        (False, False, None, SERVER, True),
        (False, False, CLIENT, CLIENT, False),
        (False, False, PUNCH, PUNCH, False),
    ],
)
def test_requests_leave_from_the_main_socket_and_ids_only_from_the_servers(
    firewalled: bool, ephemeral: bool, role: Role | None, leaves_from: Role, has_id: bool
) -> None:
    bench = Bench(firewalled=firewalled)
    bench.rpc.ephemeral = ephemeral
    bench.ask(role=role)
    assert bench.sent[0][0] == leaves_from
    assert bench.asked().id == (bench.table.id if has_id else None)


@pytest.mark.parametrize(("role", "has_id"), [(SERVER, True), (CLIENT, False), (PUNCH, False)])
def test_replies_leave_from_the_socket_that_was_asked(role: Role, has_id: bool) -> None:
    bench = Bench()
    bench.rpc.ephemeral = False
    request = bench.hear(role=role)
    assert request is not None
    request.reply()
    assert bench.sent[0][0] == role
    assert bench.sent[0][2] == THERE
    assert bench.replied().to == THERE
    assert (bench.replied().id is not None) == has_id


# -- congestion


def test_only_eighty_requests_leave_at_once_and_the_rest_when_the_window_turns() -> None:
    bench = Bench()
    for _ in range(100):
        bench.ask(retries=0)
    assert len(bench.sent) == 80
    bench.run(0.74)
    assert len(bench.sent) == 80
    bench.run(0.76)
    assert len(bench.sent) == 100
    assert len({data for _, data, _ in bench.sent}) == 100


def test_answers_let_held_requests_leave_before_the_window_turns() -> None:
    bench = Bench()
    for _ in range(100):
        bench.ask(retries=0)
    for n in range(15):
        bench.answer(bench.asked(n).tid)
    bench.run(0.1)
    assert len(bench.sent) == 95


def test_held_requests_leave_in_order_and_time_out_from_when_they_left() -> None:
    bench = Bench()
    for n in range(300):
        bench.ask(retries=0, value=str(n).encode())
    bench.run(20)
    assert [bench.asked(n).value for n in range(300)] == [str(n).encode() for n in range(300)]
    assert bench.replies == [None] * 300


def test_forced_request_is_not_held_back() -> None:
    bench = Bench()
    for _ in range(100):
        bench.ask()
    bench.ask(ELSEWHERE, force=True)
    assert bench.sent[-1][2] == ELSEWHERE


def test_cancelled_request_does_not_leave_later() -> None:
    bench = Bench()
    for _ in range(80):
        bench.ask(retries=0)
    bench.ask(ELSEWHERE)()
    bench.run(10)
    assert all(to == THERE for _, _, to in bench.sent)


def test_cancelling_requests_that_were_held_back_makes_no_room() -> None:
    bench = Bench()
    for _ in range(80):
        bench.ask(retries=0)
    for _ in range(3):
        for cancel in [bench.ask(ELSEWHERE) for _ in range(80)]:
            cancel()
        bench.ask(ELSEWHERE)
        bench.run(0.1)
    assert len(bench.sent) == 80


def test_cancelling_a_request_that_has_left_makes_room_for_one() -> None:
    bench = Bench()
    cancels = [bench.ask(retries=0) for _ in range(80)]
    for _ in range(2):
        bench.ask(ELSEWHERE)
    cancels[0]()
    bench.run(0.1)
    assert len(bench.sent) == 81


def test_replies_do_not_count() -> None:
    bench = Bench()
    for _ in range(200):
        request = bench.hear()
        assert request is not None
        request.reply()
    bench.ask()
    assert len(bench.sent) == 201


def test_runaway_caller_is_told_so_and_costs_bounded_memory() -> None:
    bench = Bench()
    for _ in range(MAX_IN_FLIGHT + 10):
        bench.ask()
    assert bench.rpc.in_flight == MAX_IN_FLIGHT
    assert bench.replies == []
    bench.run(0.1)
    assert bench.replies == [None] * 10


# -- suspending


def test_suspending_fails_what_is_under_way_and_silences_both_directions() -> None:
    bench = Bench()
    bench.ask()
    request = bench.hear()
    assert request is not None
    bench.rpc.suspend()
    assert bench.replies == [None]
    bench.ask()
    assert bench.replies == [None]  # not before the call returned
    bench.run(0.1)
    assert bench.replies == [None, None]
    request.reply()
    request.relay(ELSEWHERE, b"")
    assert bench.hear() is None
    assert len(bench.sent) == 1
    bench.rpc.resume()
    assert bench.hear() is not None
    bench.ask()
    assert len(bench.sent) == 2


def test_requests_held_back_when_suspending_never_leave() -> None:
    bench = Bench()
    for _ in range(100):
        bench.ask(retries=0)
    bench.rpc.suspend()
    assert bench.replies == [None] * 100
    bench.rpc.resume()
    bench.run(10)
    assert len(bench.sent) == 80
    bench.ask()  # the window is empty again
    assert len(bench.sent) == 81


def test_closing_tells_nobody() -> None:
    bench = Bench()
    bench.ask()
    bench.rpc.suspend()
    bench.ask()
    bench.rpc.close()
    bench.ask()
    bench.run(100)
    assert bench.replies == [None]
    assert len(bench.sent) == 1
