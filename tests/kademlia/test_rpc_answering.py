"""Requests of others: replies, relaying, tokens, rates, garbage."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holepunch.address import Address
from holepunch.admission import Budget, Rate
from holepunch.core import CLIENT, SERVER, Role
from swarm.kademlia.ids import node_id
from swarm.kademlia.packets import (
    INVALID_TOKEN,
    REQUEST,
    RESPONSE,
    UNKNOWN_COMMAND,
    RequestPacket,
)
from swarm.kademlia.table import Contact, Table
from tests.kademlia.bench import ELSEWHERE, HERE, PLENTY, PUNCH, TARGET, THERE, Bench

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
