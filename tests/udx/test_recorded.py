"""Packets and conversations recorded from real Node streams (udx-native 1.21.3), read, rebuilt and replayed.

What a stream answers to a scripted peer is in ``test_recorded_answers.py``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from holepunch.udx.packet import DATA, SACK, Packet, decode, header, sack_area
from tests.recorded import Case, cases, recorded
from tests.udx.pair import Link, Pair, route
from tests.udx.scripted import Scripted, packet

FILE = "udx_packets.json"
Action = Callable[[Pair], object]
A, B = 0xA1B2C3D4, 0x11223344
"""The ids in the recordings' packets from a to b, and from b to a."""


def written(size: int) -> bytes:
    """The bytes that the recorded streams wrote."""
    return bytes((7 * i + (i >> 8)) & 255 for i in range(size))


def whole(one: dict[str, Any]) -> bytes:
    """The datagram; of long ones only the beginning was recorded, and zeros stand for the rest."""
    if "hex" in one:
        return bytes.fromhex(one["hex"])
    return bytes.fromhex(one.get("hex_first_64") or one["hex_first_48"]).ljust(one["len"], b"\0")


def is_recorded(datagram: bytes, one: dict[str, Any]) -> bool:
    """Of long datagrams a hash was recorded."""
    if "hex" in one:
        return datagram.hex() == str(one["hex"])
    return hashlib.blake2b(datagram).hexdigest()[:32] == str(one["blake2b512_16"])


def numbered(one: dict[str, Any], data: bytes) -> bytes:
    """A recorded packet of A with these bytes in it."""
    fields = one["fields"]
    padding = fields["data_offset"]
    return header(fields["flags"], A, fields["window"], fields["seq"], fields["ack"], padding) + bytes(padding) + data


def encode(packet: Packet) -> bytes:
    area = sack_area(packet.sacks) if packet.sacks else bytes(packet.data_offset)
    body = b"" if packet.sacks else bytes(packet.payload)
    return header(*packet[:1], *packet[2:6], packet.data_offset) + area + body


def test_there_are_as_many_recorded_packets_as_the_protocol_note_says() -> None:
    assert sum(len(case.get("packets", ())) for case in cases(FILE)) == 221


@pytest.mark.parametrize("case", cases(FILE), ids=lambda case: str(case["name"]))
def test_every_recorded_packet_decodes_to_its_fields_and_encodes_to_its_bytes(case: Case) -> None:
    for one in case.get("packets", ()):
        datagram = whole(one)
        fields = one["fields"]
        decoded = decode(memoryview(datagram))
        names = ("flags", "data_offset", "stream_id", "window", "seq", "ack")
        assert [getattr(decoded, name) for name in names] == [fields[name] for name in names]
        assert [list(block) for block in decoded.sacks] == fields.get("sacks", [])
        if "payload_len" in fields and not decoded.sacks:
            assert len(decoded.payload) == fields["payload_len"]
        assert encode(decoded) == datagram


def offset_of(seq: int) -> int:
    """Where in the 60,000 bytes a packet begins. Node's very first one carries 20 bytes less than the others."""
    return 1132 + 1152 * (seq - 1) if seq else 0


@pytest.mark.parametrize("case", recorded(FILE, "bulk_60k_lossy_sack"))
def test_recorded_bulk_data_is_the_written_bytes_cut_in_order(case: Case) -> None:
    data = written(60_000)
    seen = set()
    for one in case["packets"]:
        fields = one["fields"]
        if one["dir"] == "a->b" and fields["flags"] & DATA:
            at = offset_of(fields["seq"])
            assert is_recorded(numbered(one, data[at : at + fields["payload_len"]]), one)
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


def recording(case: Case) -> list[tuple[str, str]]:
    return sorted((p["dir"], p["hex"]) for p in case["packets"])


def write(name: str, data: bytes) -> Action:
    return lambda pair: getattr(pair, name).stream.write([data])


def message(name: str, data: bytes) -> Action:
    return lambda pair: getattr(pair, name).stream.send_message(data)


def end(name: str) -> Action:
    return lambda pair: getattr(pair, name).stream.write_end()


def destroy(name: str) -> Action:
    return lambda pair: getattr(pair, name).stream.destroy()


@pytest.mark.parametrize("case", recorded(FILE, "hello_end"))
def test_hello_end_is_spoken_like_node(case: Case) -> None:
    said = conversation({0: [write("a", b"hello"), write("b", b"world!!")], 100: [end("a")], 150: [end("b")]}, 300)
    assert said == recording(case)


@pytest.mark.parametrize("case", recorded(FILE, "write_and_end_combined"))
def test_last_bytes_and_end_share_a_packet_like_in_node(case: Case) -> None:
    said = conversation({0: [write("a", b"hello"), end("a")], 50: [end("b")]}, 300)
    assert said == recording(case)


@pytest.mark.parametrize("case", recorded(FILE, "messages"))
def test_messages_are_spoken_like_node(case: Case) -> None:
    messages = [message("a", b"abc"), message("a", b""), message("b", b"pong")]
    said = conversation({0: messages, 50: [destroy("a"), destroy("b")]}, 300)
    assert said == recording(case)


@pytest.mark.parametrize("case", recorded(FILE, "destroy"))
def test_destroy_is_spoken_like_node(case: Case) -> None:
    said = conversation({0: [write("a", b"x")], 50: [destroy("a")]}, 300)
    assert said == recording(case)


@pytest.mark.parametrize("case", recorded(FILE, "seq_start_and_wrap"))
def test_numbers_wrap_like_in_node(case: Case) -> None:
    writes = {20 * i: [write("a", str(i).encode())] for i in range(4)}
    actions = {**writes, 80: [write("b", b"B")], 110: [destroy("a"), destroy("b")]}
    assert conversation(actions, 200, a=0xFFFFFFFE, b=1000) == recording(case)


# -- a transfer, and the size of its packets


@pytest.mark.parametrize("case", recorded(FILE, "bulk_60k_lossy_sack"))
def test_sack_blocks_of_the_recorded_transfer_lead_to_the_recorded_holes(case: Case) -> None:
    """Feed the recorded data packets, those that were not dropped, and compare the acknowledgements."""
    peer = Scripted()
    data = written(60_000)
    recorded_blocks, blocks = set(), set()
    for one in case["packets"]:
        fields = one["fields"]
        if one["dir"] == "b->a":
            if fields["flags"] & SACK:
                recorded_blocks.add((fields["ack"], *map(tuple, fields["sacks"])))
        elif fields["flags"] & DATA and not one["dropped"]:
            at = offset_of(fields["seq"])
            sent = peer.feed(packet(fields["flags"], fields["seq"], data[at : at + fields["payload_len"]]))
            blocks |= {(p.ack, *p.sacks) for p in sent if p.flags & SACK}
    assert peer.take() == data
    assert recorded_blocks & blocks, "the same holes are reported in the same way"


OFFSETS = {0: 0, 1: 1132, 30: 34540, 70: 80620, 87: 0, 145: 70496, 169: 0, 248: 0}
"""Where in its write of 100,000 bytes each recorded packet of the MTU search begins."""


@pytest.mark.parametrize("case", recorded(FILE, "mtu_probes"))
def test_recorded_mtu_probes_are_read_without_their_padding(case: Case) -> None:
    data = written(100_000)
    for one in case["packets"]:
        fields = one["fields"]
        at = OFFSETS[fields["seq"]]
        payload = data[at : at + fields["payload_len"]]
        assert is_recorded(numbered(one, payload), one)
        peer = Scripted(first_ack=fields["seq"])
        [ack] = peer.feed(packet(fields["flags"], fields["seq"], payload, offset=fields["data_offset"]))
        assert (ack.ack, peer.take()) == (fields["seq"] + 1, payload)


@pytest.mark.parametrize("case", recorded(FILE, "mtu_probes"))
def test_packets_grow_in_the_recorded_transfer_as_far_as_those_of_node(case: Case) -> None:
    """By larger steps: Node's are of 32 bytes. The probes are what Node's are: data behind zeros."""
    pair = Pair(Link(delay=0.0001), Link(delay=0.0001))
    for _ in range(4):
        pair.a.write(written(100_000))
        pair.run(0.03)
    assert pair.b.received == written(100_000) * 4
    probes = [sent for sent in pair.a.sent if sent.packet.data_offset]
    assert probes
    for probe in probes:
        padding = probe.packet.data_offset
        assert probe.packet.flags == DATA
        assert probe.datagram[20 : 20 + padding] == bytes(padding)
    assert max(len(sent.datagram) for sent in pair.a.sent) >= case["mtu_reached"] - 28
