from __future__ import annotations

import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holepunch.errors import DecodeError
from holepunch.udx import peek, run_of_one_stream
from holepunch.udx.packet import (
    DATA,
    HEADER_SIZE,
    MAX_SACK_BLOCKS,
    SACK,
    decode,
    expand,
    header,
    in_order_data_run,
    join_payloads,
    newest_of_acks,
    number_column,
    sack_area,
)

U32 = st.integers(0, 2**32 - 1)


def run(first: int, count: int, payload: int = 1452, stream_id: int = 7, flags: int = DATA) -> memoryview:
    packets = [
        header(flags, stream_id, 1, number, 0) + bytes([number & 255]) * payload
        for number in range(first, first + count)
    ]
    return memoryview(b"".join(packets))


def test_header_is_twenty_little_endian_bytes() -> None:
    assert header(DATA, 0x11223344, 0x400000, 5, 6, 32) == struct.pack(
        "<BBBBIIII", 0xFF, 1, 1, 32, 0x11223344, 0x400000, 5, 6
    )


def test_numbers_above_32_bits_wrap_in_the_header() -> None:
    packet = decode(memoryview(header(0, 1, 2, 2**32 + 3, 2**33 + 4)))
    assert (packet.seq, packet.ack) == (3, 4)


@given(near=st.integers(0, 2**40), distance=st.integers(-(2**31), 2**31 - 1))
def test_a_number_is_expanded_to_the_nearest_one(near: int, distance: int) -> None:
    assert expand((near + distance) & 0xFFFFFFFF, near) == near + distance


def test_payload_follows_the_data_offset() -> None:
    packet = decode(memoryview(header(DATA, 1, 2, 3, 4, 16) + bytes(16) + b"body"))
    assert bytes(packet.payload) == b"body"


def test_data_offset_beyond_the_packet_is_an_error() -> None:
    with pytest.raises(DecodeError, match="data offset"):
        decode(memoryview(header(DATA, 1, 2, 3, 4, 5) + b"four"))


@pytest.mark.parametrize(
    "datagram", [b"", header(0, 1, 2, 3, 4)[:19], b"\xfe" + header(0, 1, 2, 3, 4)[1:], b"\xff\x02" + bytes(18)]
)
def test_short_and_foreign_datagrams_are_not_udx(datagram: bytes) -> None:
    assert peek(memoryview(datagram)) is None
    with pytest.raises(DecodeError):
        decode(memoryview(datagram))


def test_sack_blocks_fill_the_rest_of_an_ack() -> None:
    blocks = [(2, 3), (0xFFFFFFFF, 1)]
    packet = decode(memoryview(header(SACK, 1, 2, 3, 4) + sack_area(blocks)))
    assert packet.sacks == blocks


def test_sack_blocks_in_a_data_offset_leave_the_payload() -> None:
    packet = decode(memoryview(header(SACK | DATA, 1, 2, 3, 4, 8) + sack_area([(5, 6)]) + b"body"))
    assert packet.sacks == [(5, 6)]
    assert bytes(packet.payload) == b"body"


def test_at_most_fifty_sack_blocks_are_read() -> None:
    blocks = [(n, n + 1) for n in range(0, 200, 2)]
    packet = decode(memoryview(header(SACK, 1, 2, 3, 4) + sack_area(blocks)))
    assert packet.sacks == blocks[:MAX_SACK_BLOCKS]


@given(st.binary(max_size=200) | st.binary(max_size=100).map(lambda tail: b"\xff\x01" + tail))
def test_random_bytes_decode_or_raise_a_decode_error(datagram: bytes) -> None:
    view = memoryview(datagram)
    with suppress(DecodeError):
        packet = decode(view)
        assert peek(view) == packet.stream_id
    run_of_one_stream(view, 24)


@given(
    flags=st.integers(0, 255).map(lambda f: f & ~SACK),
    id_=U32,
    window=U32,
    seq=U32,
    ack=U32,
    offset=st.integers(0, 255),
    body=st.binary(),
)
def test_what_was_encoded_is_decoded(
    flags: int, id_: int, window: int, seq: int, ack: int, offset: int, body: bytes
) -> None:
    packet = decode(memoryview(header(flags, id_, window, seq, ack, offset) + bytes(offset) + body))
    assert packet[:-1] == (flags, offset, id_, window, seq, ack, [])
    assert bytes(packet.payload) == body


@pytest.mark.parametrize("payload", [1452, 1451])
def test_a_run_belongs_to_one_stream_only_when_every_packet_does(payload: int) -> None:
    segment = HEADER_SIZE + payload
    mine = run(0, 3, payload)
    other = bytes(run(0, 1, payload, stream_id=8))
    short = bytes(run(3, 1, 10))
    assert run_of_one_stream(mine, segment)
    assert run_of_one_stream(memoryview(bytes(mine) + short), segment)
    assert run_of_one_stream(mine[:segment], segment)
    assert not run_of_one_stream(memoryview(bytes(mine) + other), segment)
    assert not run_of_one_stream(memoryview(bytes(mine) + other[:100]), segment)
    assert not run_of_one_stream(memoryview(bytes(mine) + b"short"), segment)
    assert not run_of_one_stream(memoryview(bytes(mine) + b"d" * segment), segment)
    assert not run_of_one_stream(memoryview(b"d" * 3 * segment), segment)


def test_a_run_is_in_order_only_when_it_is_plain_data_without_a_gap() -> None:
    assert in_order_data_run(run(5, 3), 1472, 3, 5)
    assert not in_order_data_run(run(5, 3), 1472, 3, 4)
    assert not in_order_data_run(run(5, 3, flags=DATA | 2), 1472, 3, 5)
    gap = memoryview(bytes(run(5, 1)) + bytes(run(7, 1)))
    assert not in_order_data_run(gap, 1472, 2, 5)
    assert not in_order_data_run(run(5, 3, payload=1451), 1471, 3, 5)


def test_a_run_goes_on_over_the_wrap() -> None:
    first = 2**32 - 2
    assert in_order_data_run(run(first, 4), 1472, 4, first)
    assert number_column(first, 4).tolist() == [0xFFFFFFFE, 0xFFFFFFFF, 0, 1]


def test_payloads_of_a_run_are_joined() -> None:
    assert join_payloads(run(5, 3, payload=4), 24, 3) == b"\5\5\5\5\6\6\6\6\7\7\7\7"


def acks(*numbers: tuple[int, int], flags: int = 0) -> memoryview:
    return memoryview(b"".join(header(flags, 7, 1000 + at, seq, ack) for at, (seq, ack) in enumerate(numbers)))


def test_of_acks_in_order_the_last_says_all() -> None:
    assert newest_of_acks(acks((3, 5), (3, 6), (4, 6)), 3) == (0x01FF, 7, 1002, 4, 6)


@pytest.mark.parametrize(
    "view",
    [
        acks((3, 6), (3, 5)),
        acks((4, 5), (3, 5)),
        acks((3, 0xFFFFFFFF), (3, 0)),
        acks((3, 5), (3, 6), flags=SACK),
        memoryview(bytes(acks((3, 5), (3, 6))) + b"short"),
    ],
    ids=["overtaken by its ack", "overtaken by its number", "wrapped", "SACK", "cut short"],
)
def test_other_runs_of_acks_are_looked_at_one_by_one(view: memoryview) -> None:
    assert newest_of_acks(view, 2) is None
