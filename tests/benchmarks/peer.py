"""One peer of ours that is measured, driven by JSON lines: peer.js in Python, on the public API.

    python -m benchmarks.peer HOST:PORT [ADDRESS]       from the folder tests; ADDRESS: where it binds, else 127.0.0.1

In: ``{"do": NAME, ...}``, one command at a time; out: ``{"result": {...}}`` or ``{"error": TEXT}``. Before the first
command ``{"result": {"key": HEX}}`` says that the peer is part of the DHT.
"""

from __future__ import annotations

import os
import statistics
import sys
from time import perf_counter
from typing import TYPE_CHECKING, Any

import trio

from swarm import KeyPair, Swarm

from .exchange import Exchange, report

if TYPE_CHECKING:
    from swarm import Connection


def _requests(swarm: Swarm) -> int:
    """How many requests the node has sent, those without an answer included."""
    rpc = swarm.dht.node.node.rpc
    return rpc.responses + rpc.timeouts + rpc.retries + rpc.in_flight


class Peer(Exchange):
    """The commands of `Exchange`, and those of a peer that has a DHT."""

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

    async def _write(self, data: bytes) -> None:
        assert self._connection is not None
        await self._connection.send_all(data)

    async def _read(self, most: int | None) -> bytes:
        assert self._connection is not None
        return await self._connection.receive_some(most)

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
    bootstrap, host = [*sys.argv[1:], "127.0.0.1"][:2]
    async with Swarm(bootstrap=[bootstrap], host=host) as swarm, trio.open_nursery() as nursery:
        peer = Peer(swarm, nursery)
        nursery.start_soon(peer.accept)
        await swarm.dht.bootstrapped()
        report({"result": {"key": swarm.public_key.hex()}})
        rest = b""
        async with trio.lowlevel.FdStream(os.dup(0)) as commands:
            async for data in commands:
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    await peer.run(line)
        os._exit(0)  # what was measured is over: nobody waits for a farewell


trio.run(main)
