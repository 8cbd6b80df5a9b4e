"""Loses datagrams of a running process, ours or Node's, without the process knowing.

A classic BPF program on each of its sockets drops a share of what it receives (Linux: socket(7) SO_ATTACH_FILTER,
pidfd_getfd(2)). That needs no privilege over a child process, and takes loss to where the kernel delivers.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import sys
from pathlib import Path

import pytest

__all__ = ["lose", "lost"]

SO_ATTACH_FILTER = 26
SYS_PIDFD_GETFD = 438  # the same on every architecture
RANDOM = 0xFFFFF000 + 56  # SKF_AD_OFF + SKF_AD_RANDOM: loads a random word


def _program(percent: int) -> list[tuple[int, int, int, int]]:
    return [
        (0x20, 0, 0, RANDOM),  # A = random
        (0x94, 0, 0, 100),  # A %= 100
        (0x35, 1, 0, percent),  # if A >= percent skip one
        (0x06, 0, 0, 0),  # drop
        (0x06, 0, 0, 0xFFFFFFFF),  # keep all of it
    ]


def lose(pid: int, percent: int) -> None:
    """Every UDP socket that the process has now drops this share of what it receives."""
    if not sys.platform.startswith("linux"):
        pytest.skip("losing datagrams needs Linux")
    program = _program(percent)
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in program))
    option = struct.pack("HL", len(program), ctypes.addressof(code))
    filtered = 0
    process = os.pidfd_open(pid)
    try:
        for number in os.listdir(f"/proc/{pid}/fd"):
            if not os.readlink(f"/proc/{pid}/fd/{number}").startswith("socket:"):
                continue
            with socket.socket(fileno=_borrow(process, int(number))) as theirs:
                if theirs.type == socket.SOCK_DGRAM:
                    theirs.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, option)
                    filtered += 1
    finally:
        os.close(process)
    assert filtered, "the process has no UDP socket"


def lost(pid: int) -> int:
    """How many datagrams the sockets that the process has now have dropped."""
    links = [os.readlink(f"/proc/{pid}/fd/{number}") for number in os.listdir(f"/proc/{pid}/fd")]
    own = {link.removeprefix("socket:[").removesuffix("]") for link in links if link.startswith("socket:[")}
    lines = [line.split() for line in Path(f"/proc/{pid}/net/udp").read_text().splitlines()[1:]]
    return sum(int(line[-1]) for line in lines if line[9] in own)


def _borrow(process: int, number: int) -> int:
    """A descriptor of our own for a file that another process has open."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor: int = libc.syscall(SYS_PIDFD_GETFD, process, number, 0)
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return descriptor
