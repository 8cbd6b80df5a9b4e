"""One peer for the NAT tests, on the public API.   python peer.py server|client

In, by environment: NETLAB_BOOTSTRAP host:port,...   NETLAB_TOPIC hex   NETLAB_RELAY key or empty   NETLAB_PING: the
client sends @<ms since 1970>@ five times a second and prints PONG <ms> for each that comes back.
Out: READY (server, once announced); CONNECTED host:port direct|relayed SECONDS, when an echo came back; UPGRADED
host:port direct SECONDS, when a relayed connection became direct; FAILED SECONDS REASON TEXT for a dial; INFO lines.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import time
from typing import TYPE_CHECKING, Any

import trio

from swarm import BootstrapError, DialFailed, Swarm, SwarmError

if TYPE_CHECKING:
    from swarm import Connection

PING_PAUSE = 0.2
WATCH_PAUSE = 0.02


class Peer:
    def __init__(self, role: str) -> None:
        self._role = role
        self._created = time.monotonic()
        self._reported = False

    def say(self, line: str) -> None:
        """One line, ended by the seconds since the swarm was created."""
        print(f"{line} {time.monotonic() - self._created:.3f}", flush=True)

    def say_failed(self, reason: str, error: SwarmError) -> None:
        print(f"FAILED {time.monotonic() - self._created:.3f} {reason} {error}", flush=True)

    async def run(self) -> None:
        environ = os.environ
        options: dict[str, Any] = {"relay_through": environ["NETLAB_RELAY"]} if environ.get("NETLAB_RELAY") else {}
        async with (
            trio.open_nursery() as nursery,
            Swarm(bootstrap=environ["NETLAB_BOOTSTRAP"].split(","), **options) as swarm,
        ):
            nursery.start_soon(swarm.serve, self.handle)
            nursery.start_soon(self.report_failures, swarm)
            discovery = swarm.join(
                bytes.fromhex(environ["NETLAB_TOPIC"]), server=self._role == "server", client=self._role == "client"
            )
            try:
                await discovery.flushed()
            except BootstrapError as error:
                self.say_failed("BOOTSTRAP", error)
            self.say(f"INFO nat kind={swarm.nat.kind}")
            if self._role == "server":
                print("READY", flush=True)
            await trio.sleep_forever()

    async def report_failures(self, swarm: Swarm) -> None:
        async for event in swarm.events():
            if isinstance(event, DialFailed):
                self.say_failed(event.error.reason.name, event.error)

    def where(self, connection: Connection) -> str:
        kind = "relayed" if connection.path.kind == "relayed" else "direct"
        return f"{connection.path.remote_address} {kind}"

    async def handle(self, connection: Connection) -> None:
        self.say(f"INFO opened {self.where(connection)}")
        try:
            async with trio.open_nursery() as nursery:
                if self._role == "client":
                    await connection.send_all(b"ping")
                    if os.environ.get("NETLAB_PING"):
                        nursery.start_soon(self.ping, connection)
                rest = b""
                async for data in connection:
                    if self._role == "server":
                        await connection.send_all(data)
                    if not self._reported:
                        self._reported = True
                        self.say(f"CONNECTED {self.where(connection)}")
                        nursery.start_soon(self.watch, connection)
                    *whole, rest = re.split(rb"@", rest + data)
                    for sent in whole:
                        if self._role == "client" and sent.isdigit():
                            print(f"PONG {sent.decode()}", flush=True)
                nursery.cancel_scope.cancel()
        finally:
            self.say("INFO closed")

    async def ping(self, connection: Connection) -> None:
        while True:
            await connection.send_all(b"@%d@" % (time.time() * 1000))
            await trio.sleep(PING_PAUSE)

    async def watch(self, connection: Connection) -> None:
        """Tell when a relayed connection has become direct."""
        while self.where(connection).endswith("relayed"):
            await trio.sleep(WATCH_PAUSE)
            if not self.where(connection).endswith("relayed"):
                self.say(f"UPGRADED {self.where(connection)}")


if __name__ == "__main__":
    if os.environ.get("NETLAB_LOG"):
        logging.basicConfig(level=logging.DEBUG, stream=sys.stdout, format="INFO %(asctime)s %(name)s %(message)s")
    trio.run(Peer(sys.argv[1]).run)
