"""``swarm send``: one file, to whoever is given the code."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click
import trio

from swarm.cli.codes import Code
from swarm.cli.exits import Exit
from swarm.cli.options import TIMEOUT, Settings, options
from swarm.cli.run import run

if TYPE_CHECKING:
    from swarm import Connection
    from swarm.cli.output import Output

__all__ = ["command"]

CHUNK = 1 << 18


@click.command("send", short_help="Give FILE to whoever has the printed code.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@TIMEOUT
@options
def command(settings: Settings, file: Path, timeout: float | None) -> None:
    """Print a code, and give FILE to the one who runs `swarm receive CODE`. Ends when it arrived whole.

    Exit code 3 when nobody came within the timeout.
    """
    run(settings, lambda: _send(settings, file, timeout))


async def _send(settings: Settings, file: Path, timeout: float | None) -> Exit:
    out = settings.output
    code = Code.generate()
    with file.open("rb") as content:
        async with settings.swarm(code.offering) as swarm:
            await swarm.dht.bootstrapped()
            listener = await swarm.dht.listen(code.offering, allow=code.admits)
            out.result({"code": str(code)}, str(code))
            out.note(f"on the other side: swarm receive {code}")
            with trio.move_on_after(float("inf") if timeout is None else timeout) as waiting:
                async for connection in listener:
                    waiting.deadline = float("inf")
                    out.note(f"sending, {connection.path.kind} to {connection.path.remote_address}")
                    try:
                        await _give(out, connection, file.name, content)
                    except trio.BrokenResourceError as error:
                        out.note(f"that connection broke: {error}; the code still holds")
                    else:
                        out.result({"sent": file.name, "bytes": content.tell()}, f"{file.name} arrived")
                        return Exit.OK
    out.error(f"nobody came within {timeout:g} s")
    return Exit.NO_PEER


async def _give(out: Output, connection: Connection, name: str, content: BinaryIO) -> None:
    """Return when the other side has the whole file: it answers with its hash. Raises ``BrokenResourceError``."""
    size = content.seek(0, 2)
    content.seek(0)
    digest = hashlib.sha256()
    async with connection:
        await connection.send_frame(json.dumps({"name": name, "bytes": size}).encode())
        with out.progress(size) as advance:
            while data := await trio.to_thread.run_sync(content.read, CHUNK):
                digest.update(data)
                await connection.send_all(data)
                advance(len(data))
        await connection.send_eof()
        if await connection.receive_frame() != digest.digest():
            raise trio.BrokenResourceError("the other side got something else, or did not take it")
