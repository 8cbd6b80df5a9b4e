"""What applications hand over, one check for each kind of argument, so that a mistake is told where it is made.

Each raises ``TypeError`` or ``ValueError`` that shows the value and says what a right one is. Nothing here does I/O.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address

__all__ = ["check_32_bytes", "check_bytes", "check_host", "check_integer", "check_port", "check_target", "check_texts"]


def check_texts(value: Iterable[str], name: str, example: str) -> list[str]:
    """A list of strings, and not the one string that was meant to be in it."""
    if isinstance(value, str):
        raise TypeError(f"{name} is a list of strings, got one string: {value!r}; write [{value!r}]")
    right = f"{name} is a list of strings, such as [{example!r}]"
    if not isinstance(value, Iterable) or isinstance(value, bytes | bytearray | memoryview):
        raise TypeError(f"{right}, got {value!r}")
    texts = list(value)
    for text in texts:
        if not isinstance(text, str):
            raise TypeError(f"{right}, got {text!r} in it")
    return texts


def check_integer(value: int, name: str, least: int, most: int | None = None) -> int:
    """A whole number within bounds. True and False are none."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} is a whole number, got {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")
    if most is not None and value > most:
        raise ValueError(f"{name} must be at most {most}, got {value}")
    return value


def check_port(value: int) -> int:
    """A local port: 0 is any free one."""
    return check_integer(value, "port", 0, 65535)


def check_host(value: str, name: str = "host", example: str = "'192.168.1.2', or '0.0.0.0'") -> str:
    """An address of this machine. A name is none: it may stand for several."""
    example = f"a right one looks like {example}"
    if not isinstance(value, str):
        raise TypeError(f"{name} is an IPv4 address as text, got {value!r}; {example}")
    try:
        return str(IPv4Address(value))
    except ValueError:
        raise ValueError(f"{name} is not an IPv4 address: {value!r}; {example}") from None


def check_bytes(value: bytes | bytearray | memoryview, name: str) -> bytes:
    """Bytes in any form."""
    if not isinstance(value, bytes | bytearray | memoryview):
        raise TypeError(f"{name} is bytes, got {type(value).__name__}: {value!r:.80}")
    return bytes(value)


def check_32_bytes(value: bytes | bytearray | memoryview, name: str) -> bytes:
    """A key or a hash."""
    data = check_bytes(value, name)
    if len(data) != 32:
        raise ValueError(f"{name} is 32 bytes, got {len(data)}: {data[:40]!r}")
    return data


def check_target(value: bytes | bytearray | memoryview) -> bytes:
    """What something is stored near in the DHT."""
    return check_32_bytes(value, "a target")
