"""The command ``swarm``: finds the command that is asked for, and imports nothing else.

`main` is the entry point of the distribution. Every command is a module of its name here.
"""

from __future__ import annotations

import importlib
from itertools import takewhile
from typing import Any

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


AS_JSON = "swarm.cli.as_json"
"""Whether ``--json`` is among the arguments, however wrong the others are."""


class Commands(click.Group):
    """A group whose commands are imported when they are needed, so that ``swarm --version`` costs next to nothing."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"swarm.cli.{name}").command
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[AS_JSON] = "--json" in takewhile(lambda argument: argument != "--", args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Wrong usage is an object, too, for who asks for objects."""
        try:
            return super().invoke(ctx)
        except click.ClickException as error:
            if not ctx.meta[AS_JSON]:
                raise
            from swarm.cli.output import Output

            Output(as_json=True, verbosity=0).error(error.format_message())
            ctx.exit(error.exit_code)


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="trio-hyperswarm", message="%(prog)s %(version)s")
def main() -> None:
    """Find the peers that share a topic, and talk to them over encrypted connections.

    Options follow the command's name: swarm chat --bootstrap 127.0.0.1:49737 TOPIC
    """
