"""``swarm lookup``: who announced a topic."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from swarm.cli.exits import Exit
from swarm.cli.options import TOPIC, Settings, options
from swarm.cli.run import run

if TYPE_CHECKING:
    from swarm import Topic

__all__ = ["command"]


@click.command("lookup", short_help="Print the public keys announced under TOPIC.")
@click.argument("topic", type=TOPIC)
@options
def command(settings: Settings, topic: Topic) -> None:
    """Print the public keys announced under TOPIC, each once, as they are found.

    TOPIC is any text, or 64 hex digits. Exit code 3 when there are none.
    """
    run(settings, lambda: _lookup(settings, topic))


async def _lookup(settings: Settings, topic: Topic) -> Exit:
    seen: set[bytes] = set()
    async with settings.dht() as dht:
        await dht.bootstrapped()
        async for reply in dht.lookup(topic):
            for peer in reply.peers:
                if peer.public_key not in seen:
                    seen.add(peer.public_key)
                    relays = [str(address) for address in peer.relay_addresses]
                    settings.output.result({"public_key": peer.public_key.z32, "relays": relays}, peer.public_key.z32)
    if not seen:
        settings.output.error(f"nobody is announced under {topic.hex()}")
    return Exit.OK if seen else Exit.NO_PEER
