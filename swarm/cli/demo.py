"""``swarm demo``: the main job with no network. Two peers, each a process, meet through a DHT on this machine.

The parent runs the DHT and shows what the peers report. A peer knows the topic and the DHT's address, nothing more.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import click
import trio

from swarm.cli.exits import Exit
from swarm.cli.options import TOPIC, Settings, options
from swarm.cli.run import run

if TYPE_CHECKING:
    from collections.abc import Callable

    from swarm import Connection, Topic

    Tell = Callable[..., None]

__all__ = ["command"]

NODES = 3
SIZE = 1 << 20
"""Bytes sent each way."""
PEERS = ("alice", "bob")
PATIENCE = 60
"""Seconds for the whole show, which takes about two."""

TEXTS = {
    "started": "{nodes} DHT nodes run on this machine, the first at {bootstrap}",
    "joined": "joined topic {topic:.8}… as {key:.8}…, in process {process}",
    "connected": "found and connected to {to:.8}… in {seconds:.3f} s ({kind}, {address})",
    "lost": "lost that connection",
    "sent": "sent {bytes} bytes, SHA-256 {sha256:.16}…",
    "received": "received {bytes} bytes, SHA-256 {sha256:.16}…",
    "verified": "all bytes arrived unchanged, both ways",
    "failed": "not all arrived",
}


@click.command("demo", short_help="Watch two peers meet and exchange data.")
@click.option("--peer", "topic", type=TOPIC, hidden=True, help="Be one of the two peers, on this topic.")
@options
def command(settings: Settings, topic: Topic | None) -> None:
    """Watch two peers meet: a DHT on this machine, two processes, one topic, 1 MiB each way, verified by hash."""
    if topic is None:
        run(settings, lambda: _show(settings))
    else:
        run(settings, lambda: _take_part(settings, topic))


async def _show(settings: Settings) -> Exit:
    from swarm.testing import Testnet

    began = trio.current_time()
    reports: dict[str, dict[str, Any]] = {name: {} for name in PEERS}

    def tell(who: str, what: str, **data: Any) -> None:
        at = trio.current_time() - began
        text = f"{at:7.3f} s  {who:6}  {TEXTS[what].format(**data)}"
        settings.output.result({"at": round(at, 3), "who": who, "what": what, **data}, text)

    async def watch(name: str, process: trio.Process) -> None:
        assert process.stdout is not None
        rest = b""
        async for data in process.stdout:
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                report = json.loads(line)
                reports[name][report["what"]] = report
                tell(name, **report)

    with trio.move_on_after(PATIENCE):
        async with Testnet(NODES) as net:
            tell("dht", "started", nodes=NODES, bootstrap=net.bootstrap[0])
            async with trio.open_nursery() as nursery:
                peer = _peer_command(os.urandom(32).hex(), net.bootstrap[0])
                for name in PEERS:
                    start = functools.partial(trio.run_process, peer, stdout=subprocess.PIPE, check=False)
                    nursery.start_soon(watch, name, await nursery.start(start))

    alice, bob = reports.values()
    arrived = _same(alice.get("sent"), bob.get("received")) and _same(bob.get("sent"), alice.get("received"))
    tell("demo", "verified" if arrived else "failed")
    return Exit.OK if arrived else Exit.FAILED


def _peer_command(topic: str, bootstrap: str) -> list[str]:
    program = [sys.executable, "-m", "swarm.cli", "demo", "--peer", topic]
    return [*program, "--bootstrap", bootstrap, "--host", "127.0.0.1", "--json"]


def _same(sent: dict[str, Any] | None, received: dict[str, Any] | None) -> bool:
    return sent is not None and received is not None and sent["sha256"] == received["sha256"]


async def _take_part(settings: Settings, topic: Topic) -> None:
    def tell(what: str, **data: Any) -> None:
        settings.output.result({"what": what, **data}, what)

    async with settings.swarm() as swarm:
        began = trio.current_time()
        swarm.join(topic)
        tell("joined", topic=topic.hex(), key=swarm.public_key.hex(), process=os.getpid())
        async for connection in swarm:
            tell(
                "connected",
                to=connection.remote_public_key.hex(),
                seconds=round(trio.current_time() - began, 4),
                kind=connection.path.kind,
                address=str(connection.path.remote_address),
            )
            try:
                await _exchange(connection, tell)
            except* trio.BrokenResourceError:
                tell("lost")  # both dialled at once, and the other connection is kept
            else:
                break


async def _exchange(connection: Connection, tell: Tell) -> None:
    """Send random bytes and receive the other's, at once, each until its end."""

    async def send() -> None:
        data = os.urandom(SIZE)
        await connection.send_all(data)
        await connection.send_eof()
        tell("sent", bytes=len(data), sha256=hashlib.sha256(data).hexdigest())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        digest = hashlib.sha256()
        count = 0
        while data := await connection.receive_some():
            digest.update(data)
            count += len(data)
        tell("received", bytes=count, sha256=digest.hexdigest())
