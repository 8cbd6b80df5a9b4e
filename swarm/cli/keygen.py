"""``swarm keygen``: an identity to keep."""

from __future__ import annotations

import click

from holepunch.keys import KeyPair
from swarm.cli.options import Settings, options

__all__ = ["command"]


@click.command("keygen", short_help="Make a key pair, print its public key.")
@options
def command(settings: Settings) -> None:
    """Make a key pair and print its public key.

    With --identity the key pair is kept in that file (mode 0600), and a file that is there already is left as it is.
    Without, the seed is printed too: 32 bytes from which the key pair can be made again, here and in Node.
    """
    pair = settings.identity or KeyPair.generate()
    data = {"public_key": pair.public_key.z32, "hex": pair.public_key.hex()}
    text = pair.public_key.z32
    if settings.identity is None:
        data["seed"] = pair.seed.hex()
        text += f"\nseed {pair.seed.hex()}"
    settings.output.result(data, text)
