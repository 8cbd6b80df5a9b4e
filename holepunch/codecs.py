"""compact-encoding 3.5 beyond the primitives of `holepunch.compact`: one `Codec` for each type that Node programs use.

Node's names, in Python's spelling; a name that Python has taken ends in an underscore. Decoders raise `DecodeError` and
nothing else; encoders raise ``ValueError`` or ``TypeError`` for what has no encoding. Node: compact-encoding,
compact-encoding-net and compact-encoding-bitfield.
"""

from __future__ import annotations

import base64 as _base64
import ipaddress
import json as _json
import struct
import sys
from array import array as _typed
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from holepunch.compact import MAX_ARRAY, MAX_SAFE_INTEGER, Reader, Writer
from holepunch.errors import DecodeError

if TYPE_CHECKING:
    from holepunch.address import Address
    from holepunch.compact import Buffer

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")

MAX_DEPTH = 64
"""Arrays and objects within each other that `any_` decodes: each level costs frames of Python's stack."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Codec(Generic[T]):
    """How values of one type are written and read."""

    encode: Callable[[Writer, T], object]
    decode: Callable[[Reader], T]

    def to_bytes(self, value: T) -> bytes:
        writer = Writer()
        self.encode(writer, value)
        return writer.to_bytes()

    def from_bytes(self, data: Buffer) -> T:
        """The value at the front of ``data``; bytes after it are no error."""
        return self.decode(Reader(data))


# -- numbers ---------------------------------------------------------------------------------------------------------


def _zigzag(value: int) -> int:
    return value * 2 if value >= 0 else -value * 2 - 1


def _unzigzag(value: int) -> int:
    return -(value + 1 >> 1) if value & 1 else value >> 1


def _signed(unsigned: Codec[int]) -> Codec[int]:
    """Zig-zag, not two's complement, also where the width is fixed."""
    return Codec(lambda w, v: unsigned.encode(w, _zigzag(v)), lambda r: _unzigzag(unsigned.decode(r)))


def _fixed_uint(size: int, *, big: bool = False, limit: int = MAX_SAFE_INTEGER) -> Codec[int]:
    most = min((1 << 8 * size) - 1, limit)

    def encode(w: Writer, value: int) -> None:
        if not 0 <= value <= most:
            raise ValueError(f"expected 0 to {most}, got {value}")
        w.raw(value.to_bytes(size, "big" if big else "little"))

    def decode(r: Reader) -> int:
        value = int.from_bytes(r.fixed(size), "big" if big else "little")
        if value > most:
            raise DecodeError(f"an integer above {most}")
        return value

    return Codec(encode, decode)


def _encode_biguint(w: Writer, value: int) -> None:
    if value < 0:
        raise ValueError(f"expected 0 or more, got {value}")
    words = -(-value.bit_length() // 64)
    w.uint(words).raw(value.to_bytes(words * 8, "little"))


def _float(form: str) -> Codec[float]:
    packing = struct.Struct(form)

    def encode(w: Writer, value: float) -> None:
        try:
            w.raw(packing.pack(value))
        except OverflowError:
            raise ValueError(f"{value} does not fit {packing.size} bytes") from None

    return Codec(encode, lambda r: float(packing.unpack(r.fixed(packing.size))[0]))


def _encode_lexint(w: Writer, value: int) -> None:
    if not 0 <= value <= 0xFFFFFFFF:
        raise ValueError(f"a lexint is 0 to 2^32-1, got {value}")  # Node rounds larger ones
    if value < 251:
        w.fixed_uint(1, value)
        return
    size = -(-value.bit_length() // 8)
    w.fixed_uint(1, 250 + size).raw((value - 251).to_bytes(size, "big"))


def _decode_lexint(r: Reader) -> int:
    first = r.byte()
    if first < 251:
        return first
    if first == 255:
        raise DecodeError("a lexint above 2^32-1")
    return int.from_bytes(r.fixed(first - 250), "big") + 251


uint: Codec[int] = Codec(Writer.uint, Reader.uint)
uint8, uint16, uint24, uint32 = (_fixed_uint(n) for n in (1, 2, 3, 4))
uint40, uint48, uint56, uint64 = (_fixed_uint(n) for n in (5, 6, 7, 8))
uint32be, uint64be = (_fixed_uint(n, big=True) for n in (4, 8))
biguint64 = _fixed_uint(8, limit=2**64 - 1)
biguint: Codec[int] = Codec(_encode_biguint, lambda r: int.from_bytes(r.fixed(r.uint() * 8), "little"))
int_ = _signed(uint)
int8, int16, int24, int32 = (_signed(c) for c in (uint8, uint16, uint24, uint32))
int40, int48, int56, int64 = (_signed(c) for c in (uint40, uint48, uint56, uint64))
bigint64, bigint = _signed(biguint64), _signed(biguint)
port = uint16
float32, float64 = _float("<f"), _float("<d")
lexint: Codec[int] = Codec(_encode_lexint, _decode_lexint)
bool_: Codec[bool] = Codec(lambda w, v: w.fixed_uint(1, v), lambda r: r.byte() == 1)


def bitfield(bits: int) -> Codec[int]:
    """At most 64 bits, as a number. From 8 bits on it has a width byte in front (compact-encoding-bitfield)."""
    if not 0 < bits <= 64:
        raise ValueError(f"a bitfield has 1 to 64 bits, got {bits}")
    size = 1 if bits < 8 else 2 if bits <= 16 else 4 if bits <= 32 else 8

    def encode(w: Writer, value: int) -> None:
        if value < 0 or value >> bits:
            raise ValueError(f"expected {bits} bits, got {value}")
        if size > 1:
            w.fixed_uint(1, 0xFC + size.bit_length() - 1)
        w.fixed_uint(size, value)

    def decode(r: Reader) -> int:
        first = r.byte()
        value = first if first <= 0xFC else r.fixed_uint(1 << first - 0xFC)
        return value & (1 << bits) - 1

    return Codec(encode, decode)


# -- bytes and text --------------------------------------------------------------------------------------------------


def _text(encode: Callable[[str], bytes], decode: Callable[[bytes], str]) -> Codec[str]:
    return Codec(lambda w, v: w.buffer(encode(v)), lambda r: decode(r.buffer()))


def fixed(size: int) -> Codec[bytes]:
    return Codec(lambda w, v: w.fixed(size, v), lambda r: r.fixed(size))


def string_fixed(size: int) -> Codec[str]:
    """Text of exactly ``size`` bytes of UTF-8, without a length."""
    return Codec(lambda w, v: w.fixed(size, v.encode()), lambda r: r.fixed(size).decode("utf-8", "replace"))


buffer: Codec[bytes] = Codec(Writer.buffer, Reader.buffer)
optional_buffer: Codec[bytes | None] = Codec(lambda w, v: w.buffer(v or b""), lambda r: r.buffer() or None)
binary: Codec[bytes | str] = Codec(lambda w, v: w.buffer(v.encode() if isinstance(v, str) else v), Reader.buffer)
fixed32, fixed64 = fixed(32), fixed(64)
raw: Codec[bytes] = Codec(Writer.raw, Reader.rest)
none: Codec[None] = Codec(lambda w, v: None, lambda r: None)
string: Codec[str] = Codec(Writer.string, Reader.string)
ascii_ = _text(lambda v: v.encode("ascii"), lambda b: b.decode("ascii", "replace"))
hex_ = _text(bytes.fromhex, bytes.hex)
base64 = _text(lambda v: _base64.b64decode(v, validate=True), lambda b: _base64.b64encode(b).decode())
utf16le = _text(lambda v: v.encode("utf-16-le"), lambda b: b.decode("utf-16-le", "replace"))


# -- composite -------------------------------------------------------------------------------------------------------


def array(item: Codec[T]) -> Codec[list[T]]:
    return Codec(lambda w, v: w.array(v, item.encode), lambda r: r.array(item.decode))


def frame(inner: Codec[T]) -> Codec[T]:
    """A value behind its length. What the value leaves of the frame is skipped."""
    return Codec(lambda w, v: w.buffer(inner.to_bytes(v)), lambda r: inner.from_bytes(r.buffer()))


def record(key: Codec[K], value: Codec[V]) -> Codec[dict[K, V]]:
    def encode_pair(w: Writer, pair: tuple[K, V]) -> None:
        key.encode(w, pair[0])
        value.encode(w, pair[1])

    def decode_pair(r: Reader) -> tuple[K, V]:
        return key.decode(r), value.decode(r)

    return Codec(lambda w, v: w.array(list(v.items()), encode_pair), lambda r: dict(r.array(decode_pair)))


def _encode_bits(w: Writer, bits: Sequence[bool]) -> None:
    data = bytearray(-(-len(bits) // 8))
    for i, bit in enumerate(bits):
        data[i >> 3] |= bit << (i & 7)
    w.uint(len(bits)).raw(data)


def _decode_bits(r: Reader) -> list[bool]:
    count = r.uint()
    if count > MAX_ARRAY:
        raise DecodeError(f"{count} bits; at most {MAX_ARRAY} are allowed")
    data = r.fixed(-(-count // 8))
    return [bool(data[i >> 3] >> (i & 7) & 1) for i in range(count)]


def _typed_array(code: str) -> Codec[Sequence[int]]:
    def in_order(items: _typed[int]) -> _typed[int]:
        if sys.byteorder == "big":
            items.byteswap()
        return items

    def decode(r: Reader) -> Sequence[int]:
        items = _typed(code)
        items.frombytes(r.fixed(r.uint() * items.itemsize))
        return in_order(items)

    return Codec(lambda w, v: w.uint(len(v)).raw(in_order(_typed(code, v)).tobytes()), decode)


string_record = record(string, string)
bitarray: Codec[Sequence[bool]] = Codec(_encode_bits, _decode_bits)
uint16array, uint32array = _typed_array("H"), _typed_array("I")


# -- values that name their type -------------------------------------------------------------------------------------


def _decode_date(r: Reader) -> datetime:
    try:
        return EPOCH + timedelta(milliseconds=int_.decode(r))
    except OverflowError:
        raise DecodeError("a date that Python has no value for") from None


def _json_text(value: Any) -> str:
    return _json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _decode_json(r: Reader) -> Any:
    try:
        return _json.loads(r.string(), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise DecodeError(f"no JSON: {error}") from None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is Python's, not JSON")


date: Codec[datetime] = Codec(lambda w, v: int_.encode(w, (v - EPOCH) // timedelta(milliseconds=1)), _decode_date)
json: Codec[Any] = Codec(lambda w, v: w.string(_json_text(v)), _decode_json)
ndjson: Codec[Any] = Codec(lambda w, v: w.string(_json_text(v) + "\n"), _decode_json)

_SCALARS: tuple[Codec[Any], ...] = (none, bool_, string, buffer, uint, int_, float64)
_ARRAY, _OBJECT, _DATE = 7, 8, 9


def _encode_any(w: Writer, value: Any) -> None:
    kind = _kind(value)
    w.uint(kind)
    if kind == _ARRAY:
        w.array(list(value), _encode_any)
    elif kind == _OBJECT:
        record(string, any_).encode(w, value)
    elif kind == _DATE:
        date.encode(w, value)
    else:
        _SCALARS[kind].encode(w, value)


def _kind(value: Any) -> int:
    if value is None:
        return 0
    if isinstance(value, int) and not isinstance(value, bool):
        return 4 if value >= 0 else 5
    kinds: tuple[tuple[Any, int], ...] = (
        (bool, 1),
        (str, 2),
        (bytes | bytearray | memoryview, 3),
        (float, 6),
        (Sequence, _ARRAY),
        (Mapping, _OBJECT),
        (datetime, _DATE),
    )
    for kind, number in kinds:
        if isinstance(value, kind):
            return number
    raise TypeError(f"no encoding for a value of type {type(value).__name__}")


def _decode_any(r: Reader, depth: int = 0) -> Any:
    kind = r.uint()
    if kind < len(_SCALARS):
        return _SCALARS[kind].decode(r)
    if kind == _DATE:
        return date.decode(r)
    if kind > _DATE:
        raise DecodeError(f"an unknown type: {kind}")
    if depth == MAX_DEPTH:
        raise DecodeError(f"values nested deeper than {MAX_DEPTH}")
    inner: Codec[Any] = Codec(_encode_any, lambda r: _decode_any(r, depth + 1))
    return array(inner).decode(r) if kind == _ARRAY else record(string, inner).decode(r)


any_: Codec[Any] = Codec(_encode_any, _decode_any)


# -- addresses -------------------------------------------------------------------------------------------------------


def _decode_ipv6(r: Reader) -> str:
    data = r.fixed(16)
    return ":".join(f"{data[i] << 8 | data[i + 1]:x}" for i in range(0, 16, 2))


def _encode_ip(w: Writer, host: str) -> None:
    packed = ipaddress.ip_address(host).packed
    w.fixed_uint(1, 4 if len(packed) == 4 else 6).raw(packed)


def _with_port(host: Codec[str]) -> Codec[tuple[str, int]]:
    def encode(w: Writer, address: tuple[str, int]) -> None:
        host.encode(w, address[0])
        port.encode(w, address[1])

    return Codec(encode, lambda r: (host.decode(r), port.decode(r)))


ipv4: Codec[str] = Codec(
    lambda w, v: w.raw(ipaddress.IPv4Address(v).packed), lambda r: str(ipaddress.IPv4Address(r.fixed(4)))
)
ipv6: Codec[str] = Codec(lambda w, v: w.raw(ipaddress.IPv6Address(v).packed), _decode_ipv6)
ip: Codec[str] = Codec(_encode_ip, lambda r: (ipv4 if r.byte() == 4 else ipv6).decode(r))
ipv4_address: Codec[Address] = Codec(Writer.address, Reader.address)
ipv6_address, ip_address = _with_port(ipv6), _with_port(ip)
