"""``swarm node``: one more node for a DHT."""

from __future__ import annotations

import click
import trio

from swarm.cli.addresses import reached_at
from swarm.cli.options import Settings, options
from swarm.cli.run import serve
from swarm.metrics import exposition, serve_metrics

__all__ = ["command"]


@click.command("node", short_help="Be one more node of a DHT until stopped.")
@click.option("--persistent", is_flag=True, help="This host can be reached from outside: serve others from the start.")
@click.option(
    "--metrics",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="Counts for Prometheus at http://127.0.0.1:PORT/metrics; 0: any free port.",
)
@options
def command(settings: Settings, persistent: bool, metrics: int | None) -> None:
    """Be a node of the DHT until interrupted: store for others, and carry their handshakes. Prints where it is reached.

    A node that can be reached from outside does so after 20 minutes, or at once with --persistent; another one never.
    """
    serve(settings, lambda: _node(settings, persistent, metrics))


async def _node(settings: Settings, persistent: bool, metrics: int | None) -> None:
    serving = {"ephemeral": False, "firewalled": False} if persistent else {}
    async with settings.dht(**serving) as dht, trio.open_nursery() as nursery:
        shown: dict[str, str] = {}
        if metrics is not None:  # before the network is there: that it is not, is worth knowing
            port = await nursery.start(serve_metrics, metrics, lambda: exposition("swarm_node", dht.stats().to_dict()))
            shown["metrics"] = f"http://127.0.0.1:{port}/metrics"
            settings.output.note(f"metrics at {shown['metrics']}")
        await dht.bootstrapped()
        addresses = reached_at(dht)
        settings.output.result({"address": addresses[0], "addresses": addresses, **shown}, "\n".join(addresses))
        await trio.sleep_forever()
