"""Two or more UDX streams and the links between them, on a virtual clock that jumps to the next thing that happens."""

from __future__ import annotations

import heapq
import math
import random
from typing import TYPE_CHECKING, NamedTuple

from holepunch.address import Address
from holepunch.core import SERVER
from holepunch.udx import Event, UdxStream
from holepunch.udx.packet import Packet, decode, peek

if TYPE_CHECKING:
    from collections.abc import Callable

    from holepunch.udx import Linger, Route, Transmit

MTU_OVERHEAD = 28
CHUNK = 64 * 1024


def route(host: int) -> Route:
    return SERVER, Address(f"10.0.0.{host}", 4000 + host)


def pattern(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)


class Link:
    """One direction of a path: what it delays, drops, doubles, reorders, and how fast it is (bytes per second)."""

    def __init__(
        self,
        *,
        delay: float = 0.02,
        rate: float = math.inf,
        queue: float = math.inf,
        loss: float = 0.0,
        duplicate: float = 0.0,
        reorder: float = 0.0,
        mtu: int = 1500,
        seed: int = 0,
        drop: Callable[[Packet], bool] | None = None,
    ) -> None:
        self.delay = delay
        self.rate = rate
        self.queue = queue
        """Bytes that wait for the link before more are dropped."""
        self.loss = loss
        self.duplicate = duplicate
        self.reorder = reorder
        self.mtu = mtu
        self.drop = drop
        self.random = random.Random(seed)
        self.free_at = 0.0
        self.dropped = 0

    def arrivals(self, datagram: bytes, now: float, fragment: bool = False) -> list[float]:
        """When copies of the datagram come out at the other end."""
        chance = self.random.random
        if (
            (len(datagram) + MTU_OVERHEAD > self.mtu and not fragment)
            or (self.drop is not None and self.drop(decode(memoryview(datagram))))
            or (self.loss and chance() < self.loss)
            or (self.free_at - now) * self.rate > self.queue
        ):
            self.dropped += 1
            return []
        self.free_at = max(self.free_at, now) + len(datagram) / self.rate
        at = self.free_at + self.delay
        if self.reorder and chance() < self.reorder:
            at += self.delay * chance()
        return [at, at + self.delay / 10] if self.duplicate and chance() < self.duplicate else [at]


class Sent(NamedTuple):
    """One datagram as it left."""

    at: float
    peer: Peer
    to: Route
    datagram: bytes

    @property
    def packet(self) -> Packet:
        return decode(memoryview(self.datagram))


class Peer:
    """A stream with an application that writes what it has, and reads what there is unless told not to."""

    def __init__(self, world: World, name: str, stream: UdxStream) -> None:
        self.world = world
        self.name = name
        self.stream = stream
        self.link = Link()
        self.reading = True
        self.keeping = True
        """Keep the bytes read, or only count them."""
        self.received = bytearray()
        self.received_bytes = 0
        self.events: list[Event] = []
        self.linger: Linger | None = None
        self.outgoing = memoryview(b"")
        self.ends_after = False

    def write(self, data: bytes, *, end: bool = False) -> None:
        """Write as much as the stream takes, the rest as it takes it."""
        self.outgoing = memoryview(data)
        self.ends_after = end
        self.work()

    def work(self) -> None:
        """What an application does when its stream reports something, each time followed by the driver's flush."""
        self._work_once()
        while self._can_write:
            self._work_once()

    @property
    def _can_write(self) -> bool:
        return len(self.outgoing) > 0 and self.stream.writable > 0 and not self.stream.closed

    def _work_once(self) -> None:
        stream = self.stream
        while self._can_write:
            stream.write([self.outgoing[:CHUNK]])
            self.outgoing = self.outgoing[CHUNK:]
        if self.ends_after and not self.outgoing:
            stream.write_end()
        if self.reading and stream.readable:
            chunks = stream.take()
            self.received_bytes += sum(map(len, chunks))
            if self.keeping:
                self.received += b"".join(chunks)
        stream.flush(self.world.now)
        if Event.CLOSED in stream.events:
            self.linger = stream.linger()
        self.events += stream.events
        stream.events.clear()
        transmits, stream.transmits = stream.transmits, []
        for transmit in transmits:
            self.world.send(self, transmit)

    @property
    def sent(self) -> list[Sent]:
        return [sent for sent in self.world.log if sent.peer is self]

    @property
    def packets(self) -> list[Packet]:
        return [sent.packet for sent in self.sent]


class World:
    """Datagrams find their stream by the id in them, as they do in an endpoint."""

    def __init__(self, *, gro: bool = True, tick: float = 0.0, now: float = 1000.0) -> None:
        self.now = now
        self.tick = tick
        """Drivers wake once in so many seconds at most: later timers, larger batches."""
        self.gro = gro
        """Join datagrams that arrive together into runs, as a kernel does."""
        self.random = random.Random(0)
        self.logging = True
        self.log: list[Sent] = []
        self.peers: dict[int, Peer] = {}
        self.steps = 0
        self._wire: list[tuple[float, int, bytes]] = []
        self._count = 0

    def add(self, name: str, local_id: int, link: Link, **numbers: int) -> Peer:
        peer = Peer(self, name, UdxStream(local_id, now=self.now, **numbers))
        peer.link = link
        self.peers[local_id] = peer
        return peer

    def send(self, peer: Peer, transmit: Transmit) -> None:
        joined = b"".join(transmit.buffers)
        for at in range(0, len(joined), transmit.segment):
            datagram = joined[at : at + transmit.segment]
            if self.logging:
                self.log.append(Sent(self.now, peer, (transmit.role, transmit.to), datagram))
            for arrival in peer.link.arrivals(datagram, self.now, transmit.fragment):
                self._count += 1
                heapq.heappush(self._wire, (arrival, self._count, datagram))

    def forget_wire(self) -> None:
        """What is on its way is lost."""
        self._wire.clear()

    def next_event(self) -> float:
        wire = self._wire[0][0] if self._wire else math.inf
        return min([wire, *(peer.stream.deadline() for peer in self.peers.values())])

    def step(self) -> bool:
        """Jump to the next event and let it happen. False when nothing will ever happen again."""
        at = self.next_event()
        if at == math.inf:
            return False
        if self.tick:
            at = max(at, math.ceil(at / self.tick) * self.tick)
        self.now = max(self.now, at)
        self.steps += 1
        arrived: dict[int, list[bytes]] = {}
        while self._wire and self._wire[0][0] <= self.now:
            datagram = heapq.heappop(self._wire)[2]
            stream_id = peek(memoryview(datagram))
            if stream_id in self.peers:
                arrived.setdefault(stream_id, []).append(datagram)
        for stream_id, datagrams in arrived.items():
            self._deliver(self.peers[stream_id], datagrams)
        order = list(self.peers.items())
        if self.tick:
            # the same one first each time would always find the room in a queue that they share
            self.random.shuffle(order)
        for stream_id, peer in order:
            due = peer.stream.deadline() <= self.now
            if due:
                peer.stream.expire(self.now)
            if due or stream_id in arrived:
                peer.work()
        return True

    def _deliver(self, peer: Peer, datagrams: list[bytes]) -> None:
        while datagrams:
            segment = len(datagrams[0])
            count = 1
            while self.gro and count < len(datagrams) and len(datagrams[count - 1]) == segment >= len(datagrams[count]):
                count += 1
            run, datagrams = b"".join(datagrams[:count]), datagrams[count:]
            if peer.linger is not None:
                for transmit in peer.linger.receive(memoryview(run), segment, route(99)):
                    self.send(peer, transmit)
            peer.stream.receive(memoryview(run), segment, route(99), self.now)

    def run(self, seconds: float = 60.0, until: Callable[[], bool] | None = None, steps: int = 200_000) -> None:
        """Until the condition holds, or nothing happens within ``seconds``. More than ``steps`` is a loop."""
        end = self.now + seconds
        for _ in range(steps):
            if until is not None and until():
                return
            if self.next_event() > end:
                assert until is None, f"it did not happen within {seconds} s"
                self.now = end
                return
            self.step()
        raise AssertionError(f"{steps} steps within {self.now - end + seconds} s: the streams never come to rest")


class Pair(World):
    """Two streams that are connected to each other."""

    def __init__(
        self, forward: Link | None = None, back: Link | None = None, *, gro: bool = True, connected: bool = True
    ) -> None:
        super().__init__(gro=gro)
        self.a = self.add("a", 1, forward or Link())
        self.b = self.add("b", 2, back or Link())
        if connected:
            self.a.stream.connect(route(2), 2, self.now)
            self.b.stream.connect(route(1), 1, self.now)

    @property
    def closed(self) -> bool:
        return self.a.stream.closed and self.b.stream.closed
