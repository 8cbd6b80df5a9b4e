"""What one stream of ours says to a scripted peer, and when, as Node's did in the same recorded scenes."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, cast

import pytest

from holepunch.containment import Containment
from holepunch.core import SERVER, Schedule
from holepunch.rawstreams import StreamTable
from holepunch.udp import Received
from holepunch.udx import Event, Reset, TimedOut, UdxStream
from holepunch.udx.packet import DATA, DESTROY, END, HEARTBEAT, MESSAGE, decode
from tests.recorded import Case, recorded
from tests.udx.pair import route
from tests.udx.scripted import Scripted, packet
from tests.udx.test_recorded import FILE, A, B, encode, whole, written

if TYPE_CHECKING:
    from holepunch.compact import Buffer
    from holepunch.udx import Transmit


def replies(step: dict[str, Any]) -> list[tuple[int, int, int]]:
    return [(reply["flags"], reply["seq"], reply["ack"]) for reply in step["replies"]]


RECEIVER_STEPS: list[tuple[str, bytes]] = [
    ("empty ack, no flags", packet(0, 0)),
    ("heartbeat", packet(HEARTBEAT, 0)),
    ("heartbeat+data (data ignored)", packet(HEARTBEAT | DATA, 0, b"zz")),
    ('data seq0 "a"', packet(DATA, 0, b"a")),
    ("data seq0 duplicate", packet(DATA, 0, b"a")),
    ("data ahead seq2", packet(DATA, 2, b"c")),
    ("data ahead seq2 dup", packet(DATA, 2, b"c")),
    ("data ahead seq4", packet(DATA, 4, b"e")),
    ("data seq1", packet(DATA, 1, b"b")),
    ("data with 16 byte offset seq3", packet(DATA, 3, b"d", offset=16)),
    ("data offset larger than body seq5", packet(DATA, 5)[:3] + b"\xff" + packet(DATA, 5)[4:]),
    ("zero-length data seq5", packet(DATA, 5)),
    ("unknown flag 0x40 + data seq6", packet(DATA | 0x40, 6, b"f")),
    ("unknown flag 0x80 only", packet(0x80, 7)),
    ("ack beyond sent + data seq7 (delivered but no ack sent)", packet(DATA, 7, b"g", ack=5)),
    ("data seq8 after that", packet(DATA, 8, b"h")),
    ("message", packet(MESSAGE, 9, b"msg")),
    ("message with old seq 3", packet(MESSAGE, 3, b"old")),
    ("message+data seq9 (body goes to both)", packet(MESSAGE | DATA, 9, b"both")),
    ("destroy with stale seq 3 (ignored)", packet(DESTROY, 3)),
    ("data far ahead seq 200009", packet(DATA, 200009, b"far")),
    ("destroy ahead of ack seq 500", packet(DESTROY, 500)),
    ("data after destroy", packet(DATA, 10, b"late")),
]


@pytest.mark.parametrize("case", recorded(FILE, "receiver_edge_cases"))
def test_a_receiver_answers_every_recorded_edge_case_like_node(case: Case) -> None:
    peer = Scripted()
    steps = case["steps"]
    received = b""
    for step, (name, datagram) in zip(steps, RECEIVER_STEPS, strict=True):
        assert step["step"] == name
        peer.receive(datagram)
        while peer.stream.messages:
            # the recorded application answers each message
            peer.stream.send_message(b"re:" + peer.stream.messages.popleft())
        sent = peer.drain()
        assert [(p.flags, p.seq, p.ack) for p in sent] == replies(step), name
        for ours, reply in zip(sent, step["replies"], strict=True):
            theirs = decode(memoryview(bytes.fromhex(reply["hex"])))
            assert (ours.sacks, bytes(ours.payload)) == (theirs.sacks, bytes(theirs.payload)), name
        received += peer.take()
    assert received == b"abcdefghboth"
    assert isinstance(peer.stream.error, Reset)


END_STEPS: list[tuple[str, bytes]] = [
    ("END out of order seq1", packet(END, 1)),
    ("data seq0", packet(DATA, 0, b"abc")),
    ("END duplicate seq1", packet(END, 1)),
    ("data after END seq2 (ignored data, ack?)", packet(DATA, 2, b"zz")),
    ("ack of node END", packet(0, 2, ack=1)),
    ("END again after close", packet(END, 1)),
]


@pytest.mark.parametrize("case", recorded(FILE, "end_edge_cases"))
def test_a_receiver_treats_every_recorded_end_like_node(case: Case) -> None:
    peer = Scripted()
    for step, (name, datagram) in zip(case["steps"], END_STEPS, strict=True):
        assert step["step"] == name
        if name == "ack of node END":
            peer.stream.write_end()
            assert [p.flags for p in peer.drain()] == [END]
        sent = peer.feed(datagram)
        assert [(p.flags, p.seq, p.ack) for p in sent] == replies(step), name
        events = [event["ev"] for event in step["events"]]
        assert (Event.ENDED in peer.events) == ("end" in events or name not in ("END out of order seq1",))
        assert peer.stream.closed == (name in ("ack of node END", "END again after close"))
    assert peer.take() == b"abc"
    assert peer.stream.error is None


def times(case: Case) -> list[tuple[float, int]]:
    """When each packet of a recording left, in seconds since the first, and its flags."""
    packets = case["packets"]
    return [((p["t_ms"] - packets[0]["t_ms"]) / 1000, p["fields"]["flags"]) for p in packets]


def assert_same_times(ours: list[tuple[float, int]], theirs: list[tuple[float, int]]) -> None:
    assert [flags for _, flags in ours] == [flags for _, flags in theirs]
    for (at, _), (recorded_at, _) in zip(ours, theirs, strict=True):
        assert at == pytest.approx(recorded_at, abs=0.03)


@pytest.mark.parametrize("case", recorded(FILE, "black_hole_10_bytes"))
def test_a_black_hole_is_tried_and_given_up_at_the_recorded_times(case: Case) -> None:
    peer = Scripted()
    sent = [(0.0, p.flags) for p in peer.write(written(10))]
    sent += [(at, p.flags) for at, p in peer.repairs(12.9)]
    assert_same_times(sent, times(case))
    assert not peer.stream.closed
    peer.wait(0.2)
    assert isinstance(peer.stream.error, TimedOut)


@pytest.mark.parametrize("case", recorded(FILE, "zero_window"))
def test_a_zero_window_is_probed_at_the_recorded_times(case: Case) -> None:
    peer = Scripted()
    sent = [(0.0, p.flags) for p in peer.write(written(1000))]
    peer.feed(packet(0, 0, ack=1, window=0))
    peer.wait(0.2)
    sent += [(0.2, p.flags) for p in peer.write(written(1000))]
    for _ in range(len(times(case)) - 3):
        peer.feed(packet(0, 0, ack=1, window=0))
        [(_, probe)] = peer.wait(peer.stream.deadline() - peer.now)
        sent.append((peer.now - 500.0, probe.flags))
    sent += [(peer.now - 500.0, p.flags) for p in peer.feed(packet(0, 0, ack=1))]
    assert_same_times(sent, times(case))


@pytest.mark.parametrize("case", recorded(FILE, "zero_window_reopened_unsolicited"))
def test_a_window_reopened_unasked_is_used_at_once(case: Case) -> None:
    peer = Scripted()
    sent = [(0.0, p.flags) for p in peer.write(written(1000))]
    peer.feed(packet(0, 0, ack=1, window=0))
    peer.wait(0.2)
    sent += [(0.2, p.flags) for p in peer.write(written(1000))]
    sent += [(0.2 + at, p.flags) for at, p in peer.wait(0.5)]
    sent += [(0.7, p.flags) for p in peer.feed(packet(0, 0, ack=1, window=5000))]
    assert_same_times(sent, times(case))


@pytest.mark.parametrize("case", recorded(FILE, "keepalive"))
def test_heartbeats_of_an_idle_node_are_answered_like_by_node(case: Case) -> None:
    peer = Scripted(connected=False)
    peer.stream.connect(route(77), B, peer.now)
    heard = [p for p in case["packets"] if p["dir"] == "a->b"]
    answers = [encode(answer).hex() for one in heard for answer in peer.feed(whole(one))]
    said = [p["hex"] for p in case["packets"] if p["dir"] == "b->a"]
    assert len(heard) == len(said) == 4
    assert answers == said[:3], "the last one is what b said as it was destroyed, as a was"
    assert peer.stream.closed


@pytest.mark.parametrize("case", recorded(FILE, "early_data_firewall_accept"))
def test_early_data_is_acknowledged_at_connect_like_in_node(case: Case) -> None:
    peer = Scripted(connected=False)
    assert peer.feed(packet(DATA, 0, b"early")) == []
    peer.stream.connect(route(77), B, peer.now)
    assert peer.take() == b"early"
    assert [encode(p).hex() for p in peer.drain()] == [case["packets"][1]["hex"]]


class OneId(random.Random):
    """Gives out the id of the recordings."""

    def randrange(self, start: int, stop: int | None = None, step: int = 1) -> int:
        return A


class Outbox:
    """What a table of streams sends."""

    def __init__(self) -> None:
        self.transmits: list[Transmit] = []

    def transmit(self, transmit: Transmit) -> None:
        self.transmits.append(transmit)


@pytest.mark.parametrize("case", recorded(FILE, "early_data_dropped_firewall"))
def test_early_data_that_the_firewall_refuses_is_sent_again_like_in_node(case: Case) -> None:
    said: list[tuple[str, str]] = []
    received: list[Buffer] = []
    outbox, time = Outbox(), Schedule()
    table = StreamTable(time, cast("Any", outbox), OneId(), lambda at: None, Containment())
    assert table.open(lambda role, source: False) == A
    a = UdxStream(B, now=0.0)

    def carry() -> None:
        a.flush(time.now)
        for transmit in a.transmits:
            datagram = b"".join(transmit.buffers)
            said.append(("a->b", datagram.hex()))
            raw = table.receive(A, Received(memoryview(datagram), len(datagram), route(1)[1]), SERVER, time.now)
            assert raw is not None
            received.extend(raw.core.take())
            table.flush(raw, time.now)
        for transmit in outbox.transmits:
            datagram = b"".join(transmit.buffers)
            said.append(("b->a", datagram.hex()))
            a.receive(memoryview(datagram), len(datagram), route(2), time.now)
        a.transmits.clear()
        outbox.transmits.clear()
        a.flush(time.now)

    a.connect(route(2), A, time.now)
    a.write([b"early"])
    carry()
    time.advance(0.3)
    table.connect(A, SERVER, route(1)[1], B)
    carry()
    assert len(said) == 1  # what was refused is not remembered, so nothing is owed at connect
    assert a.deadline() == pytest.approx(1, abs=0.03)
    time.advance(a.deadline())
    a.expire(time.now)
    carry()
    assert b"".join(received) == b"early"
    time.advance(1.5)
    a.destroy()
    table[A].core.destroy()
    table.flush(table[A], time.now)
    carry()
    assert said == [(p["dir"], p["hex"]) for p in case["packets"]]


@pytest.mark.parametrize("case", recorded(FILE, "change_remote"))
def test_a_changed_remote_takes_over_from_the_old_one_as_in_node(case: Case) -> None:
    """The peer's packets are the recorded ones. Which of two paths each of ours takes is compared, with its bytes."""
    peer = Scripted(local_id=1, remote_id=2)
    answers = [bytes.fromhex(p["hex"]) for p in case["packets"] if p["dir"] == "b->a"]
    acknowledged, hole, all_acknowledged, data = answers
    paths = {route(2): 1, route(3): 2}
    sent = peer.write(b"one") + peer.feed(acknowledged)
    peer.now += 0.05
    sent += peer.write(b"two")
    sent += [again for _, again in peer.wait(0.02)]
    peer.stream.change_route(route(3), 2, peer.now)
    sent += peer.write(b"three") + peer.feed(hole)
    assert Event.ROUTE_CHANGED not in peer.events
    sent += peer.feed(all_acknowledged)
    assert peer.events.count(Event.ROUTE_CHANGED) == 1
    peer.receive(data)
    assert peer.take() == b"from b on old path"
    sent += peer.drain()
    said = sorted((paths[to], encode(p).hex()) for to, p in zip(peer.sent_to, sent, strict=True))
    assert said == sorted((p["path"], p["hex"]) for p in case["packets"] if p["dir"] == "a->b")
