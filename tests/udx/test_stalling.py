"""A path that may be gone is reported long before the peer is given up."""

from __future__ import annotations

import pytest

from holepunch.udx import Event
from holepunch.udx.packet import DATA, HEARTBEAT
from tests.udx.pair import route
from tests.udx.scripted import Scripted, packet


def test_a_silent_peer_is_reported_once_within_four_seconds() -> None:
    peer = Scripted()
    peer.write(b"anybody?")
    peer.wait(4)
    assert peer.events == [Event.STALLED]
    peer.wait(4)
    assert peer.events == [Event.STALLED]


def test_an_address_that_was_never_heard_from_gets_what_is_sent_again_and_nothing_more() -> None:
    peer = Scripted()
    assert len(peer.write(b"anybody?")) == 1
    sent = peer.wait(10)
    assert [at for at, _ in sent] == pytest.approx([1, 3, 5, 7, 9])
    assert {packet.payload for _, packet in sent} == {b"anybody?"}


def test_first_packet_from_an_address_that_is_doubted_makes_what_is_lost_leave_again_at_once() -> None:
    peer = Scripted()
    peer.write(b"anybody?")
    peer.wait(1.5)
    assert [sent.payload for sent in peer.feed(packet(0, 0))] == [b"anybody?"]
    assert [sent.flags for _, sent in peer.wait(1.5)] == [DATA, HEARTBEAT, HEARTBEAT]


def test_what_comes_from_elsewhere_does_not_make_an_address_one_that_may_be_asked() -> None:
    peer = Scripted()
    peer.write(b"anybody?")
    datagram = packet(DATA, 0, b"here")
    peer.stream.receive(memoryview(datagram), len(datagram), route(9), peer.now)
    peer.drain()
    assert HEARTBEAT not in {sent.flags for _, sent in peer.wait(10)}


def test_an_address_that_gets_packets_may_be_asked_wherever_its_acknowledgements_come_from() -> None:
    peer = Scripted()
    peer.write(b"anybody?")
    datagram = packet(0, 0, ack=1)
    peer.stream.receive(memoryview(datagram), len(datagram), route(9), peer.now)
    peer.write(b"anybody still?")
    assert HEARTBEAT in {sent.flags for _, sent in peer.wait(10)}


def test_a_path_that_is_doubted_is_asked_four_times_a_second_until_anything_comes_back() -> None:
    peer = Scripted()
    peer.feed(packet(0, 0))
    peer.write(b"anybody?")
    asked = [at for at, sent in peer.wait(2.9) if sent.flags == HEARTBEAT]
    assert asked == pytest.approx([1.25 + n / 4 for n in range(7)])
    answer = peer.feed(packet(0, 0))
    assert [sent.payload for sent in answer] == [b"anybody?"]
    assert [sent.flags for _, sent in peer.wait(0.9)] == []
    assert peer.events == []


def test_any_packet_of_the_peer_is_a_sign_of_life_and_makes_what_is_lost_leave_again_at_once() -> None:
    peer = Scripted()
    peer.write(b"anybody?")
    peer.wait(4)
    peer.receive(packet(DATA, 0, b"here"))
    assert [sent.payload for sent in peer.drain() if sent.payload] == [b"anybody?"]
    assert peer.events == [Event.STALLED, Event.REVIVED, Event.READABLE]


def test_a_path_that_carries_packets_one_way_only_is_doubted_again_after_a_while() -> None:
    peer = Scripted()
    peer.write(b"anybody?")
    peer.wait(4)
    peer.feed(packet(DATA, 0, b"here"))
    peer.events.clear()
    peer.wait(1)
    assert peer.events == []
    peer.wait(5)
    assert peer.events == [Event.STALLED]


def test_an_idle_stream_doubts_nothing() -> None:
    peer = Scripted()
    peer.wait(60)
    assert peer.events == []
