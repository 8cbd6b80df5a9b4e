"""Whether a datagram that is too large for a link on its way may be cut there: IPv4's "do not fragment" bit.

Where a system has no option for it, its own default stays. Sources: ip(7) of Linux, ip(4) of macOS, Winsock's
IP_DONTFRAGMENT.
"""

from __future__ import annotations

import contextlib
import socket
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["forbid_fragments", "fragments_allowed"]

# options and values that the socket module has no names for
_IP_MTU_DISCOVER, _IP_PMTUDISC_DONT, _IP_PMTUDISC_PROBE = 10, 0, 3
_DONT_FRAGMENT = {"darwin": 28, "win32": 14}


def forbid_fragments(sock: socket.socket) -> None:
    """Datagrams leave whole whatever the system believes of the route, and are lost where they do not fit."""
    _set(sock, forbidden=True)


@contextlib.contextmanager
def fragments_allowed(sock: socket.socket) -> Iterator[None]:
    """What is sent inside may be cut, here or on its way. For sockets that `forbid_fragments` was called for."""
    _set(sock, forbidden=False)
    try:
        yield
    finally:
        _set(sock, forbidden=True)


def _set(sock: socket.socket, *, forbidden: bool) -> None:
    with contextlib.suppress(OSError):
        if sys.platform == "linux":
            value = _IP_PMTUDISC_PROBE if forbidden else _IP_PMTUDISC_DONT
            sock.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, value)
        elif sys.platform in _DONT_FRAGMENT:
            sock.setsockopt(socket.IPPROTO_IP, _DONT_FRAGMENT[sys.platform], int(forbidden))
