"""``swarm get``: fetch a value from the DHT."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from swarm.cli.exits import Exit
from swarm.cli.options import KEY, Settings, options
from swarm.cli.run import run

if TYPE_CHECKING:
    from holepunch.keys import PublicKey

__all__ = ["command"]


@click.command("get", short_help="Print a value stored in the DHT.")
@click.argument("target", type=KEY)
@click.option("--mutable", is_flag=True, help="TARGET is the public key that the value was stored under.")
@options
def command(settings: Settings, target: PublicKey, mutable: bool) -> None:
    """Print the value that `swarm put` stored under TARGET: 64 hex digits. Exit code 3 when no node has it."""
    run(settings, lambda: _get(settings, target, mutable=mutable))


async def _get(settings: Settings, target: PublicKey, *, mutable: bool) -> Exit:
    about: dict[str, Any] = {}
    async with settings.dht() as dht:
        await dht.bootstrapped()
        if mutable:
            found = await dht.mutable_get(target)
            value = None if found is None else found.value
            about = {} if found is None else {"seq": found.seq}
        else:
            value = await dht.immutable_get(target)
    if value is None:
        return Exit.NO_PEER
    if settings.output.as_json:
        settings.output.result({"value": value.hex(), **about}, "")
    else:
        settings.output.raw(value)
    return Exit.OK
