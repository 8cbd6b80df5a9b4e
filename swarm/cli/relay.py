"""``swarm relay``: a blind relay for peers whose NATs let no direct connection through."""

from __future__ import annotations

import math

import click
import trio

from holepunch.relay.server import Limits
from swarm.cli.addresses import reached_at
from swarm.cli.options import Settings, options
from swarm.cli.run import serve

__all__ = ["command"]

REPORT = 60.0
"""Seconds between notes on what was done."""
DEFAULTS = Limits()


@click.command("relay", short_help="Carry connections for others until stopped.")
@click.option(
    "--rate",
    type=click.FloatRange(0),
    default=DEFAULTS.rate / 1e6,
    show_default=True,
    help="Megabytes a second that one client may send; 0: no limit.",
)
@click.option(
    "--links",
    type=click.IntRange(1),
    default=DEFAULTS.links,
    show_default=True,
    help="Connections that one client may have through this relay at a time.",
)
@click.option(
    "--clients", type=click.IntRange(1), default=DEFAULTS.clients, show_default=True, help="Clients at a time."
)
@options
def command(settings: Settings, rate: float, links: int, clients: int) -> None:
    """Be a relay until interrupted, and print the public key that peers give as --relay.

    It carries encrypted packets between two peers that both name it, ours or Node's, and can read none of them. This
    host must be reachable from outside; give --identity, so that the key stays the same.
    """
    limits = Limits(links=links, rate=rate * 1e6 or math.inf, clients=clients)
    serve(settings, lambda: _relay(settings, limits))


async def _relay(settings: Settings, limits: Limits) -> None:
    async with settings.dht(ephemeral=False, firewalled=False) as dht:
        relay = await dht.relay(limits=limits)
        about = {"public_key": relay.public_key.z32, "address": reached_at(dht)[0]}
        settings.output.result(about, relay.public_key.z32)
        before = relay.stats()
        while True:
            await trio.sleep(REPORT)
            stats = relay.stats()
            if stats != before:
                settings.output.event({"stats": stats.to_dict()}, _summary(stats.links, stats.sessions, stats.bytes))
            before = stats


def _summary(links: int, clients: int, sent: int) -> str:
    return f"{clients} clients, {links} connections, {sent / 1e6:.1f} MB so far"
