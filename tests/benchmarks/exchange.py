"""What is measured over one open connection, whatever stack it is of: the commands, and the loop that takes them.

Knows no stack and no event loop: a peer's program gives it a way to write and a way to read.
"""

from __future__ import annotations

import json
import os
import statistics
from abc import ABC, abstractmethod
from time import perf_counter
from typing import Any

__all__ = ["Exchange", "report"]

PIECE = 1 << 16


def report(line: dict[str, Any]) -> None:
    print(json.dumps(line), flush=True)


class Exchange(ABC):
    """One end. Each public method is a command: it takes the command's options and gives its result."""

    @abstractmethod
    async def _write(self, data: bytes) -> None:
        """All of it."""

    @abstractmethod
    async def _read(self, most: int | None) -> bytes:
        """At most ``most`` bytes, or as many as the stack likes to give; none at the end of the stream."""

    async def _take(self, most: int | None = None) -> bytes:
        data = await self._read(most)
        if not data:
            raise EOFError("the other end closed the connection")
        return data

    async def run(self, line: bytes | str) -> None:
        """Carry out one command: ``{"do": NAME, ...}``. The result is printed, or what went wrong."""
        options = json.loads(line)
        try:
            report({"result": await getattr(self, options.pop("do"))(**options) or {}})
        except Exception as error:  # whatever it is, the runner is told
            report({"error": f"{type(error).__name__}: {error}"})

    async def send(self, size: int, count: int) -> None:
        data = os.urandom(size)
        for _ in range(count):
            await self._write(data)

    async def receive(self, bytes: int) -> dict[str, Any]:
        """The seconds from the first piece to the last."""
        count = len(await self._take())
        began = perf_counter()
        while count < bytes:
            count += len(await self._take())
        return {"seconds": perf_counter() - began}

    async def pour(self, seconds: float) -> None:
        """Write 64 KB at a time, for so long."""
        data = os.urandom(PIECE)
        ends = perf_counter() + seconds
        while perf_counter() < ends:
            await self._write(data)

    async def gauge(self, after: float, seconds: float) -> dict[str, Any]:
        """How many bytes arrive in so many seconds, which begin ``after`` seconds from now."""
        begins = perf_counter() + after
        count = 0
        while True:
            arrived = len(await self._take())
            now = perf_counter()
            if now >= begins + seconds:
                return {"bytes": count}
            if now >= begins:
                count += arrived

    async def echo(self, bytes: int) -> None:
        while bytes > 0:
            data = await self._take()
            bytes -= len(data)
            await self._write(data)

    async def ping(self, size: int, count: int) -> dict[str, Any]:
        """Round trips, in microseconds."""
        data = os.urandom(size)
        times = []
        for _ in range(count):
            began = perf_counter()
            await self._write(data)
            missing = size
            while missing:
                missing -= len(await self._take(missing))
            times.append((perf_counter() - began) * 1e6)
        times.sort()
        return {"median": statistics.median(times), "p99": times[len(times) * 99 // 100]}
