from __future__ import annotations

import contextlib
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holepunch import codecs
from holepunch.address import Address
from holepunch.codecs import Codec
from holepunch.errors import DecodeError
from tests.recorded import recorded

FILE = "compact_encoding.json"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TAKEN = {"int", "bool", "any", "hex", "ascii"}
"""Names of Node's codecs that end in an underscore here."""


def codec(name: str) -> Codec[Any]:
    """The codec for a recorded name, such as ``array(uint)``."""
    match = re.fullmatch(r"(.+)\((.+)\)", name)
    if match:
        made = getattr(codecs, snake(match[1]))
        found: Codec[Any] = made(int(match[2]) if match[2].isdigit() else codec(match[2]))
        return found
    named: Codec[Any] = getattr(codecs, snake(name))
    return named


def snake(name: str) -> str:
    if name in TAKEN:
        return f"{name}_"
    return re.sub(r"(?<=[a-z0-9])([A-Z])", lambda m: f"_{m[1].lower()}", name).replace(".", "_")


def python(value: Any) -> Any:
    """A recorded value as this library has it."""
    match value:
        case {"hex": str(text)}:
            return bytes.fromhex(text)
        case {"bigint": str(text)}:
            return int(text)
        case {"number": str(text)}:
            return float(text)
        case {"date_ms": int(milliseconds)}:
            return EPOCH + timedelta(milliseconds=milliseconds)
        case {"array": list(items)}:
            return items
        case {"host": str(host), "port": int(port)}:
            return host, port
        case list():
            return [python(item) for item in value]
    return value


def comparable(value: Any) -> Any:
    return list(value) if type(value).__name__ == "array" else value


def expected(case: dict[str, Any]) -> Any:
    value = python(case.get("decodes_to", case["value"]))
    if case["codec"].startswith("bitfield"):
        return int.from_bytes(value, "little")  # Node gives the bytes
    return value


@pytest.mark.parametrize("case", recorded(FILE, "value"))
def test_recorded_value_is_encoded_and_decoded_as_node_does(case: dict[str, Any]) -> None:
    subject = codec(case["codec"])
    value = python(case["value"])
    if case["codec"].startswith("ipv4Address"):
        value = Address(*value)
    assert subject.to_bytes(value).hex() == case["hex"]
    assert comparable(subject.from_bytes(bytes.fromhex(case["hex"]))) == expected(case)


@pytest.mark.parametrize("case", recorded(FILE, "odd form"))
def test_recorded_odd_form_is_decoded_as_node_does(case: dict[str, Any]) -> None:
    assert codec(case["codec"]).from_bytes(bytes.fromhex(case["hex"])) == expected(case)


@pytest.mark.parametrize("case", recorded(FILE, "bad form"))
def test_recorded_bad_form_is_refused_as_node_does(case: dict[str, Any]) -> None:
    with pytest.raises(DecodeError):
        codec(case["codec"]).from_bytes(bytes.fromhex(case["hex"]))


EVERY = {name: value for name, value in vars(codecs).items() if isinstance(value, Codec)}
MADE = {
    "array(any)": codecs.array(codecs.any_),
    "frame(string)": codecs.frame(codecs.string),
    "bitfield(9)": codecs.bitfield(9),
    "fixed(3)": codecs.fixed(3),
    "string_fixed(2)": codecs.string_fixed(2),
}


@pytest.mark.parametrize("subject", [pytest.param(c, id=name) for name, c in (EVERY | MADE).items()])
def test_random_bytes_raise_nothing_but_decode_errors(subject: Codec[Any]) -> None:
    @given(st.binary(max_size=64))
    def decode(data: bytes) -> None:
        with contextlib.suppress(DecodeError):
            subject.from_bytes(data)

    decode()


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.text(max_size=10)
    | st.binary(max_size=10)
    | st.integers(-(2**52), 2**52 - 1)
    | st.floats(allow_nan=False)
    | st.datetimes(timezones=st.just(UTC)).map(lambda d: d.replace(microsecond=d.microsecond // 1000 * 1000)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(anything)
def test_any_value_survives(value: Any) -> None:
    assert codecs.any_.from_bytes(codecs.any_.to_bytes(value)) == value


@given(st.integers(-(2**63), 2**63 - 1))
def test_signed_numbers_survive(value: int) -> None:
    for signed in (codecs.bigint64, codecs.bigint):
        assert signed.from_bytes(signed.to_bytes(value)) == value


@given(st.lists(st.integers(0, 0xFFFFFFFF)))
def test_lexints_sort_as_their_bytes_do(values: list[int]) -> None:
    assert sorted(values) == sorted(values, key=codecs.lexint.to_bytes)
    assert [codecs.lexint.from_bytes(codecs.lexint.to_bytes(v)) for v in values] == values


@given(st.integers(1, 64), st.data())
def test_bitfields_survive(bits: int, data: st.DataObject) -> None:
    value = data.draw(st.integers(0, 2**bits - 1))
    assert codecs.bitfield(bits).from_bytes(codecs.bitfield(bits).to_bytes(value)) == value


@given(st.lists(st.booleans()))
def test_bits_survive(bits: list[bool]) -> None:
    assert codecs.bitarray.from_bytes(codecs.bitarray.to_bytes(bits)) == bits


def test_deep_nesting_is_refused() -> None:
    deep_any = b"\x07\x01" * 100_000 + b"\x00"
    deep_json = codecs.string.to_bytes("[" * 100_000 + "]" * 100_000)
    for subject, data in ((codecs.any_, deep_any), (codecs.json, deep_json)):
        with pytest.raises(DecodeError):
            subject.from_bytes(data)


def test_json_has_no_infinity() -> None:
    with pytest.raises(DecodeError, match="Infinity"):
        codecs.json.from_bytes(codecs.string.to_bytes("[Infinity]"))
    with pytest.raises(ValueError):
        codecs.json.to_bytes(float("inf"))


@pytest.mark.parametrize(
    ("subject", "value"),
    [
        (codecs.uint8, 256),
        (codecs.uint32be, 2**32),
        (codecs.uint64, 2**53),
        (codecs.uint, -1),
        (codecs.int_, 2**52),
        (codecs.biguint, -1),
        (codecs.float32, 1e300),
        (codecs.lexint, 2**32),
        (codecs.bitfield(7), 128),
        (codecs.fixed32, bytes(31)),
        (codecs.ipv4, "1.2.3"),
        (codecs.ip, "example.org"),
        (codecs.base64, "?"),
    ],
)
def test_value_without_an_encoding_is_misuse(subject: Codec[Any], value: Any) -> None:
    with pytest.raises(ValueError):
        subject.to_bytes(value)


def test_value_of_a_type_without_an_encoding_is_misuse() -> None:
    with pytest.raises(TypeError, match="no encoding for a value of type object"):
        codecs.any_.to_bytes(object())
    with pytest.raises(ValueError, match="1 to 64 bits"):
        codecs.bitfield(65)
