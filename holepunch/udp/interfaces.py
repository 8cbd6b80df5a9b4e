"""The IPv4 addresses of this machine that neighbours could reach it at. The one module that knows `netifaces`."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

__all__ = ["local_hosts"]

netifaces: Any
try:
    import netifaces
except ImportError:  # no wheel for this platform
    netifaces = None

_ANYWHERE = ("192.88.99.1", 9)
"""A public address to ask the route to. Connecting a UDP socket sends nothing."""


def local_hosts() -> list[str]:
    """Addresses of all interfaces but the loopback one, in the system's order; 127.0.0.1 when there are none.

    Raises ``OSError`` when the system does not say: reading them takes a file descriptor.
    """
    hosts = _routed_host() if netifaces is None else _interface_hosts()
    return [host for host in dict.fromkeys(hosts) if not ipaddress.IPv4Address(host).is_loopback] or ["127.0.0.1"]


def _interface_hosts() -> list[str]:
    hosts = []
    for name in netifaces.interfaces():
        try:
            entries = netifaces.ifaddresses(name).get(netifaces.AF_INET, [])
        except ValueError:  # it went away in between
            continue
        hosts += [entry["addr"] for entry in entries if "addr" in entry]
    return hosts


def _routed_host() -> list[str]:
    """Where packets to the internet leave from: one address, though there may be more."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(_ANYWHERE)
        except OSError:
            return []
        return [sock.getsockname()[0]]
