"""Own requests: matching, congestion, sockets, suspending. How long they wait is in `test_rpc_waiting`."""

from __future__ import annotations

from itertools import pairwise

import pytest

from holepunch.core import CLIENT, SERVER, Role
from swarm.kademlia.ids import node_id
from swarm.kademlia.inflight import MAX_IN_FLIGHT
from swarm.kademlia.rpc import Reply
from tests.kademlia.bench import ELSEWHERE, HERE, PUNCH, TARGET, THERE, Bench

# -- asking


def test_retransmissions_are_the_same_bytes() -> None:
    bench = Bench()
    bench.ask(value=b"value", target=TARGET)
    bench.rpc.firewalled = False  # changes where new requests leave from, not this one
    bench.run(4)
    assert len(set(bench.sent)) == 1


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
