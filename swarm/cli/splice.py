"""Joins two streams: what comes out of one goes into the other, both ways, with each end of input passed on."""

from __future__ import annotations

import trio

__all__ = ["splice"]


async def splice(one: trio.abc.HalfCloseableStream, other: trio.abc.HalfCloseableStream) -> None:
    """Return when both directions have ended. Raises ``BrokenResourceError`` (in a group) when one breaks."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_pump, one, other)
        nursery.start_soon(_pump, other, one)


async def _pump(source: trio.abc.HalfCloseableStream, sink: trio.abc.HalfCloseableStream) -> None:
    while data := await source.receive_some():
        await sink.send_all(data)
    await sink.send_eof()
