"""``swarm bootstrap``: the first node of a private DHT."""

from __future__ import annotations

import click
import trio

from swarm.cli.addresses import EVERY_INTERFACE, first_local_host
from swarm.cli.options import Settings, options
from swarm.cli.run import serve

__all__ = ["command"]


@click.command("bootstrap", short_help="Be the first node of a DHT of your own.")
@click.argument("public_host", metavar="[ADDRESS]", required=False)
@options
def command(settings: Settings, public_host: str | None) -> None:
    """Be the first node of a DHT of your own until interrupted, and print what everyone else gives as --bootstrap.

    ADDRESS is the IPv4 address at which everyone reaches this host: --host where that is given, or the host's first
    local one. Behind a NAT it is the public one. Choose a --port and open it. Add a few of `swarm node --persistent` on
    other hosts: what a DHT of one node knows is gone when that node stops.
    """
    if public_host is None:
        public_host = first_local_host() if settings.host == EVERY_INTERFACE else settings.host
    serve(settings, lambda: _bootstrap(settings, public_host))


async def _bootstrap(settings: Settings, public_host: str) -> None:
    async with settings.dht(first=True, public_host=public_host) as dht:
        await dht.bootstrapped()
        address = f"{public_host}:{dht.local_address.port}"
        settings.output.result({"bootstrap": [address]}, address)
        await trio.sleep_forever()
