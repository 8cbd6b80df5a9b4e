"""Section 9 of the protocol note: a stream that moves to another route."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from holepunch.udx import Event
from holepunch.udx.packet import DATA, END, MESSAGE
from tests.udx.pair import Link, Pair, pattern, route
from tests.udx.scripted import REMOTE, Scripted, packet

if TYPE_CHECKING:
    from holepunch.udx import Transmit
    from tests.udx.pair import Peer

NEW_ID = 78


def moved_with_one_lost() -> Scripted:
    """Number 0 was acknowledged, 1 is lost on the old route; then the stream moved, and 2 left on the new one."""
    peer = Scripted()
    peer.write(b"one")
    peer.now += 0.02
    peer.feed(packet(0, 0, ack=1))
    peer.write(b"two")
    peer.stream.change_route(route(5), NEW_ID, peer.now)
    peer.write(b"three")
    return peer


def test_new_packets_take_the_new_route_and_old_ones_are_repeated_on_the_old() -> None:
    peer = moved_with_one_lost()
    assert peer.sent_to[-1] == route(5)
    before = len(peer.sent_to)
    sent = [p for _, p in peer.wait(1.5)]
    routes = dict(zip([p.seq for p in sent], peer.sent_to[before:], strict=True))
    assert routes[1] == route(REMOTE)
    assert next(p.stream_id for p in sent if p.seq == 1) == REMOTE


def test_acks_messages_and_ends_take_the_new_route() -> None:
    peer = moved_with_one_lost()
    peer.stream.send_message(b"here")
    peer.stream.write_end()
    sent = peer.feed(packet(DATA, 0, b"x", ack=1))
    assert {p.flags for p in sent} >= {MESSAGE, END}
    assert {p.stream_id for p in sent} == {NEW_ID}
    assert set(peer.sent_to[-len(sent) :]) == {route(5)}


def test_the_change_is_reported_when_everything_before_is_acknowledged() -> None:
    peer = moved_with_one_lost()
    assert Event.ROUTE_CHANGED not in peer.events
    peer.feed(packet(0, 0, ack=2))
    assert peer.events.count(Event.ROUTE_CHANGED) == 1


def test_the_change_is_reported_at_once_when_nothing_is_outstanding() -> None:
    peer = Scripted()
    peer.stream.change_route(route(5), NEW_ID, peer.now)
    peer.drain()
    assert peer.events == [Event.ROUTE_CHANGED]


def test_packets_that_have_not_left_are_cut_again_for_the_new_route() -> None:
    peer = Scripted()
    data = pattern(100 * 1152)
    peer.stream.write([data])
    peer.stream.write_end()
    sent = peer.drain()
    assert len(sent) == 10
    peer.stream.change_route(route(5), NEW_ID, peer.now)
    peer.now += 0.05
    received = b"".join(bytes(p.payload) for p in sent)
    while not sent[-1].flags & END:
        for new in peer.feed(packet(0, 0, ack=len(sent))) + [p for _, p in peer.wait(0.05)]:
            if new.seq == len(sent):
                assert new.stream_id == NEW_ID
                received += bytes(new.payload)
                sent.append(new)
    assert received == data


def test_the_size_of_packets_falls_back_and_is_probed_again() -> None:
    pair = Pair()
    pair.a.write(pattern(500_000))
    pair.run(until=lambda: pair.b.received_bytes == 500_000)
    assert pair.a.stream.max_message == 1452
    pair.a.stream.change_route(route(2), 2, pair.now)
    assert pair.a.stream.max_message == 1152
    pair.a.write(pattern(500_000))
    pair.run(until=lambda: pair.b.received_bytes == 1_000_000)
    assert pair.a.stream.max_message == 1452


def test_a_transfer_survives_moving_in_the_middle_of_it() -> None:
    pair = Pair(Link(loss=0.05, seed=1), Link(loss=0.05, seed=2))
    data = pattern(1_000_000)
    pair.a.write(data, end=True)
    for step in range(5):
        received = step * 150_000
        pair.run(until=partial(lambda least: pair.b.received_bytes > least, received))
        pair.a.stream.change_route(route(20 + step), 2, pair.now)
        pair.a.work()
    pair.run(until=lambda: pair.b.stream.ended)
    assert pair.b.received == data
    assert len({sent.to for sent in pair.a.sent}) == 6


# -- leaving a route that may be gone


def test_a_route_that_is_left_gets_no_retransmissions() -> None:
    peer = Scripted()
    peer.write(b"lost with the old route")
    peer.stream.change_route(route(5), NEW_ID, peer.now, leave=True)
    peer.drain()
    assert peer.events == [Event.ROUTE_CHANGED]
    [(_, again)] = peer.repairs(1.5)
    assert (again.seq, again.stream_id) == (0, NEW_ID)
    assert peer.sent_to[-1] == route(5)


def fragmentable(pair: Pair) -> list[Transmit]:
    """From now on, what leaves and may travel in fragments."""
    found: list[Transmit] = []
    send = pair.send

    def watched(peer: Peer, transmit: Transmit) -> None:
        if transmit.fragment:
            found.append(transmit)
        send(peer, transmit)

    pair.send = watched  # type: ignore[method-assign]
    return found


@pytest.mark.parametrize("mtu", [1228, 1420])
def test_stream_that_moves_to_a_path_which_carries_less_has_its_large_packets_sent_in_fragments(mtu: int) -> None:
    pair = Pair(Link(rate=2e6))
    found = fragmentable(pair)
    data = pattern(3_000_000)
    pair.a.write(data, end=True)
    pair.run(until=lambda: pair.b.received_bytes > 1_000_000)
    assert pair.a.stream.max_message == 1452
    assert found == []
    pair.forget_wire()
    pair.a.link = Link(rate=2e6, mtu=mtu)
    pair.a.stream.change_route(route(5), 2, pair.now, leave=True)
    pair.a.work()
    pair.run(until=lambda: pair.b.stream.ended)
    assert pair.b.received == data
    assert {transmit.segment for transmit in found} == {1472}
    count = len(found)
    pair.b.write(pattern(1000))
    pair.run(2)
    assert len(found) == count


def test_what_is_sent_again_to_the_old_route_goes_whole() -> None:
    pair = Pair(Link(rate=2e6, loss=0.1))
    found = fragmentable(pair)
    data = pattern(1_000_000)
    pair.a.write(data, end=True)
    pair.run(until=lambda: pair.b.received_bytes > 500_000)
    pair.a.stream.change_route(route(5), 2, pair.now)
    pair.a.work()
    pair.run(until=lambda: pair.b.stream.ended)
    assert pair.b.received == data
    assert found == []


def test_the_last_packet_can_be_sent_again_without_waiting() -> None:
    peer = Scripted()
    peer.stream.send_last_again()
    assert peer.drain() == []
    peer.write(b"first")
    peer.write(b"last")
    peer.stream.send_last_again()
    [again] = peer.drain()
    assert bytes(again.payload) == b"last"


def test_a_message_can_take_another_route() -> None:
    peer = Scripted()
    peer.stream.send_message_to(route(6), 123, b"is this you?")
    [message] = peer.drain()
    assert (message.flags, message.stream_id, bytes(message.payload)) == (MESSAGE, 123, b"is this you?")
    assert peer.sent_to == [route(6)]
