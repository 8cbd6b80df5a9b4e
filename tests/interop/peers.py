"""Peers and DHTs in processes of their own, Node's and ours, all driven alike.

A test says which kind each side is; nothing here knows what a test is about.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio

from holepunch.keys import KeyPair

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

__all__ = ["DHT_COMMANDS", "PEER_COMMANDS", "Peer", "PeerError", "content"]

HERE = Path(__file__).parent
PEER_COMMANDS = {
    "node": ["node", str(HERE / "peer.js")],
    "python": [sys.executable, str(HERE / "peer.py")],
}
DHT_COMMANDS = {
    "node": ["node", str(HERE / "testnet.js"), "4"],
    "python": [sys.executable, "-m", "swarm.cli", "testnet", "--nodes", "4", "--json"],
}


def content(seed: str, length: int) -> bytes:
    """The bytes that a peer's command ``send`` sends for this seed."""
    return hashlib.shake_256(seed.encode()).digest(length)


class PeerError(Exception):
    """A command failed in the peer's process. The text is what the peer said."""


class Peer:
    """One peer of a DHT. `run` owns its process; everything else talks to it.

    ``remotes`` are the connections so far, in the order in which they came: (number, remote key in hex).
    """

    def __init__(self, kind: str, bootstrap: str, seed: bytes | None = None) -> None:
        self.kind = kind
        self.bootstrap = bootstrap
        self.seed = os.urandom(32) if seed is None else seed
        self.key = KeyPair.from_seed(self.seed).public_key.hex()
        self.remotes: list[tuple[int, str]] = []
        self._process: trio.Process | None = None
        self._replies: dict[int, dict[str, Any]] = {}
        self._news = trio.Condition()
        self._sending = trio.Lock()
        self._count = 0
        self._ended = False

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def run(self, task_status: trio.TaskStatus[Peer] = trio.TASK_STATUS_IGNORED) -> None:
        """Start the process, report it as started once it is on the DHT, and stay until it ends or is cancelled."""
        self._process = process = await trio.lowlevel.open_process(
            [*PEER_COMMANDS[self.kind], self.bootstrap, self.seed.hex()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        try:
            async for line in _lines(process.stdout):
                if line.get("event") == "ready":
                    task_status.started(self)
                    continue
                async with self._news:
                    if line.get("event") == "connection":
                        self.remotes.append((line["conn"], line["remote"]))
                    else:
                        self._replies[line["id"]] = line
                    self._news.notify_all()
        finally:
            with trio.CancelScope(shield=True):
                process.kill()
                await process.wait()
                await process.stdout.aclose()
                if process.stdin is not None:
                    await process.stdin.aclose()
                async with self._news:
                    self._ended = True
                    self._news.notify_all()

    async def call(self, name: str, **options: Any) -> dict[str, Any]:
        """Run one command in the peer and give its result. Raises `PeerError`."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._count += 1
        number = self._count
        command = {"id": number, "do": name, **options}
        async with self._sending:
            try:
                await self._process.stdin.send_all(json.dumps(command).encode() + b"\n")
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                raise PeerError(f"{self.kind}: {name}: its process ended") from None
        await self._until(lambda: number in self._replies)
        reply = self._replies.pop(number)
        if "error" in reply:
            raise PeerError(f"{self.kind}: {name}: {reply['error']}")
        result: dict[str, Any] = reply["result"]
        return result

    async def connection(self, remote: Peer, after: int = 0) -> int:
        """Wait for a connection with ``remote`` numbered above ``after``, and give the number of the newest."""

        def newest() -> int:
            return max((conn for conn, key in self.remotes if key == remote.key), default=0)

        await self._until(lambda: newest() > after)
        return newest()

    async def open_to(self, remote: Peer) -> list[int]:
        """The numbers of the connections with ``remote`` that are open now."""
        return [entry["conn"] for entry in (await self.call("connections"))["open"] if entry["remote"] == remote.key]

    async def leave(self) -> None:
        """Close the peer's input: it leaves the DHT and ends. Raises `PeerError` when it fails at that."""
        assert self._process is not None
        assert self._process.stdin is not None
        await self._process.stdin.aclose()
        status = await self._process.wait()
        if status != 0:
            raise PeerError(f"{self.kind}: ended with {status}")

    async def kill(self) -> None:
        """SIGKILL: the peer says goodbye to nobody."""
        assert self._process is not None
        self._process.kill()
        await self._until(lambda: self._ended)

    async def _until(self, ready: Callable[[], bool]) -> None:
        async with self._news:
            while not ready():
                if self._ended:
                    raise PeerError(f"{self.kind}: its process ended")
                await self._news.wait()


async def _lines(stream: trio.abc.ReceiveStream) -> AsyncIterator[dict[str, Any]]:
    rest = b""
    async for data in stream:
        *whole, rest = (rest + data).split(b"\n")
        for line in whole:
            yield json.loads(line)
