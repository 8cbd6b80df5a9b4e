"""``swarm expose``: a local TCP port for whoever has the code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import trio

from swarm.cli.codes import Code
from swarm.cli.options import Settings, options
from swarm.cli.run import serve
from swarm.cli.splice import splice

if TYPE_CHECKING:
    from swarm import Connection

__all__ = ["command"]


@click.command("expose", short_help="Let who has the code reach a local TCP port.")
@click.argument("target_port", metavar="PORT", type=click.IntRange(1, 65535))
@options
def command(settings: Settings, target_port: int) -> None:
    """Let whoever has the printed code reach PORT of this machine, until interrupted: see `swarm forward`.

    With --identity the code is the same each time.
    """
    code = Code.generate() if settings.identity is None else Code.of(settings.identity)
    serve(settings, lambda: _expose(settings, target_port, code))


async def _expose(settings: Settings, target_port: int, code: Code) -> None:
    out = settings.output

    async def handle(connection: Connection) -> None:
        async with connection:
            try:
                async with await trio.open_tcp_stream("127.0.0.1", target_port) as local:
                    await splice(connection, local)
            except* (OSError, trio.BrokenResourceError) as errors:
                out.note(f"a connection ended early: {errors.exceptions[0]}")

    async with settings.swarm(code.offering) as swarm:
        await swarm.dht.bootstrapped()
        listener = await swarm.dht.listen(code.offering, allow=code.admits)
        out.result({"code": str(code), "port": target_port}, str(code))
        out.note(f"port {target_port} is open to: swarm forward {code} PORT")
        async with trio.open_nursery() as nursery:
            async for connection in listener:
                out.note(f"a connection, {connection.path.kind} from {connection.path.remote_address}")
                nursery.start_soon(handle, connection)
