"""``swarm testnet``: a DHT on this machine alone, for tests and for trying things out."""

from __future__ import annotations

import click

from swarm.cli import standard_input
from swarm.cli.options import Settings, options
from swarm.cli.run import serve

__all__ = ["command"]


@click.command("testnet", short_help="Run a DHT on this machine alone.")
@click.option("--nodes", default=3, type=click.IntRange(1, 1000), show_default=True, help="How many nodes.")
@options
def command(settings: Settings, nodes: int) -> None:
    """Run a DHT of some nodes on 127.0.0.1, until end of input, SIGINT or SIGTERM.

    The first line that it prints is the address to bootstrap from, once every node can be reached.
    """
    serve(settings, lambda: _testnet(settings, nodes))


async def _testnet(settings: Settings, nodes: int) -> None:
    from swarm.testing import Testnet

    async with Testnet(nodes) as net:
        settings.output.result({"bootstrap": list(net.bootstrap)}, "\n".join(net.bootstrap))
        settings.output.note(f"{nodes} DHT nodes; try: swarm chat --bootstrap {net.bootstrap[0]} TOPIC")
        await standard_input.end()
