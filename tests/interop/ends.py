"""The two ends of one connection, and what is checked over it again and again."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import trio

from tests.interop.peers import Peer, PeerError, content

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.interop.conftest import Start

__all__ = ["End", "connect", "transfer", "transfer_both_ways", "until_all_are_connected_once"]

PATIENCE = 5
"""Seconds after which a connection that carries nothing is taken for one that is about to go."""


@dataclass(frozen=True)
class End:
    """One side of a connection: a peer, and the number it gave the connection."""

    peer: Peer
    conn: int

    async def call(self, name: str, **options: Any) -> dict[str, Any]:
        return await self.peer.call(name, conn=self.conn, **options)


async def connect(
    start: Start, sides: tuple[str, str], prepare: Callable[[Peer], object] = lambda peer: None, **options: Any
) -> tuple[End, End]:
    """Two peers connected by topic: the one that announced, and the one that looked up and dialled.

    ``options``: of both, for `Start`.
    """
    topic = os.urandom(32).hex()
    server, client = peers = [await start(kind, **options) for kind in sides]
    for peer in peers:
        prepare(peer)
    await server.call("join", topic=topic, client=False)
    await client.call("join", topic=topic, server=False)
    return End(server, await server.connection(client)), End(client, await client.connection(server))


async def transfer(sender: End, receiver: End, length: int, seed: str = "") -> None:
    """Send the bytes of a seed, and check that the same come out at the other side."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(sender.call, "send", seed=seed, bytes=length))
        received = await receiver.call("receive", bytes=length)
    expected = hashlib.sha256(content(seed, length)).hexdigest()
    assert (received["bytes"], received["sha256"]) == (length, expected), received


async def transfer_both_ways(ends: tuple[End, End], length: int) -> None:
    server, client = ends
    async with trio.open_nursery() as nursery:
        nursery.start_soon(transfer, server, client, length, "down")
        nursery.start_soon(transfer, client, server, length, "up")


async def until_all_are_connected_once(peers: Sequence[Peer]) -> None:
    """Wait until each pair has one connection, the same one at both ends: what one sends there the other receives."""
    for number, one in enumerate(peers):
        for other in peers[number + 1 :]:
            while True:  # nobody tells when a connection that lost against another one is gone: ask again
                if await _connected_once(one, other):
                    break
                await trio.sleep(0.1)


async def _connected_once(one: Peer, other: Peer) -> bool:
    conns, others = await one.open_to(other), await other.open_to(one)
    if len(conns) != 1 or len(others) != 1:
        return False
    ends = (End(one, conns[0]), End(other, others[0]))
    try:
        with trio.fail_after(PATIENCE):
            for sender, receiver in (ends, ends[::-1]):
                await sender.call("send_frames", frames=[sender.peer.key])
                if (await receiver.call("receive_frames", count=1))["frames"] != [sender.peer.key]:
                    return False
    except (PeerError, trio.TooSlowError):
        return False  # two connections, of which each side still sees another
    return True
