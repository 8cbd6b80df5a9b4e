"""``swarm pipe``: standard input here is standard output there, and the other way round."""

from __future__ import annotations

import contextlib
import itertools
from typing import TYPE_CHECKING

import click
import trio

from holepunch.errors import ConnectError
from swarm.cli import standard_input
from swarm.cli.exits import Exit
from swarm.cli.options import TIMEOUT, TOPIC, Settings, options
from swarm.cli.run import run

if TYPE_CHECKING:
    from swarm import Connection, Swarm, Topic

__all__ = ["command"]

LOOKUP_INTERVAL = 1.0
GRACE = 5
"""Lookups for which the side with the smaller key leaves dialling to the other."""


@click.command("pipe", short_help="Join two standard inputs and outputs.")
@click.argument("topic", type=TOPIC)
@TIMEOUT
@options
def command(settings: Settings, topic: Topic, timeout: float | None) -> None:
    """Join standard input and output with those of whoever runs the same command: bytes, unchanged, both ways.

    TOPIC is any text, or 64 hex digits; who knows it may be the other side, so make it hard to guess. Ends when both
    inputs have ended. Exit code 3 when nobody came within the timeout.
    """
    run(settings, lambda: _pipe(settings, topic, timeout))


async def _pipe(settings: Settings, topic: Topic, timeout: float | None) -> Exit:
    out = settings.output
    connection = None
    async with settings.swarm() as swarm:
        with trio.move_on_after(float("inf") if timeout is None else timeout):
            connection = await _meet(swarm, topic)
        if connection is None:
            out.error(f"nobody came within {timeout:g} s")
            return Exit.NO_PEER
        out.note(f"connected to {connection.remote_public_key.short}, {connection.path.kind}")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_send_input, connection)
            while data := await connection.receive_some():
                await trio.to_thread.run_sync(out.raw, data)
    return Exit.OK


async def _meet(swarm: Swarm, topic: Topic) -> Connection:
    """The first connection with a peer of the topic.

    Both sides would dial at once, one connection would replace the other, and what was sent on it be lost. So the side
    with the bigger key dials, and the other only when it was not dialled for a while.
    """
    found: list[Connection] = []
    async with trio.open_nursery() as nursery:

        async def accept() -> None:
            found.append(await anext(aiter(swarm)))
            nursery.cancel_scope.cancel()

        async def dial() -> None:
            for turn in itertools.count():
                async for reply in swarm.dht.lookup(topic):
                    for key in (peer.public_key for peer in reply.peers):
                        if key < swarm.public_key or (key > swarm.public_key and turn >= GRACE):
                            with contextlib.suppress(ConnectError):  # it left, or announced in an earlier run
                                found.append(await swarm.connect(key))
                                nursery.cancel_scope.cancel()
                await trio.sleep(LOOKUP_INTERVAL)

        await swarm.join(topic, client=False).flushed()
        nursery.start_soon(accept)
        nursery.start_soon(dial)
    return found[0]


async def _send_input(connection: Connection) -> None:
    async for data in standard_input.chunks():
        await connection.send_all(data)
    await connection.send_eof()
