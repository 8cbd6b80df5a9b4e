"""A network in memory, in virtual time: DHT nodes and puppets, delay, loss, firewalls. Deterministic."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from holepunch.address import Address
from holepunch.core import CLIENT, SERVER, Role, Schedule
from swarm.kademlia.ids import distance, node_id
from swarm.kademlia.node import Node
from swarm.kademlia.packets import PING_NAT, REQUEST, ResponsePacket, decode_request, encode_response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from swarm.kademlia.events import Event
    from swarm.kademlia.packets import RequestPacket
    from swarm.kademlia.query import Query

MAX_STEPS = 1_000_000
"""Of one run: chatter without end fails the test."""
MAPPING_LIFE = 120
"""Seconds for which a NAT lets those in to whom a host has sent something."""


class Host:
    """A node and its two sockets."""

    def __init__(self, net: SimNet, server: Address, client: Address, filtered: bool) -> None:
        self.addresses: dict[Role, Address] = {SERVER: server, CLIENT: client}
        self.node: Node
        self.events: list[Event] = []
        self.plugged = False
        self._net = net
        self.filtered = filtered
        self.contacted: dict[tuple[Role, Address], float] = {}

    @property
    def address(self) -> Address:
        return self.addresses[SERVER]

    def receive(self, role: Role, data: bytes, source: Address) -> None:
        contacted = self.contacted.get((role, source), -math.inf)
        if not self.filtered or self._net.schedule.now < contacted + MAPPING_LIFE:
            self.node.receive(role, memoryview(data), source)

    # as `Sockets`

    def send(self, role: Role, data: bytes, to: Address, ttl: int = 0) -> None:
        self.contacted[role, to] = self._net.schedule.now
        if self.plugged:
            self._net.carry(self.addresses[role], to, data)

    def open(self) -> Role:
        raise OSError("no more sockets here")

    def close(self, role: Role) -> None:
        raise AssertionError("no such socket")


@dataclass
class Puppet:
    """Something at an address that answers requests as it is told; silent without ``answer``."""

    net: SimNet
    address: Address
    answer: Callable[[RequestPacket], dict[str, Any] | None] | None
    persistent: bool = True
    heard: list[tuple[float, Address, RequestPacket]] = field(default_factory=list)

    def receive(self, data: bytes, source: Address) -> None:
        if data[0] != REQUEST:
            return
        request = decode_request(data)
        self.heard.append((self.net.schedule.now, source, request))
        fields = self.answer(request) if self.answer is not None else None
        if fields is not None:
            if request.internal and request.command == PING_NAT and request.value is not None:
                source = Address(source.host, int.from_bytes(request.value, "little"))
            id = node_id(self.address) if self.persistent else None
            packet = ResponsePacket(request.tid, source, id, None, [], 0, None)._replace(**fields)
            self.net.carry(self.address, source, encode_response(packet))


class SimNet:
    def __init__(self, seed: int = 1, *, delay: float = 0.01, loss: float = 0.0) -> None:
        self.schedule = Schedule()
        self.rng = random.Random(seed)
        self.delay = delay
        self.loss = loss
        self.sent = 0
        self._receivers: dict[Address, Callable[[bytes, Address], None]] = {}
        self._made = 0

    def host(
        self, *, ip: str | None = None, filtered: bool = False, bootstrapper: bool = False, **options: Any
    ) -> Host:
        """A node that is not started yet. ``filtered``: each socket hears only whom it has sent to."""
        self._made += 1
        if ip is None:
            ip = f"8.{self._made >> 16}.{self._made >> 8 & 255}.{self._made & 255}"
        port = 10_000 + 2 * self._made
        host = Host(self, Address(ip, port), Address(ip, port + 1), filtered)
        options.setdefault("server_port", port)
        if bootstrapper:
            options["public"] = host.address
        host.node = Node(host, self.schedule, random.Random(self.rng.randrange(0, 1 << 30)), **options)
        host.node.subscribe(host.events.append)
        self.plug(host)
        return host

    def first(self) -> Host:
        """A persistent node with nobody to ask: a bootstrapper."""
        host = self.host(bootstrapper=True)
        self.start(host)
        return host

    def persistent(self, count: int, bootstrap: Host) -> list[Host]:
        """So many nodes, each one bootstrapped before the next one starts."""
        made = []
        for _ in range(count):
            host = self.host(bootstrap=[bootstrap.address], ephemeral=False, firewalled=False)
            self.start(host)
            made.append(host)
        return made

    def start(self, host: Host) -> None:
        host.node.start()
        self.run_until(lambda: host.node.bootstrapped)

    def find_node(self, host: Host, target: bytes) -> Query:
        """A finished query."""
        query = host.node.find_node(target)
        self.run_until(lambda: query.ended)
        return query

    def puppet(
        self,
        address: Address,
        answer: Callable[[RequestPacket], dict[str, Any] | None] | None,
        *,
        persistent: bool = True,
    ) -> Puppet:
        puppet = Puppet(self, address, answer, persistent)
        self.listen(address, puppet.receive)
        return puppet

    def listen(self, address: Address, receive: Callable[[bytes, Address], None]) -> None:
        self._receivers[address] = receive

    def plug(self, host: Host) -> None:
        host.plugged = True
        for role, address in host.addresses.items():
            self.listen(address, partial(host.receive, role))

    def unplug(self, host: Host) -> None:
        """Gone without a word: it hears nothing, and nothing it sends arrives."""
        host.plugged = False
        for address in host.addresses.values():
            del self._receivers[address]

    def move(self, host: Host, ip: str, *, filtered: bool = False) -> None:
        """Into another network, with the same ports."""
        self.unplug(host)
        host.addresses = {role: Address(ip, address.port) for role, address in host.addresses.items()}
        host.filtered = filtered
        host.contacted.clear()
        self.plug(host)

    def carry(self, source: Address, to: Address, data: bytes) -> None:
        self.sent += 1
        if self.loss and self.rng.random() < self.loss:
            return
        self.schedule.after(self.delay * (0.5 + self.rng.random()), lambda: self._arrive(source, to, data))

    def _arrive(self, source: Address, to: Address, data: bytes) -> None:
        receive = self._receivers.get(to)
        if receive is not None:
            receive(data, source)

    # time

    def run(self, seconds: float) -> None:
        end = self.schedule.now + seconds
        for _ in range(MAX_STEPS):
            deadline = self.schedule.deadline()
            if deadline > end:
                self.schedule.advance(end)
                return
            self.schedule.advance(deadline)
        raise AssertionError("the network never comes to rest")

    def run_until(self, done: Callable[[], object], within: float = 600) -> None:
        end = self.schedule.now + within
        while not done():
            deadline = self.schedule.deadline()
            assert deadline <= end, "what was waited for did not happen"
            self.schedule.advance(deadline)

    def sleep(self, seconds: float) -> None:
        """The machine sleeps: the clock jumps, and all that was due comes late."""
        self.schedule.now += seconds
        self.schedule.advance(self.schedule.now)


def closest(hosts: Iterable[Host], target: bytes, count: int = 20) -> list[Address]:
    """Addresses of the persistent nodes that truly are closest, nearest first."""
    return nearest([host.address for host in hosts if host.node.id is not None], target)[:count]


def nearest(addresses: Sequence[Address], target: bytes) -> list[Address]:
    return sorted(addresses, key=lambda address: distance(target, node_id(address)))
