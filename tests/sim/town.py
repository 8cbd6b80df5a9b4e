"""A town of peers that join one topic, and a minute in which everything happens to them that happens to peers."""

from __future__ import annotations

import itertools
import random
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import trio

from holepunch.testing import Link, VirtualNetwork
from swarm import DHT, KeyPair, Swarm, Topic
from tests.sim.scene import dht_hosts, start_dht

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from holepunch.testing import VirtualHost
    from swarm import Connection, PublicKey

__all__ = ["Outcome", "live_through"]

HOMES = ("open", "dmz", "fullcone", "restricted", "home", "home-rand", "addrdep", "symmetric", "cgnat")
TROUBLE = 60.0
"""Seconds in which things happen."""
CALM = 60.0
"""Seconds after that, on links that lose nothing, for all to be connected."""
SETTLED = 20.0
"""The last of them, in which nothing changes any more."""
TALK = 1.0
"""Seconds between two messages of each side."""
HEARD = 3.0
"""A connection has heard from the other side within so many seconds."""
ROOM = Topic.from_name("room")


@dataclass
class Outcome:
    seconds: float
    """From the start of the calm until all were connected for good."""
    apart: list[str]
    """Pairs that are not connected as they should be."""
    log: list[str]
    """What happened, and when."""

    @property
    def good(self) -> bool:
        return not self.apart and self.seconds <= CALM - SETTLED


def _frame(number: int) -> bytes:
    return number.to_bytes(4, "big") * (10_000 if number % 7 == 0 else 1)


async def _counted(connection: Connection) -> AsyncIterator[tuple[int, bytes]]:
    for number in itertools.count():
        frame = await connection.receive_frame()
        if frame is None:
            return
        yield number, frame


@dataclass
class Life:
    """One process, from its start to when it is killed."""

    key: KeyPair
    host: VirtualHost
    swarm: Swarm
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    heard: dict[Connection, float] = field(default_factory=dict)
    """When each open connection last heard from the other side."""
    nursery: trio.Nursery = field(init=False)

    async def run(self, task_status: trio.TaskStatus[None]) -> None:
        with self.scope:
            async with self.swarm, trio.open_nursery() as self.nursery:
                self.swarm.join(ROOM)
                task_status.started()
                await self.swarm.serve(self._talk)

    async def _talk(self, connection: Connection) -> None:
        self.heard[connection] = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._send, connection)
            try:
                async for number, frame in _counted(connection):
                    assert frame == _frame(number), f"frame {number} came as {frame[:9]!r}, {len(frame)} bytes"
                    self.heard[connection] = trio.current_time()
            except trio.BrokenResourceError:
                pass
            nursery.cancel_scope.cancel()
        del self.heard[connection]

    async def _send(self, connection: Connection) -> None:
        try:
            for number in itertools.count():
                await connection.send_frame(_frame(number))
                await trio.sleep(TALK)
        except trio.BrokenResourceError:
            pass

    async def suspend(self, seconds: float) -> None:
        await self.swarm.suspend()
        await trio.sleep(seconds)
        await self.swarm.resume()

    async def leave(self, seconds: float) -> None:
        await self.swarm.leave(ROOM)
        await trio.sleep(seconds)
        self.swarm.join(ROOM)

    def connection_to(self, other: Life) -> Connection | None:
        """The one that hears. None: there is none."""
        since = trio.current_time() - HEARD
        for connection in self.swarm.connections:
            if connection.remote_public_key == other.swarm.public_key and self.heard.get(connection, 0) > since:
                return connection
        return None


class Town:
    def __init__(self, seed: int, network: VirtualNetwork, nursery: trio.Nursery) -> None:
        self.rng = random.Random(seed)
        self.lives: list[Life] = []
        self.log: list[str] = []
        self._network = network
        self._nursery = nursery
        self._began = trio.current_time()
        self._servers: list[VirtualHost] = []
        """The machines of the DHT and the relay."""
        self._options: dict[str, Any] = {}

    def note(self, text: str) -> None:
        self.log.append(f"{trio.current_time() - self._began:8.3f}  {text}")

    async def found(self) -> None:
        """A DHT, a relay for those whom no hole connects, and some peers."""
        self._servers = dht_hosts(self._network)
        self._options["bootstrap"] = await start_dht(self._network, self._nursery, self._servers)
        self._options["relay_through"] = await self._nursery.start(self._relay)
        for number in range(self.rng.randint(2, 5)):
            kind, host = self._home()
            self.note(f"peer {number} starts in {kind}")
            self.lives.append(await self._start(KeyPair.from_seed(self.rng.randbytes(32)), host))

    async def _relay(self, task_status: trio.TaskStatus[PublicKey]) -> None:
        host = self._network.host(link=Link(delay=0.01))
        self._servers.append(host)
        options: dict[str, Any] = {"network": host, "host": host.addresses[0], "rng": random.Random(0), **self._options}
        async with DHT(key_pair=KeyPair.from_seed(bytes(32)), ephemeral=False, firewalled=False, **options) as node:
            task_status.started((await node.relay()).public_key)
            await trio.sleep_forever()

    async def _start(self, key: KeyPair, host: VirtualHost) -> Life:
        life = Life(key, host, Swarm(key, network=host, rng=random.Random(self.rng.random()), **self._options))
        await self._nursery.start(life.run)
        return life

    def _link(self) -> Link:
        return Link(delay=self.rng.choice((0.002, 0.01, 0.03, 0.08)), loss=self.rng.choice((0, 0, 0, 0.01, 0.05)))

    def _home(self) -> tuple[str, VirtualHost]:
        kind = self.rng.choice(HOMES)
        return kind, self._network.place(kind, link=self._link())

    # what happens

    async def trouble(self) -> None:
        events = [self.kill, self.sleep, self.move, self.flush, self.rebind, self.readdress, self.worsen]
        events += [self.suspend, self.leave, self.lose_server]
        until = trio.current_time() + TROUBLE
        async with trio.open_nursery() as nursery:
            while trio.current_time() < until:
                await trio.sleep(self.rng.choice((0.05, 0.5, 2, 5)) * self.rng.random())
                event, number = self.rng.choice(events), self.rng.randrange(len(self.lives))
                self.note(f"{event.__name__} {number}")
                nursery.start_soon(event, number)

    async def kill(self, number: int) -> None:
        """And start it again, with its key, in the same network."""
        life = self.lives[number]
        life.host.sleep()
        life.scope.cancel()
        self.lives[number] = await self._start(life.key, life.host.segment.host(link=life.host.link))

    async def sleep(self, number: int) -> None:
        host = self.lives[number].host
        host.sleep()
        await trio.sleep(self.rng.choice((0.2, 2, 8, 20)) * self.rng.random())
        if host is self.lives[number].host:
            host.wake()

    async def move(self, number: int) -> None:
        kind, neighbour = self._home()
        self.note(f"{number} is in {kind} now")
        self.lives[number].host.move(neighbour.segment, link=neighbour.link)

    async def flush(self, number: int) -> None:
        for box in self.lives[number].host.boxes:
            box.flush()

    async def rebind(self, number: int) -> None:
        for box in self.lives[number].host.boxes:
            box.rebind()

    async def readdress(self, number: int) -> None:
        for box in self.lives[number].host.boxes[-1:]:
            box.change_address()

    async def worsen(self, number: int) -> None:
        host = self.lives[number].host
        before, host.link = host.link, Link(delay=0.05, jitter=0.05, loss=0.2)
        await trio.sleep(5 * self.rng.random())
        host.link = before

    async def suspend(self, number: int) -> None:
        self.lives[number].nursery.start_soon(self.lives[number].suspend, 5 * self.rng.random())

    async def leave(self, number: int) -> None:
        self.lives[number].nursery.start_soon(self.lives[number].leave, 5 * self.rng.random())

    async def lose_server(self, number: int) -> None:
        """For a while, one node of the DHT, or the relay."""
        host = self.rng.choice(self._servers)
        host.sleep()
        await trio.sleep(20 * self.rng.random())
        host.wake()

    # what is expected

    def apart(self) -> Iterator[str]:
        """The pairs that have not one connection, the same at both ends, over which both hear each other."""
        for a, b in itertools.combinations(range(len(self.lives)), 2):
            there, back = self.lives[a].connection_to(self.lives[b]), self.lives[b].connection_to(self.lives[a])
            if there is None or back is None or there.handshake_hash != back.handshake_hash:
                yield f"{a} has {there}, {b} has {back}"

    async def calm(self) -> float:
        """Seconds until all are connected for good."""
        self.note("calm")
        for life in self.lives:
            for node in (life.host, *life.host.boxes):
                node.link = replace(node.link, loss=0, jitter=0)
        began = since = trio.current_time()
        while trio.current_time() < began + CALM:
            await trio.sleep(0.25)
            if any(self.apart()):
                since = trio.current_time()
        return since - began


@asynccontextmanager
async def _town(seed: int) -> AsyncIterator[Town]:
    async with VirtualNetwork(seed=seed) as network, trio.open_nursery() as nursery:
        town = Town(seed, network, nursery)
        await town.found()
        yield town
        nursery.cancel_scope.cancel()


async def live_through(seed: int) -> Outcome:
    async with _town(seed) as town:
        await town.trouble()
        seconds = await town.calm()
        return Outcome(seconds, list(town.apart()), town.log)
