"""Peers and DHTs in processes of their own, Node's and ours, driven alike; what they cost is read from the system."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["INSIDE", "KINDS", "Failure", "Program", "cpu_seconds", "loss", "memory", "peers", "testnet"]

KINDS = ("node", "python")

HERE = Path(__file__).parent
INTEROP = HERE.parent / "interop"
PEERS = {"node": ["node", str(HERE / "peer.js")], "python": [sys.executable, str(HERE / "peer.py")]}
TESTNETS = {
    "node": ["node", str(HERE / "testnet.js")],
    "python": [sys.executable, "-m", "swarm.cli", "testnet", "--json", "--nodes"],
}


PATIENCE = 60.0
"""Seconds for one command."""


INSIDE = "BENCHMARK_PRIVATE_NETWORK"
"""Set in the environment of a run in a network namespace of its own, where rules for packets harm nobody."""


class Failure(Exception):
    """A program ended, hung, or said that a command failed."""


@contextmanager
def loss(percent: int) -> Iterator[None]:
    """Let the namespace lose so many of a hundred UDP datagrams, or runs of them, on their way in."""
    if INSIDE not in os.environ or shutil.which("nft") is None:
        raise Failure("losing packets takes nft, root, and a network namespace")
    rules = (
        "add table inet benchmark; "
        "add chain inet benchmark lossy { type filter hook input priority 0; }; "
        f"add rule inet benchmark lossy meta l4proto udp numgen random mod 100 < {percent} drop"
    )
    subprocess.run(["nft", rules], check=True)
    try:
        yield
    finally:
        subprocess.run(["nft", "delete table inet benchmark"], check=True)


class Program:
    """A process that takes commands and gives results as JSON lines. The first line it prints is `ready`."""

    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "NODE_PATH": str(INTEROP / "node_modules")},
        )
        self.pid = self._process.pid
        self.ready: dict[str, Any] = {}

    def begin(self, name: str, **options: Any) -> None:
        """Send one command; `end` gives its result. Several programs can be at work between the two."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"do": name, **options}).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise Failure(f"{self._process.args!r} ended") from None

    def read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], PATIENCE)[0]:
            raise Failure(f"{self._process.args!r} said nothing for {PATIENCE:g} s")
        line = self._process.stdout.readline()
        if not line:
            raise Failure(f"{self._process.args!r} ended")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def end(self) -> dict[str, Any]:
        answer = self.read()
        if "error" in answer:
            raise Failure(answer["error"])
        result: dict[str, Any] = answer["result"]
        return result

    def call(self, name: str, **options: Any) -> dict[str, Any]:
        self.begin(name, **options)
        return self.end()

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with suppress(BrokenPipeError):
                pipe.close()


@contextmanager
def _running(commands: Sequence[Sequence[str]]) -> Iterator[list[Program]]:
    """Start programs side by side, wait until each is ready, and end them with the block."""
    programs: list[Program] = []
    try:
        for command in commands:
            programs.append(Program(command))
        for program in programs:
            program.ready = program.read()
        yield programs
    finally:
        for program in programs:
            program.stop()


@contextmanager
def testnet(kind: str, nodes: int) -> Iterator[tuple[str, Program]]:
    """A DHT of one kind of node in one process: its bootstrap address, and the process."""
    with _running([[*TESTNETS[kind], str(nodes)]]) as (program,):
        yield program.ready["bootstrap"][0], program


@contextmanager
def peers(bootstrap: str, *kinds: str) -> Iterator[list[Program]]:
    with _running([[*PEERS[kind], bootstrap] for kind in kinds]) as programs:
        yield programs


def cpu_seconds(program: Program) -> float:
    """Of all its threads, so far."""
    threads = Path(f"/proc/{program.pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


def memory(program: Program) -> int:
    """Bytes resident now."""
    return int(Path(f"/proc/{program.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
