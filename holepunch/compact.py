"""compact-encoding 3.5: the primitives that every message of the wire is made of. Little-endian, no tags, no alignment.

A `Reader` raises `DecodeError` and nothing else. Bytes after the last field are no error.
"""

from __future__ import annotations

from socket import AF_INET, inet_pton
from typing import TYPE_CHECKING, Self, TypeVar

from holepunch.address import Address
from holepunch.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["MAX_ARRAY", "MAX_SAFE_INTEGER", "Buffer", "Reader", "Writer"]

T = TypeVar("T")
Buffer = bytes | bytearray | memoryview

MAX_SAFE_INTEGER = 2**53 - 1
MAX_ARRAY = 0x100000


class Writer:
    """Builds one message; every method returns the writer."""

    __slots__ = ("_out",)

    def __init__(self) -> None:
        self._out = bytearray()

    def to_bytes(self) -> bytes:
        return bytes(self._out)

    def uint(self, value: int) -> Self:
        """1 byte up to 252, else a marker byte and 2, 4 or 8 bytes."""
        if value < 0 or value > MAX_SAFE_INTEGER:
            raise ValueError(f"a uint is 0 to 2^53-1, got {value}")
        if value <= 0xFC:
            self._out.append(value)
        elif value <= 0xFFFF:
            self._out += b"\xfd" + value.to_bytes(2, "little")
        elif value <= 0xFFFFFFFF:
            self._out += b"\xfe" + value.to_bytes(4, "little")
        else:
            self._out += b"\xff" + value.to_bytes(8, "little")
        return self

    def fixed_uint(self, size: int, value: int) -> Self:
        """``size`` bytes, little-endian."""
        if value < 0 or value >> 8 * size:
            raise ValueError(f"a uint of {size} bytes is 0 to 2^{8 * size}-1, got {value}")
        self._out += value.to_bytes(size, "little")
        return self

    def raw(self, data: Buffer) -> Self:
        self._out += data
        return self

    def fixed(self, size: int, data: Buffer) -> Self:
        if len(data) != size:
            raise ValueError(f"expected {size} bytes, got {len(data)}")
        self._out += data
        return self

    def buffer(self, data: Buffer) -> Self:
        self.uint(len(data))
        self._out += data
        return self

    def string(self, text: str) -> Self:
        return self.buffer(text.encode())

    def address(self, address: Address) -> Self:
        """``ipv4Address``: 4 octets, port as 2 bytes little-endian."""
        try:
            self._out += inet_pton(AF_INET, address.host) + address.port.to_bytes(2, "little")
        except (OSError, OverflowError):
            raise ValueError(f"not an IPv4 address and port: {address}") from None
        return self

    def addresses(self, addresses: Iterable[Address]) -> Self:
        return self.array(list(addresses), Writer.address)

    def array(self, items: list[T], write: Callable[[Writer, T], object]) -> Self:
        self.uint(len(items))
        for item in items:
            write(self, item)
        return self


class Reader:
    """Reads one message from its front. ``position`` is the offset of the next field."""

    __slots__ = ("_data", "_end", "position")

    def __init__(self, data: Buffer, position: int = 0) -> None:
        self._data = bytes(data)
        self._end = len(self._data)
        self.position = position

    @property
    def remaining(self) -> int:
        return self._end - self.position

    def fixed(self, size: int) -> bytes:
        start = self.position
        end = start + size
        if end > self._end:
            raise DecodeError(f"{size} bytes expected at offset {start}, {self._end - start} left")
        self.position = end
        return self._data[start:end]

    def byte(self) -> int:
        if self.position >= self._end:
            raise DecodeError(f"a byte expected at offset {self.position}, none left")
        self.position += 1
        return self._data[self.position - 1]

    def fixed_uint(self, size: int) -> int:
        return int.from_bytes(self.fixed(size), "little")

    def uint(self) -> int:
        first = self.byte()
        if first <= 0xFC:
            return first
        value = self.fixed_uint(1 << first - 0xFC)
        if value > MAX_SAFE_INTEGER:
            raise DecodeError(f"an integer above 2^53-1 at offset {self.position}")
        return value

    def buffer(self) -> bytes:
        return self.fixed(self.uint())

    def string(self) -> str:
        return self.buffer().decode("utf-8", "replace")

    def rest(self) -> bytes:
        return self.fixed(self._end - self.position)

    def address(self) -> Address:
        data = self.fixed(6)
        return Address(f"{data[0]}.{data[1]}.{data[2]}.{data[3]}", data[4] | data[5] << 8)

    def addresses(self) -> list[Address]:
        return self.array(Reader.address)

    def array(self, read: Callable[[Reader], T]) -> list[T]:
        count = self.uint()
        if count > MAX_ARRAY:
            raise DecodeError(f"an array of {count} elements; at most {MAX_ARRAY} are allowed")
        return [read(self) for _ in range(count)]
