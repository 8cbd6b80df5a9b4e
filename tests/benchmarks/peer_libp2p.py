"""One libp2p host that is measured, driven as peer.py is. It needs libp2p from PyPI.

    python -m benchmarks.peer_libp2p tcp|quic

Over TCP with Noise and yamux, as it comes. It dials an address that it is told.
"""

from __future__ import annotations

import os
import sys
from time import perf_counter
from typing import Any

import trio
from libp2p import new_host
from libp2p.peer.peerinfo import info_from_p2p_addr
from multiaddr import Multiaddr

from .exchange import PIECE, Exchange, report

NAME = "/benchmark"
LISTEN = {"tcp": "/ip4/127.0.0.1/tcp/0", "quic": "/ip4/127.0.0.1/udp/0/quic-v1"}


class Peer(Exchange):
    def __init__(self, host: Any) -> None:
        self._host = host
        self._stream: Any = None
        self._met = trio.Event()
        host.set_stream_handler(NAME, self._accept)

    async def _accept(self, stream: Any) -> None:
        self._stream = stream
        self._met.set()
        await trio.sleep_forever()  # a stream ends with its handler

    async def _write(self, data: bytes) -> None:
        await self._stream.write(data)

    async def _read(self, most: int | None) -> bytes:
        data: bytes = await self._stream.read(most or PIECE)
        return data

    async def open(self, address: str) -> None:
        info = info_from_p2p_addr(Multiaddr(address))
        await self._host.connect(info)
        self._stream = await self._host.new_stream(info.peer_id, [NAME])

    async def met(self) -> None:
        await self._met.wait()

    async def dial(self, address: str, count: int) -> dict[str, Any]:
        """A new connection each time, one after another."""
        info = info_from_p2p_addr(Multiaddr(address))
        seconds = 0.0
        for _ in range(count):
            began = perf_counter()
            await self._host.connect(info)
            seconds += perf_counter() - began
            await self._host.disconnect(info.peer_id)
        return {"seconds": seconds}


async def main() -> None:
    (transport,) = sys.argv[1:]
    listen = [Multiaddr(LISTEN[transport])]
    host = new_host(listen_addrs=listen)
    async with host.run(listen):
        peer = Peer(host)
        report({"result": {"address": str(host.get_addrs()[0])}})
        while line := await trio.to_thread.run_sync(sys.stdin.readline):
            await peer.run(line)
        os._exit(0)


trio.run(main)
