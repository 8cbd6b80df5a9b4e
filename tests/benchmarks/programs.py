"""Peers and DHTs in processes of their own, Node's and ours, driven alike; what they cost is read from the system."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = [
    "HOME",
    "KINDS",
    "MEETING",
    "Failure",
    "Place",
    "Program",
    "cpu_seconds",
    "dht_nodes",
    "meet",
    "memory",
    "peers",
    "running",
    "transfer",
]

KINDS = ("node", "python")

HERE = Path(__file__).parent
INTEROP = HERE.parent / "interop"
PEERS = {"node": ["node", str(HERE / "peer.js")], "python": [sys.executable, "-m", "benchmarks.peer"]}
TESTNETS = {"node": ["node", str(HERE / "testnet.js")], "python": [sys.executable, "-m", "benchmarks.testnet"]}


PATIENCE = 60.0
"""Seconds for one command."""
MEETING = 5.0
"""Seconds that a pair has to meet."""


@dataclass(frozen=True)
class Place:
    """Where a program runs."""

    host: str = "127.0.0.1"
    enter: tuple[str, ...] = ()
    """The command that runs another one there."""


HOME = Place()


class Failure(Exception):
    """A program ended, hung, or said that a command failed."""


class Program:
    """A process that takes commands and gives results as JSON lines. The first line it prints is `ready`."""

    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=HERE.parent,
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
def running(*commands: Sequence[str]) -> Iterator[list[Program]]:
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
def dht_nodes(kind: str, nodes: int, place: Place = HOME) -> Iterator[tuple[str, Program]]:
    """A DHT of one kind of node in one process: its bootstrap address, and the process."""
    with running([*place.enter, *TESTNETS[kind], str(nodes), place.host]) as (program,):
        yield program.ready["bootstrap"][0], program


@contextmanager
def peers(bootstrap: str, *kinds: str, places: Sequence[Place] = ()) -> Iterator[list[Program]]:
    """One peer of each of the kinds; ``places``: where, for each of them, unless all are here."""
    where = places or [HOME] * len(kinds)
    with running(
        *([*place.enter, *PEERS[kind], bootstrap, place.host] for kind, place in zip(kinds, where, strict=True))
    ) as programs:
        yield programs


def meet(one: Program, other: Program) -> None:
    """Connect two peers by a topic of their own."""
    topic = os.urandom(32).hex()
    one.call("serve", topic=topic)
    other.call("meet", topic=topic, patience=MEETING, server=False)
    one.call("met")


def transfer(sender: Program, receiver: Program, size: int, total: int) -> float:
    """Bytes per second, in writes of ``size`` bytes, ``total`` in all or a little less."""
    count = total // size
    receiver.begin("receive", bytes=count * size)
    sender.begin("send", size=size, count=count)
    seconds: float = receiver.end()["seconds"]
    sender.end()
    return count * size / seconds


def cpu_seconds(program: Program) -> float:
    """Of all its threads, so far."""
    threads = Path(f"/proc/{program.pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


def memory(program: Program) -> int:
    """Bytes resident now."""
    return int(Path(f"/proc/{program.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
