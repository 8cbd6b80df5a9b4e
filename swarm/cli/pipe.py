"""``swarm pipe``: standard input here is standard output there, and the other way round."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import trio

from swarm.cli import standard_input
from swarm.cli.exits import Exit
from swarm.cli.options import TIMEOUT, TOPIC, Settings, options
from swarm.cli.run import run

if TYPE_CHECKING:
    from swarm import Connection, Swarm, Topic

__all__ = ["command"]


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
    connection: Connection | None = None

    def is_partner(key: bytes) -> bool:
        return connection is None or key == connection.remote_public_key

    async with settings.swarm(allow=is_partner) as swarm, trio.open_nursery() as nursery:
        with trio.move_on_after(float("inf") if timeout is None else timeout):
            await swarm.dht.bootstrapped()
            discovery = swarm.join(topic)
            connection = await anext(swarm)
        if connection is None:
            out.error(f"nobody came within {timeout:g} s")
            return Exit.NO_PEER
        out.note(f"connected to {connection.remote_public_key.short}, {connection.path.kind}")
        nursery.start_soon(discovery.leave)  # two are enough: others are to find somebody else
        nursery.start_soon(_send_away, swarm)
        async with trio.open_nursery() as both_ways:
            both_ways.start_soon(_send_input, connection)
            while data := await connection.receive_some():
                await trio.to_thread.run_sync(out.raw, data)
        nursery.cancel_scope.cancel()
    return Exit.OK


async def _send_away(swarm: Swarm) -> None:
    """Whoever came at the same moment as the partner."""
    async for other in swarm:
        other.destroy()


async def _send_input(connection: Connection) -> None:
    async for data in standard_input.chunks():
        await connection.send_all(data)
    await connection.send_eof()
