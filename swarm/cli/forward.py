"""``swarm forward``: the port that someone exposes, as a port here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import trio

from holepunch.errors import ConnectError
from swarm.cli.options import CODE, Settings, options
from swarm.cli.run import serve
from swarm.cli.splice import splice

if TYPE_CHECKING:
    from swarm.cli.codes import Code

__all__ = ["command"]


@click.command("forward", short_help="Reach the port exposed under CODE.")
@click.argument("code", type=CODE)
@click.argument("local_port", metavar="PORT", type=click.IntRange(0, 65535))
@options
def command(settings: Settings, code: Code, local_port: int) -> None:
    """Listen on TCP PORT of 127.0.0.1 (0: any free one) and carry its connections to the port exposed under CODE."""
    serve(settings, lambda: _forward(settings, code, local_port))


async def _forward(settings: Settings, code: Code, local_port: int) -> None:
    out = settings.output

    async with settings.swarm(code.taking) as swarm:
        await swarm.dht.bootstrapped()

        async def handle(local: trio.SocketStream) -> None:
            try:
                connection = await swarm.dht.connect(code.offering.public_key, key_pair=code.taking)
            except ConnectError as error:
                out.error(str(error), error.to_dict())
                return
            async with connection:
                try:
                    await splice(local, connection)
                except* trio.BrokenResourceError as errors:
                    out.note(f"a connection ended early: {errors.exceptions[0]}")

        listeners = await trio.open_tcp_listeners(local_port, host="127.0.0.1")
        port = listeners[0].socket.getsockname()[1]
        out.result({"port": port}, f"127.0.0.1:{port}")
        await trio.serve_listeners(handle, listeners)
