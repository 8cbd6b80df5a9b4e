"""A small internet on a virtual clock: segments, NAT boxes, and DHT nodes that carry messages.

Every signal and every probe is a packet that goes through the boxes in between, so that nobody knows what a real peer
would not learn. Signals travel in the encoding of the wire.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from holepunch.address import Address
from holepunch.core import Schedule
from holepunch.punch.messages import HandshakeMessage, HolepunchMessage, Mode

if TYPE_CHECKING:
    from collections.abc import Callable

LOW_TTL = 10
"""Packets below this do not cross the internet."""


class Ask(NamedTuple):
    """A request that awaits an answer, or the answer to one."""

    kind: str
    tid: int
    target: bytes = b""
    value: bytes = b""
    reply: bool = False
    to: Address | None = None


class Data(NamedTuple):
    """A packet of a raw stream."""

    stream_id: int


Packet = bytes | Ask | Data


class World:
    """The clock, the internet, and everything that is on it."""

    def __init__(
        self, seed: int = 1, *, nodes: int = 9, delay: float = 0.015, loss: float = 0.0, loopback: bool = False
    ) -> None:
        """``loopback``: no internet at all, everything is on one machine."""
        self.rng = random.Random(seed)
        self.schedule = Schedule()
        self.schedules = [self.schedule]
        """The world's own clock, and one for the cores of each peer."""
        self.internet = Segment(self, delay=0.0001 if loopback else delay, loss=loss)
        self.internet.is_internet = not loopback
        hosts = ["127.0.0.1"] * nodes if loopback else [f"52.0.{n}.1" for n in range(nodes)]
        self.nodes = [Node(self.internet, Address(host, 49737 + n)) for n, host in enumerate(hosts)]
        self.announced: dict[bytes, list[Address]] = {}
        self.dead: set[Address] = set()
        """Nodes that do not answer."""

    @property
    def now(self) -> float:
        return self.schedule.now

    def run(self, seconds: float = 60.0, until: Callable[[], bool] | None = None) -> None:
        """Let time pass, at most ``seconds``, in the order of what happens."""
        end = self.now + seconds
        for _ in range(1_000_000):
            if until is not None and until():
                return
            now = min(schedule.deadline() for schedule in self.schedules)
            if now > end:
                break
            for schedule in self.schedules:
                schedule.advance(now)
        else:
            raise AssertionError("endless chatter")
        for schedule in self.schedules:
            schedule.advance(end)


class Segment:
    """One network in which every host reaches every other, and perhaps a way out."""

    def __init__(self, world: World, *, delay: float = 0.0005, loss: float = 0.0) -> None:
        self.world = world
        self.delay = delay
        self.loss = loss
        self.is_internet = False
        self.sockets: dict[Address, Callable[[Address, Packet], None]] = {}
        self.routers: dict[str, Nat] = {}
        self.gateway: Nat | None = None
        self.holes: set[str] = set()
        """Hosts that swallow what is sent to them."""
        self.probes: Counter[str] = Counter()
        """One-byte packets by the host they came from."""

    def send(self, source: Address, to: Address, packet: Packet, ttl: int = 0) -> None:
        local = to in self.sockets or to.host in self.routers
        if not local and self.gateway is not None:
            self.gateway.outbound(source, to, packet, ttl)
        elif local and to.host not in self.holes and not (self.is_internet and 0 < ttl < LOW_TTL):
            self.probes[source.host] += isinstance(packet, bytes)
            if self.world.rng.random() >= self.loss:
                self.world.schedule.after(self.delay, partial(self._arrive, source, to, packet))

    def _arrive(self, source: Address, to: Address, packet: Packet) -> None:
        if to in self.sockets:
            self.sockets[to](source, packet)
        elif to.host in self.routers:
            self.routers[to.host].inbound(source, to, packet)


@dataclass
class Nat:
    """A router: ``mapping`` and ``filtering`` by "any", "host" or "port" of the remote side (RFC 4787)."""

    outside: Segment
    host: str
    mapping: str = "any"
    filtering: str = "port"
    ports: str = "random"
    hairpin: bool = False
    swallows: Callable[[Packet], bool] = lambda packet: False
    """What it lets neither in nor out."""
    delay: float = 0.015
    inside: Segment = field(init=False)
    mappings: dict[tuple[Address, str], int] = field(default_factory=dict)
    owners: dict[int, Address] = field(default_factory=dict)
    allowed: dict[int, set[str]] = field(default_factory=dict)
    next_port: int = 20000

    def __post_init__(self) -> None:
        self.inside = Segment(self.outside.world)
        self.inside.gateway = self
        self.outside.routers[self.host] = self

    @staticmethod
    def _part(of: str, address: Address) -> str:
        return {"any": "", "host": address.host, "port": str(address)}[of]

    def _port(self, source: Address) -> int:
        if self.ports == "kept":
            return source.port
        if self.ports == "sequential":
            self.next_port += 1
            return self.next_port
        while True:
            port = self.outside.world.rng.randrange(1024, 65536)
            if port not in self.owners:
                return port

    def outbound(self, source: Address, to: Address, packet: Packet, ttl: int) -> None:
        if self.swallows(packet):
            return
        key = source, self._part(self.mapping, to)
        if key not in self.mappings:
            port = self.mappings[key] = self._port(source)
            self.owners[port] = source
        port = self.mappings[key]
        self.allowed.setdefault(port, set()).add(self._part(self.filtering, to))
        seen = Address(self.host, port)
        if to.host != self.host:
            self.outside.world.schedule.after(self.delay, partial(self.outside.send, seen, to, packet, ttl))
        elif self.hairpin:
            self.inbound(seen, to, packet)

    def inbound(self, source: Address, to: Address, packet: Packet) -> None:
        owner = self.owners.get(to.port)
        if (
            owner is not None
            and not self.swallows(packet)
            and self._part(self.filtering, source) in self.allowed[to.port]
        ):
            self.outside.world.schedule.after(self.delay, partial(self.inside.send, source, owner, packet))

    def rebind(self) -> None:
        """Forget every mapping, as after a restart."""
        self.mappings.clear()
        self.owners.clear()
        self.allowed.clear()


class Node:
    """A DHT node with a public address: answers pings and carries messages (hyperdht, sections 4 and 8)."""

    def __init__(self, segment: Segment, address: Address) -> None:
        self.segment = segment
        self.address = address
        self.forwards: dict[bytes, Address] = {}
        self.tamper: Callable[[Ask], Ask] = lambda packet: packet
        """What a hostile node makes of the messages it carries to clients."""
        segment.sockets[self.address] = self.receive

    def send(self, to: Address, packet: Ask) -> None:
        self.segment.send(self.address, to, packet)

    def receive(self, source: Address, packet: Packet) -> None:
        if not isinstance(packet, Ask) or packet.reply or self.address in self.segment.world.dead:
            return
        if packet.kind == "ping":
            self.send(source, packet._replace(reply=True, to=source))
        elif packet.kind == "announce":
            self.forwards[packet.target] = source
            self.send(source, packet._replace(reply=True, to=source))
        elif packet.kind == "handshake":
            self.carry_handshake(source, packet, HandshakeMessage.decode(packet.value))
        else:
            self.carry_holepunch(source, packet, HolepunchMessage.decode(packet.value))

    def carry_handshake(self, source: Address, packet: Ask, m: HandshakeMessage) -> None:
        if m.mode is Mode.FROM_CLIENT and packet.target in self.forwards:
            value = HandshakeMessage(Mode.FROM_RELAY, m.noise, source).encode()
            to = self.forwards[packet.target]
            self.send(to, packet._replace(value=value, to=to))
        elif m.mode is Mode.FROM_SERVER and m.peer_address is not None:
            value = HandshakeMessage(Mode.REPLY, m.noise, source).encode()
            self.send(m.peer_address, self.tamper(packet._replace(value=value, reply=True, to=m.peer_address)))

    def carry_holepunch(self, source: Address, packet: Ask, m: HolepunchMessage) -> None:
        if m.mode is Mode.FROM_CLIENT:
            to = m.peer_address or self.forwards[packet.target]
            value = HolepunchMessage(Mode.FROM_RELAY, m.id, m.payload, source).encode()
            self.send(to, packet._replace(value=value, to=to))
        elif m.mode is Mode.FROM_SERVER and m.peer_address is not None:
            value = HolepunchMessage(Mode.REPLY, m.id, m.payload, source).encode()
            self.send(m.peer_address, self.tamper(packet._replace(value=value, reply=True, to=m.peer_address)))


NATS: dict[str, Callable[[Segment, str], Nat]] = {
    "fullcone": lambda s, h: Nat(s, h, filtering="any"),
    "restricted": lambda s, h: Nat(s, h, filtering="host"),
    "home": Nat,
    "kept": lambda s, h: Nat(s, h, ports="kept"),
    "symmetric": lambda s, h: Nat(s, h, mapping="port"),
    "sequential": lambda s, h: Nat(s, h, mapping="port", ports="sequential"),
}
