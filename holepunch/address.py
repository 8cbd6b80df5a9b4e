"""IPv4 addresses of the wire, their classes, and which local address fits a remote one.

``Address`` is a named tuple so that it equals, and hashes like, what the socket module gives.
Node: bogon 1.3.0 for the classes, hyperdht lib/holepuncher.js for the matcher.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, NamedTuple, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Address", "best_match", "is_bogon", "is_ipv4", "is_lan", "is_private", "is_reserved", "split_host_port"]

_MAX_NAME = 253
_MAX_LABEL = 63
_LABEL_CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
"""Letters, digits and hyphens (RFC 1123 section 2.1), and the underscores that local names have."""


class Address(NamedTuple):
    """An IPv4 host in dotted-decimal form, and a UDP port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """``"127.0.0.1:49737"`` -> Address. Raises ``ValueError`` that shows the text and a right one."""
        found = split_host_port(text)
        if found is None or not is_ipv4(found[0]):
            raise ValueError(f"not an address: {text!r}; {_RIGHT}")
        return cls(*found)

    @classmethod
    def of(cls, address: object) -> Self:
        """What an application gives as an address: text, an `Address`, or a pair of host and port. Raises ``TypeError``
        and ``ValueError`` that show it and a right one."""
        if isinstance(address, str):
            return cls.parse(address)
        match address:
            case (str(host), int(port)) if isinstance(address, tuple) and not isinstance(port, bool):
                if is_ipv4(host) and 0 < port < 65536:
                    return cls(host, port)
                raise ValueError(f"not an address: {address!r}; {_RIGHT}")
        raise TypeError(f"not an address: {address!r}; {_RIGHT}")


_RIGHT = "a right one looks like '127.0.0.1:49737'"


def split_host_port(text: str) -> tuple[str, int] | None:
    """``"host:port"`` -> an IPv4 address or a name that a resolver can be asked for, and a port from 1; else None."""
    host, colon, port = text.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) < 65536):
        return None
    return (host, int(port)) if is_ipv4(host) or _is_name(host) else None


def is_ipv4(host: str) -> bool:
    """Whether it is an IPv4 address in dotted-decimal form."""
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        return False
    return True


def _is_name(host: str) -> bool:
    if len(host) > _MAX_NAME or host.replace(".", "").isdigit():
        return False
    if not host.isascii():
        import idna  # what trio resolves such names with; few do, so it is not imported for the others

        try:
            host = idna.encode(host, uts46=True).decode()
        except UnicodeError:
            return False
    labels = host.removesuffix(".").split(".")
    return len(host) <= _MAX_NAME and all(
        0 < len(label) <= _MAX_LABEL and not label.strip(_LABEL_CHARACTERS) for label in labels
    )


def _networks(*texts: str) -> tuple[tuple[int, int], ...]:
    return tuple((int(n.network_address), int(n.netmask)) for n in map(ipaddress.IPv4Network, texts))


_CARRIERS = _networks("100.64.0.0/10")
_PRIVATE = _networks("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16")
_RESERVED = _networks(
    "0.0.0.0/8",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
)


def _within(host: str, networks: tuple[tuple[int, int], ...]) -> bool:
    value = int(ipaddress.IPv4Address(host))
    return any(value & mask == network for network, mask in networks)


def is_private(host: str) -> bool:
    """A host of a home, office, carrier, link-local or loopback network."""
    return _within(host, _PRIVATE)


def is_lan(host: str) -> bool:
    """A host of a home, office, link-local or loopback network, but not of a carrier's, which is between homes."""
    return is_private(host) and not _within(host, _CARRIERS)


def is_reserved(host: str) -> bool:
    """A host that no packet may be sent to: documentation, benchmarking, multicast, future use."""
    return _within(host, _RESERVED)


def is_bogon(host: str) -> bool:
    """A host that cannot be reached over the public internet."""
    return is_private(host) or is_reserved(host)


def _shared_octets(a: str, b: str) -> int:
    shared = 0
    for x, y in zip(a.split(".")[:3], b.split(".")[:3], strict=False):
        if x != y:
            break
        shared += 1
    return shared


def best_match(local_hosts: Iterable[str], remote: Sequence[Address]) -> Address | None:
    """The remote address that shares most leading octets with a local host; None when none does.

    Of equals the one that matches an earlier local host, then the earlier one, as in Node.
    """
    best: Address | None = None
    most = 0
    for host in local_hosts:
        for address in remote:
            shared = _shared_octets(host, address.host)
            if shared > most:
                best, most = address, shared
    return best
