"""One iroh endpoint that is measured, driven as peer.py is. It needs iroh from PyPI.

    python -m benchmarks.peer_iroh

It dials an address that it is told, by a key that it is told: relays and discovery are off.
"""

from __future__ import annotations

import asyncio
import os
import sys
from time import perf_counter
from typing import Any

import iroh

from .exchange import PIECE, Exchange, report

NAME = b"benchmark"


class Peer(Exchange):
    def __init__(self, endpoint: Any) -> None:
        self._endpoint = endpoint
        self._connection: Any = None
        self._sending: Any = None
        self._receiving: Any = None
        self._met = asyncio.Event()

    async def accept(self) -> None:
        """Take whoever dials; the one that opens a stream is the one to talk to."""
        async with asyncio.TaskGroup() as tasks:
            while (incoming := await self._endpoint.accept_next()) is not None:
                tasks.create_task(self._welcome(incoming))

    async def _welcome(self, incoming: Any) -> None:
        try:
            connection = await (await incoming.accept()).connect()
            self._use(connection, await connection.accept_bi())
            await self._read(1)
        except iroh.IrohError:
            return  # only dialled, and closed again
        self._met.set()

    def _use(self, connection: Any, stream: Any) -> None:
        self._connection, self._sending, self._receiving = connection, stream.send(), stream.recv()

    async def _write(self, data: bytes) -> None:
        await self._sending.write_all(data)

    async def _read(self, most: int | None) -> bytes:
        data: bytes = await self._receiving.read(most or PIECE)
        return data

    async def open(self, address: list[str]) -> None:
        connection = await self._dial(address)
        self._use(connection, await connection.open_bi())
        await self._write(b"!")  # a stream is heard of by what it carries

    async def met(self) -> None:
        await self._met.wait()

    async def dial(self, address: list[str], count: int) -> dict[str, Any]:
        """A new connection each time, one after another."""
        seconds = 0.0
        for _ in range(count):
            began = perf_counter()
            connection = await self._dial(address)
            seconds += perf_counter() - began
            connection.close(0, b"")
        return {"seconds": seconds}

    async def _dial(self, address: list[str]) -> Any:
        key, *places = address
        remote = iroh.EndpointAddr(iroh.EndpointId.from_string(key), None, places)
        return await self._endpoint.connect(remote, NAME)


async def main() -> None:
    options = iroh.EndpointOptions(
        preset=iroh.preset_minimal(),
        relay_mode=iroh.RelayMode.disabled(),
        bind_addr="127.0.0.1:0",
        alpns=[NAME],
    )
    endpoint = await iroh.Endpoint.bind(options)
    peer = Peer(endpoint)
    accepting = asyncio.create_task(peer.accept())
    places = [place for place in endpoint.bound_sockets() if place.startswith("127.")]
    report({"result": {"address": [str(endpoint.id()), *places]}})
    while line := await asyncio.to_thread(sys.stdin.readline):
        await peer.run(line)
    accepting.cancel()
    os._exit(0)


asyncio.run(main())
