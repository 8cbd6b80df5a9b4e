"""Two peers, each a process behind its own routers, that look for each other under one topic."""

from __future__ import annotations

import secrets
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from tests.programs import Program, running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.nat.lab import Lab, Namespace

__all__ = ["DHT_NODES", "Meeting", "dht", "meeting"]

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
    opened: int = field(default=0)

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

    async def echo_after(self, milliseconds: float) -> None:
        """Until something that the client sent after that time has come back."""
        line = ""
        while not (line.startswith("PONG ") and float(line.split()[1]) > milliseconds):
            line = await self._line()


@asynccontextmanager
async def meeting(
    bootstrap: str, server: Namespace, client: Namespace, *, pings: bool = False, patience: float = 30.0
) -> AsyncIterator[Meeting]:
    """The client's first dial, made or failed. Raises `trio.TooSlowError` when it is neither in time."""
    common = {"NETLAB_BOOTSTRAP": bootstrap, "NETLAB_TOPIC": secrets.token_hex(32)}
    peer = str(HERE / "peer.py")
    async with AsyncExitStack() as stack:
        with trio.fail_after(patience):
            listening = await stack.enter_async_context(
                running(*server.command(sys.executable, peer, "server", **common))
            )
            await listening.line_with("READY")
            if pings:
                common["NETLAB_PING"] = "1"
            dialling = await stack.enter_async_context(
                running(*client.command(sys.executable, peer, "client", **common))
            )
            made = Meeting(dialling)
            await made._decided()
        yield made
