"""Packets and conversations recorded from real Node streams (udx-native 1.21.3), read, rebuilt and replayed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from holepunch.udx import Event, Reset, TimedOut
from holepunch.udx.packet import (
    DATA,
    DESTROY,
    END,
    HEARTBEAT,
    MESSAGE,
    SACK,
    Packet,
    decode,
    header,
    sack_area,
)
from tests.udx.pair import Link, Pair, route
from tests.udx.scripted import Scripted, packet

CASES: dict[str, Any] = {
    case["name"]: case
    for case in json.loads((Path(__file__).parents[1] / "vectors" / "udx_packets.json").read_text())["cases"]
}
PACKETS = [(name, recorded) for name, case in CASES.items() for recorded in case.get("packets", ())]
Action = Callable[[Pair], object]
A, B = 0xA1B2C3D4, 0x11223344
"""The ids in the recordings' packets from a to b, and from b to a."""


def written(size: int) -> bytes:
    """The bytes that the recorded streams wrote."""
    return bytes((7 * i + (i >> 8)) & 255 for i in range(size))


def whole(recorded: dict[str, Any]) -> bytes:
    """The datagram; of long ones only the beginning was recorded, and zeros stand for the rest."""
    if "hex" in recorded:
        return bytes.fromhex(recorded["hex"])
    return bytes.fromhex(recorded.get("hex_first_64") or recorded["hex_first_48"]).ljust(recorded["len"], b"\0")


def encode(packet: Packet) -> bytes:
    area = sack_area(packet.sacks) if packet.sacks else bytes(packet.data_offset)
    body = b"" if packet.sacks else bytes(packet.payload)
    return header(*packet[:1], *packet[2:6], packet.data_offset) + area + body


def test_there_are_as_many_recorded_packets_as_the_protocol_note_says() -> None:
    assert len(PACKETS) == 221


@pytest.mark.parametrize("case", CASES)
def test_every_recorded_packet_decodes_to_its_fields_and_encodes_to_its_bytes(case: str) -> None:
    for recorded in CASES[case].get("packets", ()):
        datagram = whole(recorded)
        fields = recorded["fields"]
        decoded = decode(memoryview(datagram))
        names = ("flags", "data_offset", "stream_id", "window", "seq", "ack")
        assert [getattr(decoded, name) for name in names] == [fields[name] for name in names]
        assert [list(block) for block in decoded.sacks] == recorded["fields"].get("sacks", [])
        if "payload_len" in fields and not decoded.sacks:
            assert len(decoded.payload) == fields["payload_len"]
        assert encode(decoded) == datagram


def test_recorded_bulk_data_is_the_written_bytes_cut_in_order() -> None:
    data = written(60_000)
    seen = set()
    for recorded in CASES["bulk_60k_lossy_sack"]["packets"]:
        fields = recorded["fields"]
        if recorded["dir"] == "a->b" and fields["flags"] & DATA:
            # Node's very first packet carries 20 bytes less than the others
            at = 1132 + 1152 * (fields["seq"] - 1) if fields["seq"] else 0
            padding = fields["data_offset"]
            head = header(fields["flags"], A, fields["window"], fields["seq"], fields["ack"], padding) + bytes(padding)
            datagram = head + data[at : at + fields["payload_len"]]
            if "hex" in recorded:
                assert datagram.hex() == recorded["hex"]
            else:
                assert hashlib.blake2b(datagram).hexdigest()[:32] == recorded["blake2b512_16"]
            seen.add(fields["seq"])
    assert seen == set(range(53))


# -- conversations between two streams


def conversation(
    actions: dict[int, list[Action]], milliseconds: int, *, a: int = 0, b: int = 0
) -> list[tuple[str, str]]:
    """Two streams with the ids of the recordings, on a fast link; what they say to each other, as (direction, hex).

    ``actions`` by their time in milliseconds; ``a`` and ``b`` are the first numbers. Sorted by direction: which of two
    packets of one millisecond came first is chance.
    """
    pair = Pair(connected=False)
    pair.peers.clear()
    pair.a = pair.add("a", B, Link(delay=0.0001), first_seq=a, first_ack=b)
    pair.b = pair.add("b", A, Link(delay=0.0001), first_seq=b, first_ack=a)
    pair.a.stream.connect(route(2), A, pair.now)
    pair.b.stream.connect(route(1), B, pair.now)
    start = pair.now
    for at, together in sorted(actions.items()):
        pair.run(start + at / 1000 - pair.now)
        for action in together:
            action(pair)
        pair.a.work()
        pair.b.work()
    pair.run(start + milliseconds / 1000 - pair.now)
    return sorted(("a->b" if sent.peer is pair.a else "b->a", sent.datagram.hex()) for sent in pair.log)


def recording(case: str) -> list[tuple[str, str]]:
    return sorted((p["dir"], p["hex"]) for p in CASES[case]["packets"])


def write(name: str, data: bytes) -> Action:
    return lambda pair: getattr(pair, name).stream.write([data])


def message(name: str, data: bytes) -> Action:
    return lambda pair: getattr(pair, name).stream.send_message(data)


def end(name: str) -> Action:
    return lambda pair: getattr(pair, name).stream.write_end()


def destroy(name: str) -> Action:
    return lambda pair: getattr(pair, name).stream.destroy()


def test_hello_end_is_spoken_like_node() -> None:
    said = conversation({0: [write("a", b"hello"), write("b", b"world!!")], 100: [end("a")], 150: [end("b")]}, 300)
    assert said == recording("hello_end")


def test_last_bytes_and_end_share_a_packet_like_in_node() -> None:
    said = conversation({0: [write("a", b"hello"), end("a")], 50: [end("b")]}, 300)
    assert said == recording("write_and_end_combined")


def test_messages_are_spoken_like_node() -> None:
    messages = [message("a", b"abc"), message("a", b""), message("b", b"pong")]
    said = conversation({0: messages, 50: [destroy("a"), destroy("b")]}, 300)
    assert said == recording("messages")


def test_destroy_is_spoken_like_node() -> None:
    said = conversation({0: [write("a", b"x")], 50: [destroy("a")]}, 300)
    assert said == recording("destroy")


def test_keep_alive_is_spoken_like_node() -> None:
    def keep_alive(pair: Pair) -> None:
        pair.a.stream.keep_alive(0.1, pair.now)

    said = conversation({0: [keep_alive], 350: [destroy("a"), destroy("b")]}, 400)
    assert said == recording("keepalive")


def test_numbers_wrap_like_in_node() -> None:
    writes = {20 * i: [write("a", str(i).encode())] for i in range(4)}
    actions = {**writes, 80: [write("b", b"B")], 110: [destroy("a"), destroy("b")]}
    assert conversation(actions, 200, a=0xFFFFFFFE, b=1000) == recording("seq_start_and_wrap")


# -- answers of one stream to a scripted peer


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


def test_a_receiver_answers_every_recorded_edge_case_like_node() -> None:
    peer = Scripted()
    steps = CASES["receiver_edge_cases"]["steps"]
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


def test_a_receiver_treats_every_recorded_end_like_node() -> None:
    peer = Scripted()
    for step, (name, datagram) in zip(CASES["end_edge_cases"]["steps"], END_STEPS, strict=True):
        assert step["step"] == name
        if name == "ack of node END":
            peer.stream.write_end()
            assert [p.flags for p in peer.drain()] == [END]
        sent = peer.feed(datagram)
        assert [(p.flags, p.seq, p.ack) for p in sent] == replies(step), name
        recorded = [event["ev"] for event in step["events"]]
        assert (Event.ENDED in peer.events) == ("end" in recorded or name not in ("END out of order seq1",))
        assert peer.stream.closed == (name in ("ack of node END", "END again after close"))
    assert peer.take() == b"abc"
    assert peer.stream.error is None


def times(case: str) -> list[tuple[float, int]]:
    """When each packet of a recording left, in seconds since the first, and its flags."""
    packets = CASES[case]["packets"]
    return [((p["t_ms"] - packets[0]["t_ms"]) / 1000, p["fields"]["flags"]) for p in packets]


def assert_same_times(ours: list[tuple[float, int]], theirs: list[tuple[float, int]]) -> None:
    assert [flags for _, flags in ours] == [flags for _, flags in theirs]
    for (at, _), (recorded, _) in zip(ours, theirs, strict=True):
        assert at == pytest.approx(recorded, abs=0.03)


def test_a_black_hole_is_tried_and_given_up_at_the_recorded_times() -> None:
    peer = Scripted()
    sent = [(0.0, p.flags) for p in peer.write(written(10))]
    sent += [(at, p.flags) for at, p in peer.repairs(12.9)]
    assert_same_times(sent, times("black_hole_10_bytes"))
    assert not peer.stream.closed
    peer.wait(0.2)
    assert isinstance(peer.stream.error, TimedOut)


def test_a_zero_window_is_probed_at_the_recorded_times() -> None:
    peer = Scripted()
    sent = [(0.0, p.flags) for p in peer.write(written(1000))]
    peer.feed(packet(0, 0, ack=1, window=0))
    peer.wait(0.2)
    sent += [(0.2, p.flags) for p in peer.write(written(1000))]
    for _ in range(len(times("zero_window")) - 3):
        peer.feed(packet(0, 0, ack=1, window=0))
        [(_, probe)] = peer.wait(peer.stream.deadline() - peer.now)
        sent.append((peer.now - 500.0, probe.flags))
    sent += [(peer.now - 500.0, p.flags) for p in peer.feed(packet(0, 0, ack=1))]
    assert_same_times(sent, times("zero_window"))


def test_a_window_reopened_unasked_is_used_at_once() -> None:
    peer = Scripted()
    sent = [(0.0, p.flags) for p in peer.write(written(1000))]
    peer.feed(packet(0, 0, ack=1, window=0))
    peer.wait(0.2)
    sent += [(0.2, p.flags) for p in peer.write(written(1000))]
    sent += [(0.2 + at, p.flags) for at, p in peer.wait(0.5)]
    sent += [(0.7, p.flags) for p in peer.feed(packet(0, 0, ack=1, window=5000))]
    assert_same_times(sent, times("zero_window_reopened_unsolicited"))


def test_early_data_is_acknowledged_at_connect_like_in_node() -> None:
    peer = Scripted(connected=False)
    assert peer.feed(packet(DATA, 0, b"early")) == []
    peer.stream.connect(route(77), B, peer.now)
    recorded = CASES["early_data_firewall_accept"]["packets"][1]
    assert peer.take() == b"early"
    assert [encode(p).hex() for p in peer.drain()] == [recorded["hex"]]


def test_sack_blocks_of_the_recorded_transfer_lead_to_the_recorded_holes() -> None:
    """Feed the recorded data packets, those that were not dropped, and compare the acknowledgements."""
    peer = Scripted()
    data = written(60_000)
    recorded_blocks, blocks = set(), set()
    for recorded in CASES["bulk_60k_lossy_sack"]["packets"]:
        fields = recorded["fields"]
        if recorded["dir"] == "b->a":
            if fields["flags"] & SACK:
                recorded_blocks.add((fields["ack"], *map(tuple, fields["sacks"])))
        elif fields["flags"] & DATA and not recorded["dropped"]:
            at = 1132 + 1152 * (fields["seq"] - 1) if fields["seq"] else 0
            sent = peer.feed(packet(fields["flags"], fields["seq"], data[at : at + fields["payload_len"]]))
            blocks |= {(p.ack, *p.sacks) for p in sent if p.flags & SACK}
    assert peer.take() == data
    assert recorded_blocks & blocks, "the same holes are reported in the same way"
