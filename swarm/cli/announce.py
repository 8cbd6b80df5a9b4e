"""``swarm announce``: be found under a topic."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from swarm.cli.options import TOPIC, Settings, options
from swarm.cli.run import serve

if TYPE_CHECKING:
    from swarm import Topic

__all__ = ["command"]


@click.command("announce", short_help="Announce a key under TOPIC until stopped.")
@click.argument("topic", type=TOPIC)
@options
def command(settings: Settings, topic: Topic) -> None:
    """Announce this identity under TOPIC until interrupted, print its public key, and each peer that connects.

    TOPIC is any text, or 64 hex digits. Leaving takes the announcement back.
    """
    serve(settings, lambda: _announce(settings, topic))


async def _announce(settings: Settings, topic: Topic) -> None:
    out = settings.output
    async with settings.swarm() as swarm:
        await swarm.join(topic, client=False).flushed()
        out.result({"announced": topic.hex(), "public_key": swarm.public_key.z32}, swarm.public_key.z32)
        async for connection in swarm:
            remote = connection.remote_public_key.z32
            address = str(connection.path.remote_address)
            out.event({"connected": remote, "address": address}, f"{remote} connected from {address}")
