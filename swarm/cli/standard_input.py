"""Standard input without blocking other tasks."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["chunks", "end", "everything", "lines"]

CHUNK = 65536


async def chunks() -> AsyncIterator[bytes]:
    """What comes in, as it comes, until the end of input. An input that was closed before the start has ended."""
    if sys.stdin is None:
        return
    number = sys.stdin.fileno()
    # os.read in a thread, not sys.stdin: a thread left waiting inside the latter keeps the interpreter from exiting
    while data := await trio.to_thread.run_sync(os.read, number, CHUNK, abandon_on_cancel=True):
        yield data


async def lines() -> AsyncIterator[str]:
    """One line at a time, without its end; what is not UTF-8 is replaced."""
    rest = b""
    async for data in chunks():
        *whole, rest = (rest + data).split(b"\n")
        for line in whole:
            yield line.rstrip(b"\r").decode(errors="replace")
    if rest:
        yield rest.decode(errors="replace")


def everything() -> bytes:
    """All of it, before anything else runs."""
    return b"" if sys.stdin is None else sys.stdin.buffer.read()


async def end() -> None:
    """Wait for the end of input."""
    async for _ in chunks():
        pass
