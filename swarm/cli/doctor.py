"""``swarm doctor``: why connections may fail here, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from holepunch.address import is_private
from swarm.cli.exits import Exit, exit_of
from swarm.cli.options import KEY, STUN, Settings, options
from swarm.cli.run import run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from holepunch.keys import PublicKey
    from swarm.cli.diagnosis import Report

__all__ = ["command", "lines"]


@click.command("doctor", short_help="Say what the network lets through.")
@click.argument("peer", type=KEY, required=False)
@click.option(
    "--stun",
    type=STUN,
    multiple=True,
    help="A STUN server to ask for the own address as well: host:port; may be repeated.",
)
@options
def command(settings: Settings, peer: PublicKey | None, stun: tuple[str, ...]) -> None:
    """Tell what the network lets through: addresses, NAT, DHT, STUN, which peers can be reached, and what to do.

    PEER is a public key to dial as well. Takes a second when all is well, 15 at most. Exit code 0 when the DHT, the
    peer and the relays that were given can be reached; 1 when the DHT cannot; 3, 4 or 5 when one of those cannot.
    """
    run(settings, lambda: _doctor(settings, peer, stun))


async def _doctor(settings: Settings, peer: PublicKey | None, stun: Sequence[str]) -> Exit:
    from holepunch.udp.system import SystemNetwork
    from swarm import PUBLIC_BOOTSTRAP
    from swarm.cli.diagnosis import examine

    network = SystemNetwork()
    async with settings.dht(network=network, stun_servers=stun) as dht:
        report = await examine(dht, network, settings.bootstrap or PUBLIC_BOOTSTRAP, stun, peer)
    settings.output.result(report.to_dict(), "\n".join(lines(report)))
    if not report.reachable:
        return Exit.FAILED
    failed = [relay.error for relay in report.relays if relay.address is None]
    if report.peer is not None and report.peer.path is None:
        failed.insert(0, report.peer.error)
    if not failed:
        return Exit.OK
    return (exit_of(failed[0]) if failed[0] is not None else None) or Exit.NO_CONNECTION


def lines(report: Report) -> Iterator[str]:
    """The report, for people."""
    from swarm.cli.diagnosis import reach

    nat = report.nat
    yield "local addresses"
    for local in report.local:
        yield f"  {local.host}" + ("" if local.delivers else "  swallows what is sent to it from here")
    yield "bootstrap"
    for host in report.bootstrap:
        yield f"  {host.name}  {host.result}"
    yield f"DHT: {'reachable' if report.reachable else 'NOT reachable'}, {report.nodes} nodes known"
    public = ", ".join(f"{a.host} (any port)" if a.port == 0 else str(a) for a in nat.public_addresses)
    yield f"NAT: {nat.kind}" + (f", public address {public}" if public else "")
    for witness in nat.witnesses:
        yield f"  {witness.kind} {witness.name} sees {witness.address}"
    if nat.public_addresses and all(is_private(address.host) for address in nat.public_addresses):
        yield "  these are private addresses: the DHT is in this network, and tells nothing about the internet"
    if report.stun:
        yield "STUN"
        for result in report.stun:
            yield f"  {result.server}  " + ("says nothing" if result.seen is None else f"sees {result.seen}")
    yield "peers behind a NAT that is   directly         with a relay"
    for kind, direct, relayed in reach(report):
        yield f"  {kind:<27}{direct:<17}{relayed}"
    if report.relays:
        yield "relays"
        for relay in report.relays:
            yield f"  {relay.key.z32}  {relay.result}"
    if report.peer is not None:
        yield f"peer {report.peer.key.z32}"
        for stage in report.peer.stages:
            yield f"  {stage}"
        yield f"  {report.peer.result}"
    yield "what to do"
    for advice in report.advice() or ["Nothing: all is well."]:
        yield f"  {advice}"
