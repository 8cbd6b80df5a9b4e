from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holepunch.address import Address
from holepunch.compact import MAX_ARRAY, MAX_SAFE_INTEGER, Reader, Writer
from holepunch.errors import DecodeError

uints = st.integers(0, MAX_SAFE_INTEGER)
addresses = st.builds(Address, st.ip_addresses(v=4).map(str), st.integers(0, 65535))


@given(uints)
def test_uint_survives_in_its_shortest_form(value: int) -> None:
    data = Writer().uint(value).to_bytes()
    assert len(data) == (1 if value < 253 else 3 if value < 2**16 else 5 if value < 2**32 else 9)
    assert Reader(data).uint() == value


@given(st.integers(1, 8), st.data())
def test_fixed_uint_survives(size: int, data: st.DataObject) -> None:
    value = data.draw(st.integers(0, 256**size - 1))
    encoded = Writer().fixed_uint(size, value).to_bytes()
    assert len(encoded) == size
    assert Reader(encoded).fixed_uint(size) == value


@given(st.binary(max_size=300), st.text(), st.lists(addresses, max_size=5), st.binary())
def test_fields_follow_each_other_without_gaps(data: bytes, text: str, peers: list[Address], rest: bytes) -> None:
    writer = Writer().buffer(data).string(text).addresses(peers).fixed(3, b"abc").raw(rest)
    reader = Reader(memoryview(writer.to_bytes()))
    assert reader.buffer() == data
    assert reader.string() == text
    assert reader.addresses() == peers
    assert reader.fixed(3) == b"abc"
    assert reader.remaining == len(rest)
    assert reader.rest() == rest
    assert reader.rest() == b""


def test_port_is_little_endian_and_octets_are_in_written_order() -> None:
    data = Writer().address(Address("1.2.3.4", 49737)).to_bytes()
    assert data.hex() == "0102030449c2"
    assert Reader(data).address() == ("1.2.3.4", 49737)


def test_reading_starts_where_it_is_told_to() -> None:
    reader = Reader(b"\xff\xff\x07", 2)
    assert reader.uint() == 7
    assert reader.position == 3


@given(st.binary(max_size=40), st.integers(0, 5))
def test_random_bytes_raise_nothing_but_decode_errors(data: bytes, position: int) -> None:
    reads = (Reader.uint, Reader.byte, Reader.buffer, Reader.string, Reader.address, Reader.addresses)
    for read in reads:
        reader = Reader(data, min(position, len(data)))
        try:
            read(reader)
        except DecodeError:
            continue
        assert reader.position <= len(data)


def test_error_tells_what_is_missing_and_where() -> None:
    with pytest.raises(DecodeError, match="6 bytes expected at offset 1, 2 left"):
        Reader(b"\x01\x02\x03", 1).address()
    with pytest.raises(DecodeError, match="a byte expected at offset 0, none left"):
        Reader(b"").uint()


def test_array_is_refused_by_its_count() -> None:
    with pytest.raises(DecodeError, match="1048577 elements"):
        Reader(Writer().uint(MAX_ARRAY + 1).to_bytes()).addresses()


def test_array_that_promises_more_than_there_is_is_refused() -> None:
    with pytest.raises(DecodeError):
        Reader(Writer().uint(MAX_ARRAY).raw(bytes(12)).to_bytes()).addresses()


@pytest.mark.parametrize("value", [-1, MAX_SAFE_INTEGER + 1])
def test_uint_that_javascript_cannot_hold_is_misuse(value: int) -> None:
    with pytest.raises(ValueError, match=f"got {value}"):
        Writer().uint(value)


def test_values_of_another_size_are_misuse() -> None:
    with pytest.raises(ValueError, match="expected 32 bytes, got 31"):
        Writer().fixed(32, bytes(31))
    with pytest.raises(ValueError, match="a uint of 2 bytes is 0 to 2\\^16-1, got 65536"):
        Writer().fixed_uint(2, 65536)
    with pytest.raises(ValueError, match="got -1"):
        Writer().fixed_uint(2, -1)


@pytest.mark.parametrize("host", ["1.2.3", "1.2.3.4.5", "256.1.1.1", "::1", "example.org", "1.2.3.4 x", ""])
def test_host_that_is_no_ipv4_address_is_misuse(host: str) -> None:
    with pytest.raises(ValueError, match="not an IPv4 address"):
        Writer().address(Address(host, 1))


@pytest.mark.parametrize("port", [-1, 65536])
def test_port_that_is_none_is_misuse(port: int) -> None:
    with pytest.raises(ValueError, match="not an IPv4 address and port"):
        Writer().address(Address("1.2.3.4", port))
