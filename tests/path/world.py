"""Two real UDX streams and two `Upgrade`s, on a schedule; between them a relay and a direct path that fail at will."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from holepunch.address import Address
from holepunch.core import CLIENT, Schedule
from holepunch.path.challenge import Challenges
from holepunch.path.upgrade import Upgrade
from holepunch.udx import Event, UdxStream

if TYPE_CHECKING:
    from holepunch.udx.values import Route, Transmit

__all__ = ["DELAY", "HASH", "RELAY", "End", "World", "opened"]

RELAY: Route = (CLIENT, Address("9.9.9.9", 9))
HASH = bytes(range(64))
DELAY = 0.03
"""Seconds to the relay, and from it; as many between the peers directly."""


class End:
    """One peer: its stream through the relay, and what it notices."""

    def __init__(self, world: World, name: str, local_id: int, own: Address, punch_role: int) -> None:
        self.world = world
        self.name = name
        self.own = own
        self.punch_role = punch_role
        self.core = UdxStream(local_id, now=0)
        self.other: End
        self.upgrade: Upgrade
        self.received = b""
        self.closed = False
        self.directs: list[Route] = []
        self.done = 0
        self.lost_at: float | None = None
        self.speaks = True
        """It says something in order when its path has become direct, as our streams do."""
        self.believes = True
        """What arrives decrypts."""
        self.is_node = False
        """It knows no challenges."""
        self.sent: list[tuple[float, Route, int]] = []
        """When, where and with which flags each packet left."""

    @property
    def route(self) -> Route:
        """Where this end reaches the other directly."""
        return self.punch_role, self.other.own

    def start(self) -> None:
        schedule = self.world.schedule
        self.core.connect(RELAY, 1000 + self.core.local_id, schedule.now)
        self.upgrade = Upgrade(
            self.core,
            self.other.core.local_id,
            Challenges(HASH, is_initiator=self.name == "a"),
            schedule,
            random.Random(self.name),
            decrypted=lambda: len(self.received) if self.believes else 0,
            touch=self.flush,
            on_direct=self._on_direct,
            on_done=self._on_done,
            on_lost=self._on_lost,
        )

    def _on_direct(self, route: Route) -> None:
        self.directs.append(route)
        if self.speaks:
            self.write(b"!")

    def _on_done(self) -> None:
        self.done += 1

    def _on_lost(self) -> None:
        self.lost_at = self.world.schedule.now

    def write(self, data: bytes) -> None:
        self.core.write([data])
        self.flush()

    def flush(self) -> None:
        now = self.world.schedule.now
        self.core.flush(now)
        transmits, self.core.transmits = self.core.transmits, []
        for transmit in transmits:
            self.world.carry(self, transmit)
        events, self.core.events = self.core.events, []
        if Event.CLOSED in events:
            self.closed = True
        self.received += b"".join(self.core.take())
        deadline = self.core.deadline()
        if deadline < float("inf"):
            self.world.schedule.at(max(deadline, now), self._expire)

    def _expire(self) -> None:
        if self.core.deadline() <= self.world.schedule.now:
            self.core.expire(self.world.schedule.now)
            self.flush()

    def receive(self, data: bytes, route: Route) -> None:
        view = memoryview(data)
        if self.is_node or not self.upgrade.before(view, len(view), route):
            self.core.receive(view, len(view), route, self.world.schedule.now)
            self.received += b"".join(self.core.take())
            if not self.is_node:
                self.upgrade.after(route)
        self.flush()


class World:
    def __init__(self) -> None:
        self.schedule = Schedule()
        self.relay_works = self.direct_works = True
        self.a = End(self, "a", 1, Address("1.1.1.1", 11), 2)
        self.b = End(self, "b", 2, Address("2.2.2.2", 22), 3)
        self.a.other, self.b.other = self.b, self.a
        self.a.start()
        self.b.start()

    def carry(self, sender: End, transmit: Transmit) -> None:
        """Datagram by datagram; what goes to a route that leads nowhere is lost."""
        route = (transmit.role, transmit.to)
        data = b"".join(transmit.buffers)
        for at in range(0, len(data), transmit.segment):
            datagram = data[at : at + transmit.segment]
            sender.sent.append((self.schedule.now, route, datagram[2]))
            if route == RELAY and self.relay_works:
                rewritten = datagram[:4] + sender.other.core.local_id.to_bytes(4, "little") + datagram[8:]
                self.deliver(sender.other, rewritten, RELAY, 2 * DELAY)
            elif route == sender.route and self.direct_works:
                self.deliver(sender.other, datagram, sender.other.route, DELAY)

    def deliver(self, to: End, data: bytes, source: Route, delay: float) -> None:
        self.schedule.after(delay, lambda: to.receive(data, source))

    def run(self, seconds: float) -> None:
        until = self.schedule.now + seconds
        while self.schedule.now < until:
            self.schedule.advance(min(until, self.schedule.deadline()))


def opened(world: World) -> None:
    """Both have heard each other through the relay."""
    world.a.write(b"hello from a")
    world.b.write(b"hello from b")
    world.run(1)
    assert world.a.received == b"hello from b"
    assert world.b.received == b"hello from a"
