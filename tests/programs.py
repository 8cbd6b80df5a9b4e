"""Runs programs as a user would: the command ``swarm`` and examples, as processes of their own."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["SWARM", "Program", "run", "running"]

SWARM = (sys.executable, "-m", "swarm.cli")


async def run(*command: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run a program to its end, whatever its exit code."""
    return await trio.run_process(list(command), stdin=stdin, capture_stdout=True, capture_stderr=True, check=False)


class Program:
    """A program while it runs."""

    def __init__(self, process: trio.Process) -> None:
        self.process = process
        self._rest = b""

    async def say(self, text: str) -> None:
        assert self.process.stdin is not None
        await self.process.stdin.send_all(text.encode())

    async def end_input(self) -> None:
        assert self.process.stdin is not None
        await self.process.stdin.aclose()

    async def line(self) -> str:
        """The next line of its output. Raises ``EOFError`` when there is none."""
        assert self.process.stdout is not None
        while b"\n" not in self._rest:
            data = await self.process.stdout.receive_some()
            if not data:
                raise EOFError(f"the program ended with {self._rest!r}")
            self._rest += data
        line, self._rest = self._rest.split(b"\n", 1)
        return line.decode()

    async def line_with(self, text: str) -> str:
        """The next line that contains ``text``."""
        while text not in (line := await self.line()):
            pass
        return line


@contextlib.asynccontextmanager
async def running(*command: str, stderr: int | None = None) -> AsyncIterator[Program]:
    """A program that runs during the block and is killed at its end."""
    process = await trio.lowlevel.open_process(
        list(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr
    )
    try:
        yield Program(process)
    finally:
        with trio.CancelScope(shield=True):
            process.kill()
            await process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    await stream.aclose()
