"""Both packet layouts, against datagrams recorded from the Node packages; and what broken ones do."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holepunch.address import Address
from holepunch.errors import DecodeError
from swarm.kademlia.ids import node_id
from swarm.kademlia.packets import (
    MAX_PACKET,
    REQUEST,
    RESPONSE,
    RequestPacket,
    ResponsePacket,
    closer_room,
    decode_address,
    decode_request,
    decode_response,
    encode_address,
    encode_request,
    encode_response,
)
from tests.recorded import cases, recorded

REQUESTS, RESPONSES = recorded("dht_rpc.json", "request"), recorded("dht_rpc.json", "response")

SOMEBODY = Address("8.8.8.8", 1)

octets = st.integers(0, 255)
addresses = st.builds(
    lambda a, b, c, d, port: Address(f"{a}.{b}.{c}.{d}", port), octets, octets, octets, octets, st.integers(0, 65535)
)
ids = st.none() | st.binary(min_size=32, max_size=32)
values = st.none() | st.binary(max_size=400)
uints = st.integers(0, 2**53 - 1)
tids = st.integers(0, 65535)
requests = st.builds(RequestPacket, tids, addresses, ids, ids, st.booleans(), uints, ids, values)
responses = st.builds(ResponsePacket, tids, addresses, ids, ids, st.lists(addresses, max_size=25), uints, values)


def unhex(text: str | None) -> bytes | None:
    return None if text is None else bytes.fromhex(text)


def address(parsed: dict[str, Any]) -> Address:
    return Address(parsed["host"], parsed["port"])


def test_recording_is_complete() -> None:
    assert len(REQUESTS) + len(RESPONSES) == 351


@pytest.mark.parametrize("case", REQUESTS)
def test_recorded_request_reads_and_writes_the_same_bytes(case: dict[str, Any]) -> None:
    parsed = case["parsed"]
    packet = RequestPacket(
        parsed["tid"],
        address(parsed["to"]),
        unhex(parsed["id"]),
        unhex(parsed["token"]),
        parsed["internal"],
        parsed["command"],
        unhex(parsed["target"]),
        unhex(parsed["value"]),
    )
    assert decode_request(bytes.fromhex(case["hex"])) == packet
    assert encode_request(packet).hex() == case["hex"]


@pytest.mark.parametrize("case", RESPONSES)
def test_recorded_response_reads_and_writes_the_same_bytes(case: dict[str, Any]) -> None:
    parsed = case["parsed"]
    packet = ResponsePacket(
        parsed["tid"],
        address(parsed["to"]),
        unhex(parsed["id"]),
        unhex(parsed["token"]),
        [address(node) for node in parsed["closerNodes"] or []],
        parsed["error"],
        unhex(parsed["value"]),
    )
    assert decode_response(bytes.fromhex(case["hex"])) == packet
    assert encode_response(packet).hex() == case["hex"]


def test_every_recorded_id_belongs_to_the_address_it_came_from() -> None:
    claimed = [case for case in cases("dht_rpc.json") if case["parsed"].get("id") is not None]
    assert len(claimed) > 100
    for case in claimed:
        assert node_id(address(case["from"])).hex() == case["parsed"]["id"]


@given(requests)
def test_request_survives_the_wire(packet: RequestPacket) -> None:
    assert decode_request(encode_request(packet) + b"ignored") == packet


@given(responses)
def test_response_survives_the_wire(packet: ResponsePacket) -> None:
    assert decode_response(encode_response(packet) + b"ignored") == packet


@given(addresses)
def test_address_survives_the_wire(value: Address) -> None:
    assert decode_address(b"xx" + encode_address(value), 2) == value


@given(st.one_of(requests.map(encode_request), responses.map(encode_response)), st.data())
def test_packet_cut_short_is_a_decode_error(data: bytes, draw: st.DataObject) -> None:
    short = data[: draw.draw(st.integers(0, len(data) - 1))]
    decode = decode_request if data[0] == REQUEST else decode_response
    with pytest.raises(DecodeError):
        decode(short)


@given(st.binary(max_size=300))
def test_random_bytes_decode_or_are_a_decode_error(data: bytes) -> None:
    for decode, first in ((decode_request, REQUEST), (decode_response, RESPONSE)):
        try:
            decode(bytes([first]) + data)
        except DecodeError:
            continue


def test_flags_of_more_than_a_byte_are_refused() -> None:
    with pytest.raises(DecodeError, match="flags"):
        decode_request(bytes([REQUEST, 0xFD]) + bytes(20))


def test_short_address_is_a_decode_error() -> None:
    with pytest.raises(DecodeError, match="address"):
        decode_address(bytes(7), 2)


def test_list_longer_than_its_datagram_is_refused() -> None:
    head = bytes([RESPONSE, 4]) + bytes(8)
    with pytest.raises(DecodeError, match="addresses"):
        decode_response(head + b"\xfe\xff\xff\x0f\x00" + bytes(60))


def test_absent_and_empty_value_differ() -> None:
    packet = ResponsePacket(1, Address("1.2.3.4", 5), None, None, [], 0, None)
    assert decode_response(encode_response(packet)).value is None
    assert decode_response(encode_response(packet._replace(value=b""))).value == b""


@given(size=st.integers(0, MAX_PACKET), error=st.sampled_from([0, 16, 65535]))
def test_closer_nodes_that_have_room_beside_a_value_fit(size: int, error: int) -> None:
    room = closer_room(size)
    packet = ResponsePacket(1, SOMEBODY, bytes(32), bytes(32), [SOMEBODY] * min(room, 40), error, bytes(size))
    encoded = encode_response(packet)
    assert len(encoded) <= MAX_PACKET or room == 0
    assert decode_response(encoded) == packet
    if 0 < room < 40:
        assert len(encoded) > MAX_PACKET - 6 - 4  # as many as fit, up to the bytes that lengths may take
