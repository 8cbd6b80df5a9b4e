"""``swarm node``: one more node for a DHT."""

from __future__ import annotations

import click
import trio

from swarm.cli.options import Settings, options
from swarm.cli.run import serve

__all__ = ["command"]


@click.command("node")
@click.option("--persistent", is_flag=True, help="This host can be reached from outside: serve others from the start.")
@options
def command(settings: Settings, persistent: bool) -> None:
    """Be a node of the DHT until interrupted: store for others, and carry their handshakes.

    A node that can be reached from outside does so after 20 minutes, or at once with --persistent; another one never.
    """
    serve(settings, lambda: _node(settings, persistent=persistent))


async def _node(settings: Settings, *, persistent: bool) -> None:
    serving = {"ephemeral": False, "firewalled": False} if persistent else {}
    async with settings.dht(**serving) as dht:
        await dht.bootstrapped()
        settings.output.result({"address": str(dht.local_address)}, str(dht.local_address))
        await trio.sleep_forever()
