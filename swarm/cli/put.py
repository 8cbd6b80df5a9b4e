"""``swarm put``: store a small value in the DHT."""

from __future__ import annotations

import click

from swarm.cli import standard_input
from swarm.cli.options import Settings, options, told_to_the_user
from swarm.cli.run import run

__all__ = ["command"]


@click.command("put", short_help="Store a small value in the DHT.")
@click.argument("value")
@click.option("--mutable", is_flag=True, help="Store it under the public key of --identity, where it can be replaced.")
@click.option(
    "--seq", default=0, type=click.IntRange(0), show_default=True, help="Of a mutable value: grows each time."
)
@options
def command(settings: Settings, value: str, mutable: bool, seq: int) -> None:
    """Store VALUE (- for standard input) and print what `swarm get` finds it by: its hash, or the public key.

    A value has at most 1000 bytes. Nodes keep it for about two days.
    """
    from swarm.hyperdht.storage import check_value  # not for --help

    if mutable and settings.identity is None:
        raise click.UsageError("--mutable stores under a key pair: give one with --identity")
    data = standard_input.everything() if value == "-" else value.encode()
    try:
        check_value(data)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    run(settings, lambda: _put(settings, data, mutable=mutable, seq=seq))


async def _put(settings: Settings, data: bytes, *, mutable: bool, seq: int) -> None:
    async with settings.dht() as dht:
        await dht.bootstrapped()
        with told_to_the_user():  # of what size a value may be
            if mutable:
                assert settings.identity is not None
                await dht.mutable_put(settings.identity, data, seq=seq)
                key = settings.identity.public_key.z32
                settings.output.result({"public_key": key, "seq": seq}, key)
            else:
                target = await dht.immutable_put(data)
                settings.output.result({"target": target.hex()}, target.hex())
