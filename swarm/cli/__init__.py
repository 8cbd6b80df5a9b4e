"""The command ``swarm``: finds the command that is asked for, and imports nothing else.

`main` is the entry point of the distribution. Every command is a module of its name here.
"""

from __future__ import annotations

import importlib

import click

__all__ = ["main"]

COMMANDS = (
    "demo",
    "chat",
    "pipe",
    "send",
    "receive",
    "expose",
    "forward",
    "lookup",
    "announce",
    "put",
    "get",
    "keygen",
    "doctor",
    "testnet",
    "node",
    "bootstrap",
    "relay",
)
"""In the order in which the help lists them."""


class Commands(click.Group):
    """A group whose commands are imported when they are needed, so that ``swarm --version`` costs next to nothing."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"swarm.cli.{name}").command
        return command


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="trio-hyperswarm", message="%(prog)s %(version)s")
def main() -> None:
    """Find the peers that share a topic, and talk to them over encrypted connections.

    Options follow the command's name: swarm chat --bootstrap 127.0.0.1:49737 TOPIC
    """
