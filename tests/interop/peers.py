"""Peers and DHTs in processes of their own, Node's and ours, all driven alike.

A test says which kind each side is; nothing here knows what a test is about.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio

from holepunch.keys import KeyPair

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable

__all__ = ["DHT_COMMANDS", "PEER_COMMANDS", "Host", "Peer", "PeerError", "content"]

HERE = Path(__file__).parent
PEER_COMMANDS = {
    "node": ["node", str(HERE / "peer.js")],
    "python": [sys.executable, str(HERE / "peer.py")],
}
DHT_COMMANDS = {
    "node": ["node", str(HERE / "testnet.js"), "4"],
    "python": [sys.executable, "-m", "swarm.cli", "testnet", "--nodes", "4", "--json"],
}


PATIENCE = 10
"""Seconds for a peer to stop, before its process is killed."""


def content(seed: str, length: int) -> bytes:
    """The bytes that a peer's command ``send`` sends for this seed."""
    return hashlib.shake_256(seed.encode()).digest(length)


class PeerError(Exception):
    """A command failed in the peer's process. The text is what the peer said."""


class Host:
    """A process that is one peer after another: to start a process takes longer than most of what is tested.

    Starts at once, and runs until `close`.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.process = subprocess.Popen(PEER_COMMANDS[kind], bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.numbers = itertools.count(1)
        """For commands: what an earlier peer still answers is no answer to a later one."""
        self._rest = b""

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    @contextlib.asynccontextmanager
    async def input(self) -> AsyncIterator[trio.abc.SendStream]:
        assert self.process.stdin is not None
        async with trio.lowlevel.FdStream(os.dup(self.process.stdin.fileno())) as stream:
            yield stream

    async def lines(self) -> AsyncGenerator[dict[str, Any]]:
        """What the process says, until it ends. May be left and entered again."""
        assert self.process.stdout is not None
        async with trio.lowlevel.FdStream(os.dup(self.process.stdout.fileno())) as stream:
            while True:
                *whole, self._rest = self._rest.split(b"\n")
                for line in whole:
                    yield json.loads(line)
                data = await stream.receive_some()
                if not data:
                    return
                self._rest += data

    def kill(self) -> None:
        """SIGKILL. The process is gone when this returns."""
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.kill()
        self.process.stdin.close()
        self.process.stdout.close()


class Peer:
    """One peer of a DHT. `run` keeps it up; everything else talks to it.

    ``host`` is the process to be in; without it the peer has one of its own, from `run` to its end. ``options`` go with
    the command ``be``. ``remotes`` are the connections so far, in their order: (number, remote key in hex).
    """

    def __init__(
        self, kind: str, bootstrap: str, seed: bytes | None = None, host: Host | None = None, **options: Any
    ) -> None:
        self.kind = kind
        self.bootstrap = bootstrap
        self.seed = os.urandom(32) if seed is None else seed
        self.key = KeyPair.from_seed(self.seed).public_key.hex()
        self.remotes: list[tuple[int, str]] = []
        self._options = options
        self._shared = host
        self._host = host
        self._input: trio.abc.SendStream | None = None
        self._replies: dict[int, dict[str, Any]] = {}
        self._news = trio.Condition()
        self._sending = trio.Lock()
        self._ended = False

    @property
    def pid(self) -> int:
        assert self._host is not None
        return self._host.process.pid

    async def run(self, task_status: trio.TaskStatus[Peer] = trio.TASK_STATUS_IGNORED) -> None:
        """Report the peer as started once it is on the DHT, and stay until it ends or is cancelled."""
        host = self._host = self._shared or Host(self.kind)
        try:
            async with host.input() as self._input, trio.open_nursery() as nursery:
                reading = await nursery.start(self._read, host)
                try:
                    await self.call("be", bootstrap=self.bootstrap, seed=self.seed.hex(), **self._options)
                    task_status.started(self)
                    await self._until(lambda: self._ended)
                finally:
                    with trio.CancelScope(shield=True):
                        await self._stop()
                    reading.cancel()
        finally:
            if host is not self._shared:
                host.close()

    async def _stop(self) -> None:
        assert self._host is not None
        if self._host is self._shared and not self._ended:
            with trio.move_on_after(PATIENCE), contextlib.suppress(PeerError):
                await self.call("stop")
                return
        self._host.kill()

    async def _read(self, host: Host, task_status: trio.TaskStatus[trio.CancelScope]) -> None:
        with trio.CancelScope(shield=True) as scope:
            task_status.started(scope)
            try:
                async with contextlib.aclosing(host.lines()) as lines:
                    async for line in lines:
                        async with self._news:
                            if line.get("event") == "connection":
                                self.remotes.append((line["conn"], line["remote"]))
                            else:
                                self._replies[line["id"]] = line
                            self._news.notify_all()
            finally:
                with trio.CancelScope(shield=True):
                    async with self._news:
                        self._ended = True
                        self._news.notify_all()

    async def call(self, name: str, **options: Any) -> dict[str, Any]:
        """Run one command in the peer and give its result. Raises `PeerError`."""
        assert self._host is not None
        assert self._input is not None
        number = next(self._host.numbers)
        command = {"id": number, "do": name, **options}
        async with self._sending:
            try:
                await self._input.send_all(json.dumps(command).encode() + b"\n")
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
        """Close the input of the peer's process: it leaves the DHT and ends. Raises `PeerError` when that fails."""
        assert self._host is not None
        assert self._host.process.stdin is not None
        assert self._input is not None
        self._host.process.stdin.close()
        await self._input.aclose()
        status = await trio.to_thread.run_sync(self._host.process.wait)
        if status != 0:
            raise PeerError(f"{self.kind}: ended with {status}")

    async def kill(self) -> None:
        """SIGKILL: the peer says goodbye to nobody."""
        assert self._host is not None
        self._host.kill()
        await self._until(lambda: self._ended)

    async def _until(self, ready: Callable[[], bool]) -> None:
        async with self._news:
            while not ready():
                if self._ended:
                    raise PeerError(f"{self.kind}: its process ended")
                await self._news.wait()
