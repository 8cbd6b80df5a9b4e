"""``swarm chat``: lines between everyone on a topic."""

from __future__ import annotations

from contextlib import suppress
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
    from swarm.cli.output import Output

__all__ = ["Room", "command"]

PATIENCE = 1.0
"""Seconds that a peer may take for a line before it misses it."""
HURRY = 0.01
"""Seconds while it has missed the one before: from the second line on, a peer that does not read holds nobody up."""
GONE = (trio.BrokenResourceError, trio.ClosedResourceError)
"""A peer may be so at any time. `Room.listen` tells that it left."""


@click.command("chat", short_help="Exchange lines with everyone on TOPIC.")
@click.argument("topic", type=TOPIC)
@options
def command(settings: Settings, topic: Topic) -> None:
    """Send each line of input to everyone on TOPIC, and print theirs.

    TOPIC is any text, or 64 hex digits. End of input leaves. A line is one frame of a connection, so programs on
    Node's hyperswarm can take part: one write is one line. A peer that does not read misses lines.
    """
    run(settings, lambda: _chat(settings, topic))


async def _chat(settings: Settings, topic: Topic) -> None:
    room = Room(settings.output)

    async def tell_if_offline() -> None:
        try:
            await swarm.dht.bootstrapped()
        except BootstrapError as error:  # the swarm keeps trying, and so does whoever waits for others
            settings.output.error(str(error))

    async with settings.swarm() as swarm, trio.open_nursery() as nursery:
        settings.output.note(f"you are {swarm.public_key.short}")
        swarm.join(topic)
        nursery.start_soon(tell_if_offline)
        nursery.start_soon(swarm.serve, room.listen)
        async for line in standard_input.lines():
            await room.say(line)
        await room.leave()
        nursery.cancel_scope.cancel()


class Room:
    """Who is there."""

    def __init__(self, out: Output) -> None:
        self._out = out
        self._people: dict[Connection, float] = {}
        """And how many seconds each may take for a line."""

    async def listen(self, connection: Connection) -> None:
        """Print what one peer says, until it leaves."""
        key, path = connection.remote_public_key, connection.path
        name = key.short
        self._out.event(
            {"joined": key.z32, "path": path.kind}, f"{name} joined, {path.kind} from {path.remote_address}"
        )
        self._people[connection] = PATIENCE
        try:
            with suppress(*GONE):  # its last lines are here already
                while (frame := await connection.receive_frame()) is not None:
                    text = printable(frame.decode(errors="replace"))
                    self._out.result({"from": key.z32, "text": text}, f"{name}: {text}")
        finally:
            del self._people[connection]
            self._out.event({"left": key.z32}, f"{name} left")

    async def say(self, line: str) -> None:
        """Tell everyone. Returns when each has taken the line, or missed it. An empty one is none."""
        async with trio.open_nursery() as nursery:
            for connection, patience in self._people.items():
                if line:
                    nursery.start_soon(self._tell, connection, line.encode(), patience)

    async def _tell(self, connection: Connection, line: bytes, patience: float) -> None:
        with suppress(*GONE), trio.move_on_after(patience) as scope:
            await connection.send_frame(line)
        if connection not in self._people:
            return
        if scope.cancelled_caught and patience == PATIENCE:
            self._out.note(f"{connection.remote_public_key.short} does not read, and misses lines")
        self._people[connection] = HURRY if scope.cancelled_caught else PATIENCE

    async def leave(self) -> None:
        """Say goodbye. What was sent is still delivered, as far as leaving the swarm waits for it."""
        for connection in list(self._people):
            with suppress(*GONE):
                await connection.send_eof()
