"""Section 7 of the protocol note: what the sender does about loss, and about sizes it does not know."""

from __future__ import annotations

import pytest

from holepunch.udx.packet import DATA, Packet
from tests.udx.pair import Link, Pair, Peer, pattern
from tests.udx.scripted import Scripted, packet

BODY = 1152


def seqs(packets: list[Packet]) -> list[int]:
    return [p.seq for p in packets if p.flags & DATA]


def warmed() -> Scripted:
    """A stream that knows a round trip of 100 ms and has 10 packets out, numbers 1 to 10; none is an MTU probe."""
    peer = Scripted()
    peer.write(b"first")
    peer.now += 0.1
    peer.feed(packet(0, 0, ack=1))
    for number in range(1, 11):
        peer.write(bytes([number]))
    return peer


def test_a_packet_is_lost_when_a_later_one_arrived_and_the_reordering_time_passed() -> None:
    peer = warmed()
    peer.now += 0.1
    assert peer.feed(packet(0, 0, ack=1, sacks=[(2, 3)])) == []
    [(after, again)] = peer.wait(0.05)
    assert again.seq == 1
    assert after == pytest.approx(0.025)


def test_three_later_arrivals_make_a_loss_certain_at_once() -> None:
    peer = warmed()
    peer.now += 0.1
    assert seqs(peer.feed(packet(0, 0, ack=1, sacks=[(2, 5)]))) == [1]


def test_a_path_that_reorders_is_given_time_even_then() -> None:
    peer = warmed()
    peer.now += 0.1
    peer.feed(packet(0, 0, ack=1, sacks=[(2, 3)]))
    peer.feed(packet(0, 0, ack=3))
    assert seqs(peer.feed(packet(0, 0, ack=3, sacks=[(4, 9)]))) == []
    assert seqs([p for _, p in peer.wait(0.05)]) == [3]


def test_a_retransmission_that_is_lost_too_is_found_by_what_left_after_it() -> None:
    peer = warmed()
    peer.now += 0.1
    assert seqs(peer.feed(packet(0, 0, ack=1, sacks=[(2, 11)]))) == [1]
    assert seqs(peer.write(b"later")) == [11]
    peer.now += 0.1
    assert seqs(peer.feed(packet(0, 0, ack=1, sacks=[(2, 12)]))) == [1]


def test_the_last_packet_is_probed_after_two_round_trips() -> None:
    peer = Scripted()
    peer.write(b"first")
    peer.now += 0.1
    peer.feed(packet(0, 0, ack=1))
    peer.write(b"last")
    sent = peer.wait(0.9)
    assert [(p.seq, bytes(p.payload)) for _, p in sent] == [(1, b"last")]
    assert sent[0][0] == pytest.approx(0.202)
    [(at, again)] = peer.repairs(0.9)
    assert again.seq == 1
    assert 0.9 + at == pytest.approx(0.202 + 1.0)


def test_a_tail_probe_carries_new_data_when_there_is_some() -> None:
    peer = warmed()
    peer.stream.write([bytes(20 * BODY)])
    out = seqs(peer.drain())
    last = out[-1] if out else 10
    deadline = peer.stream.deadline()
    while not (sent := seqs([p for _, p in peer.wait(deadline - peer.now)])):
        deadline = peer.stream.deadline()
    assert sent[0] == last + 1


def test_without_a_round_trip_only_the_timeout_repairs() -> None:
    peer = Scripted()
    peer.write(b"x")
    assert [at for at, _ in peer.repairs(3.5)] == [pytest.approx(1.0), pytest.approx(3.0)]


def test_after_a_timeout_one_packet_leaves_and_then_the_minimal_window() -> None:
    peer = warmed()
    sent = peer.wait(1.5)
    # the tail probe first, which repeats the last packet, then the head
    assert seqs([p for _, p in sent]) == [10, 1]
    assert seqs(peer.feed(packet(0, 0, ack=2))) == [2, 3, 4, 5]


def test_spurious_loss_costs_duplicates_and_nothing_else() -> None:
    pair = Pair(Link(reorder=0.3, seed=3), Link())
    data = pattern(300_000)
    pair.a.write(data, end=True)
    pair.run(until=lambda: pair.b.stream.ended)
    assert pair.b.received == data


# -- path MTU


def sizes(peer: Peer) -> list[int]:
    return [len(sent.datagram) for sent in peer.sent]


def transfer(path_mtu: int, size: int = 1_500_000) -> Pair:
    pair = Pair(Link(mtu=path_mtu), Link(mtu=path_mtu))
    data = pattern(size)
    pair.a.write(data, end=True)
    pair.run(until=lambda: pair.b.stream.ended)
    assert pair.b.received == data
    return pair


def test_probes_are_padded_data_packets_that_grow_to_1472_bytes() -> None:
    pair = transfer(1500)
    probes = [p for p in pair.a.packets if p.data_offset]
    assert all(p.flags == DATA for p in probes)
    assert [20 + p.data_offset + len(p.payload) for p in probes] == [1424, 1472]
    assert max(sizes(pair.a)) == 1472
    assert len(pair.a.packets[-2].payload) == 1452 or len(pair.a.packets[-3].payload) == 1452


@pytest.mark.parametrize("path_mtu", [1200, 1280, 1400, 1492])
def test_data_arrives_over_paths_that_carry_less(path_mtu: int) -> None:
    pair = transfer(path_mtu)
    delivered = [size for size in sizes(pair.a) if size + 28 <= path_mtu]
    assert max(delivered) > path_mtu - 28 - 40


def test_a_lost_probe_is_no_congestion() -> None:
    pair = transfer(1280)
    assert pair.a.stream.packets_lost == 0
    assert pair.a.stream.packets_retransmitted == pair.a.link.dropped > 0


def test_a_lost_probe_is_sent_again_without_its_padding() -> None:
    pair = transfer(1280)
    probe = next(p for p in pair.a.packets if p.data_offset)
    again = [p for p in pair.a.packets if p.seq == probe.seq and p.flags & DATA]
    assert [p.data_offset for p in again[1:]] == [0] * (len(again) - 1)
    assert len(again) > 1


def test_a_probe_repeated_by_a_tail_probe_proves_nothing() -> None:
    peer = Scripted()
    peer.write(b"first")
    peer.now += 0.1
    peer.feed(packet(0, 0, ack=1))
    [probe] = peer.write(bytes(BODY))
    assert probe.data_offset
    [(_, again)] = peer.wait(0.5)
    assert (again.seq, again.data_offset) == (probe.seq, 0)
    peer.feed(packet(0, 0, ack=2))
    assert peer.stream.max_message == BODY


def test_an_ack_does_not_ride_on_a_probe_alone() -> None:
    peer = Scripted()
    peer.write(b"first")
    peer.now += 0.1
    peer.feed(packet(0, 0, ack=1))
    peer.stream.write([bytes(BODY)])
    probe, ack = peer.feed(packet(DATA, 0, b"x", ack=1))
    assert probe.data_offset
    assert (ack.flags, ack.ack) == (0, 1)
