"""``swarm chat``: lines between everyone on a topic."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import click
import trio

from swarm.cli import standard_input
from swarm.cli.options import TOPIC, Settings, options
from swarm.cli.output import printable
from swarm.cli.run import run
from swarm.errors import BootstrapError

if TYPE_CHECKING:
    from swarm import Connection, Topic

__all__ = ["command"]


@click.command("chat")
@click.argument("topic", type=TOPIC)
@options
def command(settings: Settings, topic: Topic) -> None:
    """Send each line of input to everyone on TOPIC, and print theirs.

    TOPIC is any text, or 64 hex digits. End of input leaves. A line is one frame of a connection, so programs on
    Node's hyperswarm can take part: one write is one line.
    """
    run(settings, lambda: _chat(settings, topic))


async def _chat(settings: Settings, topic: Topic) -> None:
    out = settings.output
    open_connections: set[Connection] = set()

    async def listen(connection: Connection) -> None:
        key = connection.remote_public_key
        name = key.short
        path = connection.path
        out.event({"joined": key.z32, "path": path.kind}, f"{name} joined, {path.kind} from {path.remote_address}")
        open_connections.add(connection)
        try:
            while (frame := await connection.receive_frame()) is not None:
                text = printable(frame.decode(errors="replace"))
                out.result({"from": key.z32, "text": text}, f"{name}: {text}")
        except trio.BrokenResourceError:
            pass  # a peer may go at any time: its last lines are here already
        finally:
            open_connections.discard(connection)
            out.event({"left": key.z32}, f"{name} left")

    async def tell_if_offline() -> None:
        try:
            await swarm.dht.bootstrapped()
        except BootstrapError as error:  # the swarm keeps trying, and so does whoever waits for others
            out.error(str(error))

    async with settings.swarm() as swarm, trio.open_nursery() as nursery:
        out.note(f"you are {swarm.public_key.short}")
        swarm.join(topic)
        nursery.start_soon(tell_if_offline)
        nursery.start_soon(swarm.serve, listen)
        async for line in standard_input.lines():
            for connection in list(open_connections):
                await _say(connection, line)
        for connection in list(open_connections):
            await connection.send_eof()
        nursery.cancel_scope.cancel()


async def _say(connection: Connection, line: str) -> None:
    with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):  # `listen` tells that the peer left
        await connection.send_frame(line.encode())
