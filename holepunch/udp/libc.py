"""`recvmmsg` and `sendmmsg` of the C library through cffi in ABI mode, which needs no compiler.

Declarations only; `holepunch.udp.receive` and `holepunch.udp.send` lay out the arrays.
"""

from __future__ import annotations

import sys
from functools import cache
from typing import Any, NamedTuple

__all__ = ["Libc", "load"]

# As linux/socket.h has them. C libraries that declare smaller counters pad them to the same layout.
_DECLARATIONS = """
struct iovec { void *base; size_t length; };
struct msghdr {
    void *name; unsigned int name_length;
    struct iovec *buffers; size_t buffer_count;
    void *control; size_t control_length;
    int flags;
};
struct mmsghdr { struct msghdr header; unsigned int length; };
int recvmmsg(int socket, struct mmsghdr *messages, unsigned int count, int flags, void *timeout);
int sendmmsg(int socket, struct mmsghdr *messages, unsigned int count, int flags);
"""


class Libc(NamedTuple):
    """A cffi instance, and the C library opened with it. cffi has no types for either."""

    ffi: Any
    functions: Any


@cache
def load() -> Libc | None:
    """None where there is no cffi (PyNaCl brings it) or the system has no such calls."""
    if sys.platform != "linux":
        return None
    try:
        import cffi
    except ImportError:
        return None
    ffi = cffi.FFI()
    ffi.cdef(_DECLARATIONS)
    functions = ffi.dlopen(None)
    try:
        _ = functions.recvmmsg, functions.sendmmsg
    except AttributeError:
        return None
    return Libc(ffi, functions)
