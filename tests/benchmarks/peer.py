"""One peer of ours that is measured, driven by JSON lines: peer.js in Python, on the public API.

    python peer.py HOST:PORT

In: ``{"do": NAME, ...}``, one command at a time; out: ``{"result": {...}}`` or ``{"error": TEXT}``. Before the first
command ``{"result": {"key": HEX}}`` says that the peer is part of the DHT.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
from time import perf_counter
from typing import TYPE_CHECKING, Any

import trio

from swarm import KeyPair, Swarm

if TYPE_CHECKING:
    from swarm import Connection


def report(line: dict[str, Any]) -> None:
    print(json.dumps(line), flush=True)


def _requests(swarm: Swarm) -> int:
    """How many requests the node has sent, those without an answer included."""
    rpc = swarm.dht.node.node.rpc
    return rpc.responses + rpc.timeouts + rpc.retries + rpc.in_flight


class Peer:
    """The commands: each takes a command's options and gives its result."""

    def __init__(self, swarm: Swarm, nursery: trio.Nursery) -> None:
        self._swarm = swarm
        self._nursery = nursery
        self._connection: Connection | None = None
        self._met = trio.Event()
        self._kept: list[Connection] = []

    async def accept(self) -> None:
        async for connection in self._swarm:
            self._connection = connection
            self._met.set()

    async def serve(self, topic: str) -> None:
        """Announce a topic."""
        await self._swarm.join(bytes.fromhex(topic), client=False).flushed()

    async def meet(self, topic: str, patience: float, server: bool = True) -> dict[str, Any]:
        """Join a topic; the time to the first connection in milliseconds, or null."""
        began = perf_counter()
        self._swarm.join(bytes.fromhex(topic), server=server)
        with trio.move_on_after(patience):
            await self._met.wait()
            return {"ms": (perf_counter() - began) * 1000}
        return {"ms": None}

    async def met(self) -> None:
        await self._met.wait()

    async def send(self, size: int, count: int) -> None:
        assert self._connection is not None
        data = os.urandom(size)
        for _ in range(count):
            await self._connection.send_all(data)

    async def receive(self, bytes: int) -> dict[str, Any]:
        """The seconds from the first piece to the last."""
        assert self._connection is not None
        count = len(await self._connection.receive_some())
        began = perf_counter()
        while count < bytes:
            count += len(await self._connection.receive_some())
        return {"seconds": perf_counter() - began}

    async def echo(self, bytes: int) -> None:
        assert self._connection is not None
        while bytes > 0:
            data = await self._connection.receive_some()
            bytes -= len(data)
            await self._connection.send_all(data)

    async def ping(self, size: int, count: int) -> dict[str, Any]:
        """Round trips, in microseconds."""
        assert self._connection is not None
        data = os.urandom(size)
        times = []
        for _ in range(count):
            began = perf_counter()
            await self._connection.send_all(data)
            missing = size
            while missing:
                missing -= len(await self._connection.receive_some(missing))
            times.append((perf_counter() - began) * 1e6)
        times.sort()
        return {"median": statistics.median(times), "p99": times[len(times) * 99 // 100]}

    async def listen(self) -> dict[str, Any]:
        """Accept whoever dials, on a key of its own, and keep the connections until they end."""
        pair = KeyPair.generate()
        listener = await self._swarm.dht.listen(pair)

        async def keep() -> None:
            async for connection in listener:
                self._nursery.start_soon(self._until_its_end, connection)

        self._nursery.start_soon(keep)
        return {"key": pair.public_key.hex()}

    async def _until_its_end(self, connection: Connection) -> None:
        try:
            async with connection:
                await connection.receive_some()
        except trio.BrokenResourceError:
            pass

    async def dial(self, key: str, count: int, at_once: bool = False, keep: bool = False) -> dict[str, Any]:
        """Dial one key again and again, as a new client each time; how long it took, and how many stay open."""
        opened: list[Connection] = []

        async def one() -> None:
            connection = await self._swarm.dht.connect(bytes.fromhex(key), key_pair=KeyPair.generate())
            opened.append(connection)

        began = perf_counter()
        with trio.move_on_after(30):
            async with trio.open_nursery() as nursery:
                for _ in range(count):
                    if at_once:
                        nursery.start_soon(one)
                    else:
                        await one()
        seconds = perf_counter() - began
        await trio.sleep(0.2)
        opened = [connection for connection in opened if not connection.is_closed]
        if keep:
            self._kept += opened
        else:
            for connection in opened:
                connection.destroy()
        return {"seconds": seconds, "opened": len(opened)}

    async def search(self, count: int, announce: bool) -> dict[str, Any]:
        """Announcements, or look-ups of nothing, one after another: messages and milliseconds of each."""
        messages, times = [], []
        for _ in range(count):
            target = os.urandom(32)
            before, began = _requests(self._swarm), perf_counter()
            if announce:
                await self._swarm.dht.announce(target, KeyPair.generate())
            else:
                async for _ in self._swarm.dht.lookup(target):
                    pass
            times.append((perf_counter() - began) * 1000)
            messages.append(_requests(self._swarm) - before)
        return {"messages": statistics.mean(messages), "ms": statistics.median(times)}


async def main() -> None:
    (bootstrap,) = sys.argv[1:]
    async with Swarm(bootstrap=[bootstrap], host="127.0.0.1") as swarm, trio.open_nursery() as nursery:
        peer = Peer(swarm, nursery)
        nursery.start_soon(peer.accept)
        await swarm.dht.bootstrapped()
        report({"result": {"key": swarm.public_key.hex()}})
        rest = b""
        async with trio.lowlevel.FdStream(os.dup(0)) as commands:
            async for data in commands:
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    options = json.loads(line)
                    try:
                        report({"result": await getattr(peer, options.pop("do"))(**options) or {}})
                    except Exception as error:  # whatever it is, the runner is told
                        report({"error": f"{type(error).__name__}: {error}"})
        os._exit(0)  # what was measured is over: nobody waits for a farewell


trio.run(main)
