"""``swarm receive``: the file that someone sends."""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click
import trio

from swarm.cli.exits import Exit
from swarm.cli.options import CODE, Settings, options
from swarm.cli.run import run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from swarm import Connection
    from swarm.cli.codes import Code
    from swarm.cli.output import Output

__all__ = ["command"]


@click.command("receive", short_help="Receive the file sent under CODE.")
@click.argument("code", type=CODE)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="The file or directory to write. Default: the sender's name for it, here.",
)
@options
def command(settings: Settings, code: Code, output: Path | None) -> None:
    """Receive the file sent under CODE. A file that is there already is never overwritten."""
    run(settings, lambda: _receive(settings, code, output))


async def _receive(settings: Settings, code: Code, output: Path | None) -> Exit:
    async with settings.swarm(code.taking) as swarm:
        connection = await swarm.dht.connect(code.offering.public_key, key_pair=code.taking)
        async with connection:
            return await _take(settings.output, connection, output)


async def _take(out: Output, connection: Connection, output: Path | None) -> Exit:
    match json.loads(await connection.receive_frame() or b"{}"):
        case {"name": str(name), "bytes": int(size)} if path := _destination(name, output):
            out.note(f"receiving {path} ({size} bytes), {connection.path.kind}")
        case _:
            out.error("the sender's name for the file is not usable here: give one with --output")
            return Exit.FAILED
    try:
        with _new_file(path) as file:
            await _fetch(out, connection, file, size)
    except trio.BrokenResourceError as error:
        out.error(f"{path} did not arrive whole: {error}")
        return Exit.FAILED
    out.result({"received": str(path), "bytes": size}, str(path))
    return Exit.OK


def _destination(name: str, output: Path | None) -> Path | None:
    """Where to write. The sender chooses a name, never a directory."""
    if output is not None and not output.is_dir():
        return output
    if name in ("", ".", "..") or not name.isprintable() or any(c in name for c in "/\\:"):
        return None
    return (output or Path()) / name


@contextlib.contextmanager
def _new_file(path: Path) -> Iterator[BinaryIO]:
    """A file that must not be there yet, and is not there when the block failed."""
    with path.open("xb") as file:
        try:
            yield file
        except BaseException:
            path.unlink()
            raise


async def _fetch(out: Output, connection: Connection, file: BinaryIO, size: int) -> None:
    """Write what comes and tell the sender its hash. Raises ``BrokenResourceError`` when less came than promised."""
    digest = hashlib.sha256()
    with out.progress(size) as advance:
        while data := await connection.receive_some():
            digest.update(data)
            await trio.to_thread.run_sync(file.write, data)
            advance(len(data))
    if file.tell() != size:
        raise trio.BrokenResourceError("the sender ended early")
    await connection.send_frame(digest.digest())
    with contextlib.suppress(trio.BrokenResourceError):  # the sender has what it waited for, and may be gone already
        await connection.send_eof()
