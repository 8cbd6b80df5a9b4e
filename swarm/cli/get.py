"""``swarm get``: fetch a value from the DHT."""

from __future__ import annotations

from typing import Any

import click

from holepunch.keys import PublicKey
from swarm.cli.exits import Exit
from swarm.cli.options import Settings, options, told_to_the_user
from swarm.cli.run import run

__all__ = ["command"]


@click.command("get", short_help="Print a value stored in the DHT.")
@click.argument("target")
@click.option("--mutable", is_flag=True, help="TARGET is the public key that the value was stored under.")
@options
def command(settings: Settings, target: str, mutable: bool) -> None:
    """Print the value that `swarm put` stored under TARGET: 64 hex digits. Exit code 3 when no node has it."""
    with told_to_the_user():
        key = PublicKey.parse(target) if mutable else _parse_hash(target)
    run(settings, lambda: _get(settings, key, mutable=mutable))


def _parse_hash(text: str) -> bytes:
    try:
        target = bytes.fromhex(text)
    except ValueError:
        target = b""
    if len(target) != 32:
        raise ValueError(f"not the hash of a value: {text!r}; a right one is 64 hex digits, as `swarm put` prints them")
    return target


async def _get(settings: Settings, target: bytes, *, mutable: bool) -> Exit:
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
        settings.output.error(f"no node has a value {'of the key' if mutable else 'with the hash'} {target.hex()}")
        return Exit.NO_PEER
    if settings.output.as_json:
        settings.output.result({"value": value.hex(), **about}, "")
    else:
        settings.output.raw(value)
    return Exit.OK
