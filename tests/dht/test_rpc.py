"""Requests and replies of one node: matching, retries, tokens, congestion, ids and sockets."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holepunch.address import Address
from holepunch.admission import Budget, Rate
from holepunch.core import CLIENT, SERVER, Role, Schedule
from swarm.dht.ids import node_id
from swarm.dht.inflight import MAX_IN_FLIGHT
from swarm.dht.packets import (
    INVALID_TOKEN,
    REQUEST,
    RESPONSE,
    UNKNOWN_COMMAND,
    RequestPacket,
    ResponsePacket,
    decode_request,
    decode_response,
    encode_request,
    encode_response,
)
from swarm.dht.rpc import Reply, Request, Rpc
from swarm.dht.table import Contact, Table

if TYPE_CHECKING:
    from holepunch.signaller import Cancel

HERE = Address("1.1.1.1", 1000)
THERE = Address("2.2.2.2", 2000)
ELSEWHERE = Address("3.3.3.3", 3000)
TARGET = bytes(range(32))
PUNCH: Role = 2
PLENTY = Rate(1e6, 1e6)


class Bench:
    """One `Rpc`, and everything it sends, hands over and hears back."""

    def __init__(self, *, firewalled: bool = True, budget: Budget | None = None) -> None:
        self.schedule = Schedule()
        self.table = Table(node_id(HERE))
        self.sent: list[tuple[Role, bytes, Address]] = []
        self.requests: list[Request] = []
        self.seen: list[Reply] = []
        self.replies: list[Reply | None] = []
        self.rpc = Rpc(
            self,
            self.schedule,
            random.Random(1),
            self.table,
            budget or Budget(PLENTY, PLENTY),
            firewalled=firewalled,
            on_request=self.requests.append,
            on_reply=self.seen.append,
        )

    def send(self, role: Role, data: bytes, to: Address, ttl: int = 0) -> None:
        self.sent.append((role, data, to))

    def open(self) -> Role:
        raise OSError

    def close(self, role: Role) -> None:
        raise OSError

    def ask(self, to: Address = THERE, **options: Any) -> Cancel:
        options.setdefault("command", 7)
        return self.rpc.request(to, self.replies.append, **options)

    def run(self, until: float) -> None:
        while self.schedule.deadline() <= until:
            self.schedule.advance(self.schedule.deadline())
        self.schedule.advance(until)

    def asked(self, number: int = -1) -> RequestPacket:
        return decode_request(self.sent[number][1])

    def answer(self, tid: int, *, source: Address = THERE, role: Role = CLIENT, **fields: Any) -> None:
        packet = ResponsePacket(tid, HERE, None, None, [], 0, None)._replace(**fields)
        self.rpc.receive(role, encode_response(packet), source)

    def hear(self, *, source: Address = THERE, role: Role = SERVER, **fields: Any) -> Request | None:
        """A request comes; what is handed over of it, if it is."""
        count = len(self.requests)
        packet = RequestPacket(5, HERE, None, None, False, 7, None, None)._replace(**fields)
        self.rpc.receive(role, memoryview(encode_request(packet)), source)
        return self.requests[-1] if len(self.requests) > count else None

    def replied(self) -> ResponsePacket:
        return decode_response(self.sent[-1][1])


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


@pytest.mark.parametrize(("retries", "timeout", "end"), [(0, 1.0, 1.0), (5, 1.0, 6.0), (3, 11.0, 44.0)])
def test_retries_and_timeout_are_the_callers_choice(retries: int, timeout: float, end: float) -> None:
    bench = Bench()
    bench.ask(retries=retries, timeout=timeout)
    bench.run(end - 0.01)
    assert bench.replies == []
    bench.run(end)
    assert bench.replies == [None]
    assert len(bench.sent) == retries + 1


def test_first_timeout_is_told_once() -> None:
    bench = Bench()
    slow: list[float] = []
    bench.ask(on_first_timeout=lambda: slow.append(bench.schedule.now))
    bench.run(10)
    assert slow == [1.0]


def test_request_cancelled_at_its_first_timeout_is_not_sent_again() -> None:
    bench = Bench()
    cancels: list[Cancel] = []
    cancels.append(bench.ask(on_first_timeout=lambda: cancels[0]()))
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
    bench.ask(retries=0, timeout=1e9)
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


# -- answering


def fill(table: Table, count: int) -> None:
    for n in range(count):
        address = Address("9.9.9.9", n + 1)
        table.add(Contact(node_id(address), address, None, 0))


@pytest.mark.parametrize(
    ("target", "options", "has_token", "has_closer"),
    [
        (TARGET, {}, True, True),
        (None, {}, True, False),
        (TARGET, {"token": False, "closer": False}, False, False),
        (TARGET, {"error": UNKNOWN_COMMAND}, False, True),
        (TARGET, {"error": 16}, False, True),
        (TARGET, {"error": INVALID_TOKEN}, True, True),
    ],
)
def test_reply_carries_what_its_kind_prescribes(
    target: bytes | None, options: dict[str, Any], has_token: bool, has_closer: bool
) -> None:
    bench = Bench()
    fill(bench.table, 30)
    request = bench.hear(target=target)
    assert request is not None
    request.reply(b"value", **options)
    packet = bench.replied()
    assert packet.tid == 5
    assert packet.value == b"value"
    assert packet.error == options.get("error", 0)
    assert (packet.token is not None) == has_token
    assert len(packet.closer) == (20 if has_closer else 0)


def test_request_is_answered_once() -> None:
    bench = Bench()
    request = bench.hear()
    assert request is not None
    request.reply(b"one")
    request.reply(b"two")
    assert len(bench.sent) == 1


def test_reply_to_another_address_keeps_the_transaction_id_and_carries_that_hosts_token() -> None:
    bench = Bench()
    request = bench.hear()
    assert request is not None
    request.reply(b"x", to=ELSEWHERE, role=PUNCH)
    role, _, to = bench.sent[0]
    packet = bench.replied()
    assert (role, to, packet.to, packet.tid) == (PUNCH, ELSEWHERE, ELSEWHERE, 5)
    assert packet.token is not None
    assert bench.hear(source=THERE, token=packet.token) is None
    assert bench.hear(source=ELSEWHERE, token=packet.token) is not None


def test_relayed_request_keeps_all_but_value_and_token() -> None:
    bench = Bench()
    bench.rpc.ephemeral = False
    token = bench.rpc._tokens.issue(THERE.host, 0)
    request = bench.hear(target=TARGET, value=b"old", token=token)
    assert request is not None
    request.relay(ELSEWHERE, b"new")
    request.relay(THERE, b"again", role=PUNCH)
    assert bench.sent[0][::2] == (SERVER, ELSEWHERE)
    assert bench.asked(0) == RequestPacket(5, ELSEWHERE, bench.table.id, None, False, 7, TARGET, b"new")
    assert bench.asked(1) == RequestPacket(5, THERE, None, None, False, 7, TARGET, b"again")
    assert bench.rpc.in_flight == 0


def test_relayed_request_is_answered_to_the_first_asker_by_transaction_id() -> None:
    asker, relay, server = Bench(), Bench(), Bench()
    asker.ask(THERE, target=TARGET, value=b"hello")
    relay.rpc.receive(SERVER, asker.sent[0][1], HERE)
    relay.requests[0].relay(ELSEWHERE, b"hello from afar")
    server.rpc.receive(SERVER, relay.sent[0][1], THERE)
    server.requests[0].reply(b"hi", to=HERE)
    asker.rpc.receive(CLIENT, server.sent[0][1], ELSEWHERE)
    reply = asker.replies[0]
    assert reply is not None
    assert (reply.value, reply.from_) == (b"hi", ELSEWHERE)


# -- tokens


def test_wrong_token_is_answered_with_a_fresh_one_and_goes_no_further() -> None:
    bench = Bench()
    fill(bench.table, 3)
    assert bench.hear(token=bytes(32), target=TARGET) is None
    packet = bench.replied()
    assert packet.error == INVALID_TOKEN
    assert len(packet.closer) == 3
    assert packet.token is not None
    request = bench.hear(token=packet.token)
    assert request is not None
    assert request.token_valid


def test_token_is_accepted_at_seven_and_refused_at_fifteen_seconds() -> None:
    bench = Bench()
    request = bench.hear()
    assert request is not None
    request.reply()
    token = bench.replied().token
    bench.run(7.4)
    assert bench.hear(token=token) is not None
    bench.run(15.1)
    assert bench.hear(token=token) is None


def test_request_without_token_is_handed_over_as_such() -> None:
    bench = Bench()
    request = bench.hear()
    assert request is not None
    assert not request.token_valid


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


# -- strangers


def test_host_over_its_rate_hears_nothing_while_others_do() -> None:
    bench = Bench(budget=Budget(Rate(10, 20), PLENTY))
    assert sum(bench.hear() is not None for _ in range(100)) == 20
    assert bench.hear(source=ELSEWHERE) is not None
    bench.run(1)
    assert sum(bench.hear() is not None for _ in range(100)) == 10


def test_responses_cost_no_budget() -> None:
    bench = Bench(budget=Budget(Rate(1, 1), Rate(1, 1)))
    for _ in range(20):
        bench.ask()
        bench.answer(bench.asked().tid)
    assert len(bench.seen) == 20


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_impossible_source_port_is_ignored(port: int) -> None:
    assert Bench().hear(source=Address("2.2.2.2", port)) is None


@given(st.sampled_from([b"", bytes([REQUEST]), bytes([RESPONSE])]), st.binary(max_size=200), st.integers(0, 3))
def test_random_datagrams_do_not_raise(first: bytes, data: bytes, role: Role) -> None:
    bench = Bench()
    bench.ask()
    bench.rpc.receive(role, memoryview(first + data), THERE)
    # and with the transaction id of the request under way
    tid = bench.asked().tid.to_bytes(2, "little")
    bench.rpc.receive(role, bytes([RESPONSE]) + data[:1] + tid + data[1:], THERE)
