"""Two peers, each a process behind its own routers, that look for each other under one topic."""

from __future__ import annotations

import secrets
import sys
import time
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from tests.programs import Program, running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.nat.lab import Lab, Namespace

__all__ = ["DHT_NODES", "Meeting", "dht", "meeting", "peer"]

DHT_NODES = 9
"""Each has an address of its own: a router whose ports depend on the outer address looks random only then."""
HERE = Path(__file__).parent


@asynccontextmanager
async def dht(lab: Lab) -> AsyncIterator[str]:
    """A DHT in the lab, and the address of its first node."""
    host = lab.public(DHT_NODES)
    async with running(*host.command(sys.executable, str(HERE / "dht.py"), *host.addresses)) as nodes:
        yield (await nodes.line_with("READY")).split()[1]


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
async def peer(host: Namespace, role: str, bootstrap: str, topic: str, **options: str) -> AsyncIterator[Program]:
    """One peer, until the end of the block."""
    environment = {"NETLAB_BOOTSTRAP": bootstrap, "NETLAB_TOPIC": topic, **options}
    async with running(*host.command(sys.executable, str(HERE / "peer.py"), role, **environment)) as program:
        yield program


@asynccontextmanager
async def meeting(
    bootstrap: str, server: Namespace, client: Namespace, *, pings: bool = False, patience: float = 30.0
) -> AsyncIterator[Meeting]:
    """The client's first dial, made or failed. Raises `trio.TooSlowError` when it is neither in time.

    ``pings``: it goes on sending, for `Meeting.echo_of_now`.
    """
    topic = secrets.token_hex(32)
    options = {"NETLAB_PING": "1"} if pings else {}
    async with AsyncExitStack() as stack:
        with trio.fail_after(patience):
            listening = await stack.enter_async_context(peer(server, "server", bootstrap, topic))
            await listening.line_with("READY")
            dialling = await stack.enter_async_context(peer(client, "client", bootstrap, topic, **options))
            made = Meeting(dialling)
            await made._decided()
        yield made
