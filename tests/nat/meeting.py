"""Two peers, each a process behind its own routers, that look for each other under one topic."""

from __future__ import annotations

import secrets
import sys
import time
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import trio

from tests.programs import Program, running
from tests.tools import need

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.nat.lab import Lab, Namespace

__all__ = ["DHT_NODES", "Kind", "Meeting", "Relay", "dht", "meeting", "peer", "relay"]

Kind = Literal["python", "node"]
"""Whose peer: this library's, or Node's."""

DHT_NODES = 9
"""Each has an address of its own: a router whose ports depend on the outer address looks random only then."""
HERE = Path(__file__).parent


@asynccontextmanager
async def dht(lab: Lab) -> AsyncIterator[str]:
    """A DHT in the lab, and the address of its first node."""
    host = lab.public(DHT_NODES)
    async with running(*host.command(sys.executable, str(HERE / "dht.py"), *host.addresses)) as nodes:
        yield (await nodes.line_with("READY")).split()[1]


class Relay(NamedTuple):
    key: str
    """Its public key in hex."""
    host: str


@asynccontextmanager
async def relay(lab: Lab, bootstrap: str, *, wanted: bool = True) -> AsyncIterator[Relay | None]:
    """A blind relay on a public host of the lab."""
    if not wanted:
        yield None
        return
    host = lab.public()
    async with running(*host.command(sys.executable, str(HERE / "relay.py"), bootstrap, host.address)) as program:
        yield Relay((await program.line_with("READY")).split()[1], host.address)


@dataclass
class Meeting:
    """What the client has told."""

    client: Program
    address: str | None = None
    """Where the first connection led; None when the first dial failed."""
    kind: str = ""
    seconds: float = 0.0
    """From the making of the swarm to the first echo, or to the failure."""
    reason: str = ""
    """Of the failure, and its text."""
    opened: int = 0
    """Connections so far."""

    @property
    def connected(self) -> bool:
        return self.address is not None

    async def _decided(self) -> None:
        while self.address is None and not self.reason:
            words = (await self._line()).split(maxsplit=3)
            if words[0] == "CONNECTED":
                self.address, self.kind, self.seconds = words[1], words[2], float(words[3])
            elif words[0] == "FAILED":
                self.seconds, self.reason = float(words[1]), " ".join(words[2:])

    async def _line(self) -> str:
        line = await self.client.line()
        self.opened += line.startswith("INFO opened")
        return line

    async def upgraded(self) -> float:
        """Wait for a relayed connection to become direct; the seconds since the making of the swarm."""
        while not (line := await self._line()).startswith("UPGRADED "):
            pass
        return float(line.split()[-1])

    async def echo_of_now(self) -> float:
        """Seconds until something comes back that the client sends after now."""
        started = time.time()
        sent = 0.0
        while sent <= started:
            line = await self._line()
            if line.startswith("PONG "):
                sent = float(line.split()[1]) / 1000
        return time.time() - started


@asynccontextmanager
async def peer(
    host: Namespace, role: str, bootstrap: str, topic: str, *, kind: Kind = "python", **options: str
) -> AsyncIterator[Program]:
    """One peer, until the end of the block."""
    environment = {"NETLAB_BOOTSTRAP": bootstrap, "NETLAB_TOPIC": topic, **options}
    command = [sys.executable, str(HERE / "peer.py")]
    if kind == "node":
        command = [need("node"), str(HERE / "peer.js")]
        environment["NODE_PATH"] = str(HERE.parent / "interop" / "node_modules")
    async with running(*host.command(*command, role, **environment)) as program:
        yield program


@asynccontextmanager
async def meeting(
    bootstrap: str,
    server: Namespace,
    client: Namespace,
    *,
    kinds: tuple[Kind, Kind] = ("python", "python"),
    relay: Relay | None = None,
    pings: bool = False,
    patience: float = 30.0,
) -> AsyncIterator[Meeting]:
    """The client's first dial, made or failed. Raises `trio.TooSlowError` when it is neither in time.

    ``pings``: it goes on sending, for `Meeting.echo_of_now`.
    """
    topic = secrets.token_hex(32)
    known = {"NETLAB_RELAY": relay.key, "NETLAB_RELAY_HOST": relay.host} if relay is not None else {}
    options = {"NETLAB_PING": "1", **known} if pings else known
    async with AsyncExitStack() as stack:
        with trio.fail_after(patience):
            listening = await stack.enter_async_context(
                peer(server, "server", bootstrap, topic, kind=kinds[0], **known)
            )
            await listening.line_with("READY")
            dialling = await stack.enter_async_context(
                peer(client, "client", bootstrap, topic, kind=kinds[1], **options)
            )
            made = Meeting(dialling)
            await made._decided()
        yield made
