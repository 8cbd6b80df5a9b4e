"""Peers on the virtual internet: each dials and listens with the real cores, over packets of its own.

They implement what the cores ask for (`Signaller`, `Sockets`, `Streams`), and tell what is left over in the end.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from holepunch.address import Address
from holepunch.core import CLIENT, SERVER, Schedule
from holepunch.keys import KeyPair, hash32
from holepunch.punch.accept import Listener, Question
from holepunch.punch.dial import Dial
from holepunch.punch.environment import Environment, Established, ProbeTable
from holepunch.punch.limits import RandomPunchLimit
from holepunch.punch.messages import HandshakeMessage, HolepunchMessage, Mode, RelayInfo
from tests.punch.internet import NATS, Ask, Data, Nat, Packet, Segment, World
from tests.punch.signals import PeerSignaller

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from holepunch.core import Role
    from holepunch.errors import ConnectError
    from holepunch.signaller import Receptionist

__all__ = ["Peer", "World", "pair", "peer_behind"]


class PeerSockets:
    """Implements `holepunch.core.Sockets`."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.by_role: dict[Role, Address] = {}
        self.limit = 1000
        self.next_role = 0
        self.probes: Counter[int] = Counter()
        """Probes sent, by TTL."""

    def open(self) -> Role:
        if len(self.by_role) >= self.limit:
            raise OSError("too many open files")
        role = self.next_role
        self.next_role += 1
        segment = self.peer.segment
        while True:
            address = Address(self.peer.host, self.peer.world.rng.randrange(1024, 65536))
            if address not in segment.sockets:
                break
        self.by_role[role] = address
        segment.sockets[address] = partial(self.peer.receive, role)
        return role

    def close(self, role: Role) -> None:
        address = self.by_role.pop(role, None)
        if address is not None:
            del self.peer.segment.sockets[address]

    def send(self, role: Role, data: bytes, to: Address, ttl: int = 0) -> None:
        assert data == b"\x00", "probes are one zero byte"
        self.probes[ttl] += 1
        self.transmit(role, data, to, ttl)

    def transmit(self, role: Role, packet: Packet, to: Address, ttl: int = 0) -> None:
        if role in self.by_role:
            self.peer.segment.send(self.by_role[role], to, packet, ttl)


@dataclass
class RawStream:
    on_traffic: Callable[[Role, Address], bool]
    remote_id: int = 0
    route: tuple[Role, Address] | None = None
    heard: bool = False
    heard_at: float = math.nan


class PeerStreams:
    """Implements `holepunch.punch.environment.Streams`: a stream says hello until it hears from the other side."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.streams: dict[int, RawStream] = {}

    def open(self, on_traffic: Callable[[Role, Address], bool]) -> int:
        local_id = self.peer.world.rng.randrange(1, 1 << 32)
        self.streams[local_id] = RawStream(on_traffic)
        return local_id

    def connect(self, local_id: int, role: Role, address: Address, remote_id: int) -> None:
        stream = self.streams[local_id]
        assert stream.route is None, "connected twice"
        stream.route, stream.remote_id = (role, address), remote_id
        self.peer.world.schedule.after(0, partial(self._hello, stream, answer=True))
        for delay in (0.1, 0.3, 0.7, 1.5, 3.0):
            self.peer.world.schedule.after(delay, partial(self._hello, stream))

    def _hello(self, stream: RawStream, *, answer: bool = False) -> None:
        if stream.route is not None and (answer or not stream.heard):
            role, address = stream.route
            self.peer.sockets.transmit(role, Data(stream.remote_id), address)

    def discard(self, local_id: int) -> None:
        assert self.streams.pop(local_id).route is None, "a connected stream was discarded"

    def receive(self, role: Role, source: Address, local_id: int) -> None:
        stream = self.streams.get(local_id)
        if stream is None:
            return
        if (stream.route is None or stream.route[0] != role) and not stream.on_traffic(role, source):
            return
        if not stream.heard:
            stream.heard = True
            stream.heard_at = self.peer.world.now
            self._hello(stream, answer=True)


class Peer:
    """One host with its own clock of cores, that dials and listens."""

    def __init__(self, segment: Segment, host: str, *, nat: Nat | None = None) -> None:
        self.world = segment.world
        self.segment = segment
        self.host = host
        self.nat = nat
        self.key_pair = KeyPair.from_seed(self.world.rng.randbytes(32))
        self.target = hash32(self.key_pair.public_key)
        self.schedule = Schedule(self.world.now)
        self.sockets = PeerSockets(self)
        self.sockets.open()
        self.sockets.open()
        self.streams = PeerStreams(self)
        self.signaller = PeerSignaller(self)
        self.signaller.firewalled = not segment.is_internet
        self.probes = ProbeTable()
        self.limit = RandomPunchLimit()
        self.environment = Environment(
            signaller=self.signaller,
            sockets=self.sockets,
            streams=self.streams,
            schedule=self.schedule,
            probes=self.probes,
            random_punches=self.limit,
            rng=random.Random(self.world.rng.random()),
        )
        self.receptionist: Receptionist | None = None
        self.connected: list[Established] = []
        self.failed: list[ConnectError] = []
        self.connected_at = math.nan
        self.failed_at = math.nan
        self.dials: list[Dial] = []
        self.listener: Listener
        self.world.schedules.append(self.schedule)

    # -- what the peer does

    def listen(self, relays: int = 3, *, ask: Callable[[Question], None] | None = None, local: bool = True) -> Listener:
        """Announce to the first nodes, and take clients."""
        self.listener = Listener(self.environment, self.key_pair, on_connected=self.on_connected, ask=ask, local=local)
        self.receptionist = self.listener
        self.announce(relays)
        return self.listener

    def announce(self, relays: int = 3) -> None:
        nodes = [node.address for node in self.world.nodes[:relays]]
        known: list[RelayInfo] = []

        def announced(answer: tuple[Role, Address, Ask] | None) -> None:
            if answer is not None and answer[2].to is not None:
                known.append(RelayInfo(answer[1], answer[2].to))

        main = self.signaller.main_role
        for node in nodes:
            self.signaller.ask(lambda tid: Ask("announce", tid, self.target), node, main, 3, announced)
        self.world.run(5, until=lambda: len(known) == len(nodes))
        assert self.receptionist is not None
        addresses = [info.relay_address for info in known]
        self.world.announced[self.target] = addresses
        self.receptionist.on_relays(known, addresses, addresses.__contains__)

    def dial(self, key: bytes, relays: Sequence[Address] = (), *, local: bool = True) -> Dial:
        dial = Dial(
            self.environment,
            self.key_pair,
            key,
            relays=relays,
            local=local,
            on_connected=self.on_connected,
            on_failed=self.on_failed,
        )
        self.dials.append(dial)
        self.schedule.advance(self.world.now)
        dial.start()
        return dial

    def on_connected(self, established: Established) -> None:
        self.connected.append(established)
        self.connected_at = self.world.now

    def on_failed(self, error: ConnectError) -> None:
        self.failed.append(error)
        self.failed_at = self.world.now

    # -- what arrives

    def receive(self, role: Role, source: Address, packet: Packet) -> None:
        self.schedule.advance(self.world.now)
        if isinstance(packet, bytes):
            self.probes.on_probe(role, source)
        elif isinstance(packet, Data):
            self.streams.receive(role, source, packet.stream_id)
        elif packet.reply:
            if packet.tid in self.signaller.pending:
                self.signaller.pending[packet.tid](role, source, packet)
        elif packet.kind == "ping":
            self.sockets.transmit(role, packet._replace(reply=True, to=source), source)
        elif self.receptionist is not None and packet.target == self.target:
            self.receive_signal(role, source, packet)

    def receive_signal(self, role: Role, source: Address, packet: Ask) -> None:
        assert self.receptionist is not None
        to = packet.to or self.sockets.by_role[role]
        if packet.kind == "handshake":
            m = HandshakeMessage.decode(packet.value)

            def respond(noise: bytes, from_role: Role) -> None:
                if m.mode is Mode.FROM_CLIENT:
                    answer = packet._replace(value=HandshakeMessage(Mode.REPLY, noise).encode(), reply=True, to=source)
                else:
                    value = HandshakeMessage(Mode.FROM_SERVER, noise, m.peer_address).encode()
                    answer = packet._replace(value=value, to=source)
                self.sockets.transmit(from_role, answer, source)

            self.receptionist.on_handshake(m, source, to, role, respond)
        else:
            h = HolepunchMessage.decode(packet.value)

            def reply(payload: bytes, from_role: Role) -> None:
                value = HolepunchMessage(Mode.FROM_SERVER, 0, payload, h.peer_address).encode()
                self.sockets.transmit(from_role, packet._replace(value=value, to=source), source)

            self.receptionist.on_holepunch(h, source, to, role, reply)

    # -- what must be true in the end

    def leaks(self) -> list[str]:
        """Whatever is still held, in words; a connection's own stream and socket are none."""
        held = {stream.route[0] for stream in self.streams.streams.values() if stream.route is not None}
        roles = set(self.sockets.by_role) - {SERVER, CLIENT} - held
        return [
            *([f"a timer at {self.schedule.deadline()}"] if self.schedule.deadline() < math.inf else []),
            *(f"socket {role}" for role in sorted(roles)),
            *(f"stream {id}" for id, stream in self.streams.streams.items() if stream.route is None),
            *(f"request {tid}" for tid in self.signaller.pending),
            *(["a search"] if self.signaller.searches else []),
            *(["a listener for probes"] if len(self.probes) else []),
            *(["a place in the limit of random punches"] if self.limit.active else []),
        ]


def peer_behind(world: World, kind: str, number: int) -> Peer:
    """A peer behind a router of its own, or with a public address ("open")."""
    if kind == "open":
        return Peer(world.internet, f"51.0.0.{number}")
    nat = NATS[kind](world.internet, f"50.0.0.{number}")
    return Peer(nat.inside, f"192.168.{number}.10", nat=nat)


def pair(server: str, client: str, seed: int = 1, *, loss: float = 0.0) -> tuple[World, Peer, Peer]:
    """Two peers behind routers of these kinds; the first one listens."""
    world = World(seed, loss=loss)
    peers = peer_behind(world, server, 1), peer_behind(world, client, 2)
    peers[0].listen()
    return world, *peers
