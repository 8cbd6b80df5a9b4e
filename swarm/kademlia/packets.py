"""The two datagram layouts of dht-rpc, as values and as bytes. No state, no I/O.

Protocol: dht-rpc section 1. Written with slices rather than `holepunch.compact.Reader`: this is where a busy DHT node
spends its time.
"""

from __future__ import annotations

import struct
from socket import inet_aton, inet_ntoa
from typing import TYPE_CHECKING, NamedTuple

from holepunch.address import Address
from holepunch.compact import MAX_ARRAY, Reader, Writer
from holepunch.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "DELAYED_PING",
    "DOWN_HINT",
    "FIND_NODE",
    "INVALID_TOKEN",
    "MAX_PACKET",
    "OK",
    "PING",
    "PING_NAT",
    "REQUEST",
    "RESPONSE",
    "UNKNOWN_COMMAND",
    "RequestPacket",
    "ResponsePacket",
    "closer_room",
    "decode_address",
    "decode_request",
    "decode_response",
    "encode_address",
    "encode_request",
    "encode_response",
]

# internal commands
PING = 0
PING_NAT = 1
FIND_NODE = 2
DOWN_HINT = 3
DELAYED_PING = 4

# errors of this layer
OK = 0
UNKNOWN_COMMAND = 1
INVALID_TOKEN = 2

REQUEST = 0x03
RESPONSE = 0x13
"""The first byte: low nibble 3 is the version, bit 4 says response. The reference compares the whole byte."""

MAX_PACKET = 1252
"""Bytes of the largest packet with what this node stores: an IPv4 packet of 1280 bytes, which every link takes that
carries IPv6, too (RFC 8200 section 5). A larger one might never arrive: none is fragmented, and nobody hears why."""

_ID = 1
_TOKEN = 2
_VALUE = 16
_INTERNAL = 4  # requests
_TARGET = 8
_CLOSER = 4  # responses
_ERROR = 8

_HEAD = struct.Struct("<BBH4sH")
_ADDRESS = struct.Struct("<4sH")
_AROUND_VALUE = _HEAD.size + 32 + 32 + 1 + 3 + 3
"""In a response without closer nodes, at most: id, token, number of nodes, error and the length of the value."""


class RequestPacket(NamedTuple):
    tid: int
    to: Address
    id: bytes | None
    token: bytes | None
    internal: bool
    command: int
    target: bytes | None
    value: bytes | None


class ResponsePacket(NamedTuple):
    tid: int
    to: Address
    id: bytes | None
    token: bytes | None
    closer: list[Address]
    error: int
    value: bytes | None


def encode_address(address: Address) -> bytes:
    host, port = address
    return _ADDRESS.pack(inet_aton(host), port)


def decode_address(data: bytes, position: int = 0) -> Address:
    """Six bytes at ``position``. Raises `DecodeError` when there are fewer."""
    try:
        octets, port = _ADDRESS.unpack_from(data, position)
    except struct.error:
        raise DecodeError(f"an address expected at offset {position} of {len(data)} bytes") from None
    return Address(inet_ntoa(octets), port)


def closer_room(value_size: int) -> int:
    """How many closer nodes fit into a response beside a value of so many bytes."""
    return max(0, (MAX_PACKET - _AROUND_VALUE - value_size) // _ADDRESS.size)


def encode_request(packet: RequestPacket) -> bytes:
    tid, to, id, token, internal, command, target, value = packet
    flags = _INTERNAL if internal else 0
    parts = [_uint(command)]
    if target is not None:
        flags |= _TARGET
        parts.append(target)
    if value is not None:
        flags |= _VALUE
        parts += (_uint(len(value)), value)
    return _encode_head(REQUEST, flags, tid, to, id, token) + b"".join(parts)


def encode_response(packet: ResponsePacket) -> bytes:
    tid, to, id, token, closer, error, value = packet
    flags = 0
    parts = []
    if closer:
        flags |= _CLOSER
        parts.append(_uint(len(closer)))
        parts += _encode_addresses(closer)
    if error:
        flags |= _ERROR
        parts.append(_uint(error))
    if value is not None:
        flags |= _VALUE
        parts += (_uint(len(value)), value)
    return _encode_head(RESPONSE, flags, tid, to, id, token) + b"".join(parts)


def decode_request(data: bytes) -> RequestPacket:
    """A datagram whose first byte is REQUEST. Raises `DecodeError`. Bytes after the last field are ignored."""
    flags, tid, to, id, token, position = _decode_head(data)
    command, position = _decode_uint(data, position)
    target = value = None
    if flags & _TARGET:
        target, position = _decode_fixed32(data, position)
    if flags & _VALUE:
        value, position = _decode_buffer(data, position)
    return RequestPacket(tid, to, id, token, flags & _INTERNAL != 0, command, target, value)


def decode_response(data: bytes) -> ResponsePacket:
    """A datagram whose first byte is RESPONSE. Raises `DecodeError`. Bytes after the last field are ignored."""
    flags, tid, to, id, token, position = _decode_head(data)
    closer: list[Address] = []
    error = OK
    value = None
    if flags & _CLOSER:
        count, position = _decode_uint(data, position)
        end = position + 6 * count
        if count > MAX_ARRAY or end > len(data):
            raise DecodeError(f"{count} addresses at offset {position} of {len(data)} bytes")
        closer = [Address(inet_ntoa(octets), port) for octets, port in _ADDRESS.iter_unpack(data[position:end])]
        position = end
    if flags & _ERROR:
        error, position = _decode_uint(data, position)
    if flags & _VALUE:
        value, position = _decode_buffer(data, position)
    return ResponsePacket(tid, to, id, token, closer, error, value)


def _encode_head(kind: int, flags: int, tid: int, to: Address, id: bytes | None, token: bytes | None) -> bytes:
    """``flags``: of what comes behind it."""
    if id is not None:
        flags |= _ID
    if token is not None:
        flags |= _TOKEN
    return _HEAD.pack(kind, flags, tid, inet_aton(to[0]), to[1]) + (id or b"") + (token or b"")


def _encode_addresses(addresses: Iterable[Address]) -> list[bytes]:
    pack = _ADDRESS.pack
    return [pack(inet_aton(host), port) for host, port in addresses]


def _uint(value: int) -> bytes:
    return bytes((value,)) if 0 <= value <= 0xFC else Writer().uint(value).to_bytes()


def _decode_head(data: bytes) -> tuple[int, int, Address, bytes | None, bytes | None, int]:
    try:
        _, flags, tid, octets, port = _HEAD.unpack_from(data)
    except struct.error:
        raise DecodeError(f"a packet is at least {_HEAD.size} bytes, got {len(data)}") from None
    position = _HEAD.size
    if flags > 0xFC:
        # a variable-length integer of the wire, but five bits is all there is to say
        raise DecodeError(f"unknown flags {flags:#x}")
    to = Address(inet_ntoa(octets), port)
    id = token = None
    if flags & _ID:
        id, position = _decode_fixed32(data, position)
    if flags & _TOKEN:
        token, position = _decode_fixed32(data, position)
    return flags, tid, to, id, token, position


def _decode_uint(data: bytes, position: int) -> tuple[int, int]:
    if position < len(data) and data[position] <= 0xFC:
        return data[position], position + 1
    reader = Reader(data, position)
    return reader.uint(), reader.position


def _decode_fixed32(data: bytes, position: int) -> tuple[bytes, int]:
    end = position + 32
    if end > len(data):
        raise DecodeError(f"32 bytes expected at offset {position} of {len(data)} bytes")
    return data[position:end], end


def _decode_buffer(data: bytes, position: int) -> tuple[bytes, int]:
    size, position = _decode_uint(data, position)
    end = position + size
    if end > len(data):
        raise DecodeError(f"{size} bytes expected at offset {position} of {len(data)} bytes")
    return data[position:end], end
