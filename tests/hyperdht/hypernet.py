"""HyperDHT nodes on the network in memory of `tests.kademlia.simnet`, and what most tests here ask of them."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from holepunch.address import Address
from holepunch.keys import KeyPair
from swarm.hyperdht.hypernode import HyperNode
from swarm.hyperdht.operations import PeersFound, Stored
from swarm.kademlia.packets import REQUEST, decode_request
from swarm.kademlia.query import Query
from tests.kademlia.simnet import Host, SimNet

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from holepunch.core import Role
    from holepunch.punch.messages import HandshakeMessage, HolepunchMessage, RelayInfo
    from holepunch.signaller import Receptionist
    from swarm.hyperdht.announcer import Announcer
    from swarm.kademlia.packets import RequestPacket
    from swarm.kademlia.rpc import Reply

T = TypeVar("T")

UNIX_TIME = 1_800_000_000.0
"""Seconds since 1970 when the schedule is at 0."""


def key_pair(number: int) -> KeyPair:
    return KeyPair.from_seed(number.to_bytes(32, "big"))


class Outcome(Generic[T]):
    """What an operation calls at its end."""

    def __init__(self) -> None:
        self.values: list[T] = []

    def __call__(self, value: T) -> None:
        self.values.append(value)


@dataclass
class Peer:
    """One node and its host."""

    host: Host
    hyper: HyperNode

    @property
    def address(self) -> Address:
        return self.host.address


@dataclass
class Desk:
    """A receptionist that writes down what it is handed, and answers with ``answer`` from ``role`` if it has one."""

    answer: bytes | None = None
    role: Role | None = None
    handshakes: list[tuple[HandshakeMessage, Address]] = field(default_factory=list)
    holepunches: list[tuple[HolepunchMessage, Address]] = field(default_factory=list)
    relays: list[tuple[Sequence[RelayInfo], Sequence[Address], Callable[[Address], bool]]] = field(default_factory=list)
    suspended: bool = False

    def on_handshake(
        self,
        message: HandshakeMessage,
        source: Address,
        to: Address,
        role: Role,
        respond: Callable[[bytes, Role], None],
    ) -> None:
        self.handshakes.append((message, source))
        if self.answer is not None:
            respond(self.answer, role if self.role is None else self.role)

    def on_holepunch(
        self,
        message: HolepunchMessage,
        source: Address,
        to: Address,
        role: Role,
        respond: Callable[[bytes, Role], None],
    ) -> None:
        self.holepunches.append((message, source))
        if self.answer is not None:
            respond(self.answer, role if self.role is None else self.role)

    def on_relays(
        self, relays: Sequence[RelayInfo], addresses: Sequence[Address], is_relay: Callable[[Address], bool]
    ) -> None:
        self.relays.append((relays, addresses, is_relay))

    def suspend(self) -> None:
        self.suspended = True

    def resume(self) -> None:
        self.suspended = False


class HyperNet:
    """A bootstrapper and ``size`` persistent nodes, all bootstrapped."""

    def __init__(self, size: int = 5) -> None:
        self.sim = SimNet()
        self.schedule = self.sim.schedule
        self.first_peer = self.boot(self.peer(bootstrapper=True))
        self.nodes = [
            self.boot(self.peer(bootstrap=[self.first_peer.address], ephemeral=False, firewalled=False))
            for _ in range(size)
        ]

    def peer(self, *, bootstrapper: bool = False, filtered: bool = False, **options: Any) -> Peer:
        """A node that is not started yet."""
        host = self.sim.host(filtered=filtered)
        port = host.address.port
        hyper = HyperNode(
            host,
            self.schedule,
            random.Random(host.address.port),
            unix_time=lambda: UNIX_TIME + self.schedule.now,
            local_addresses=lambda: [Address("192.168.1.2", port)],
            server_port=port,
            public=host.address if bootstrapper else None,
            **options,
        )
        host.node = hyper.node
        return Peer(host, hyper)

    def boot(self, peer: Peer) -> Peer:
        peer.hyper.start()
        self.sim.run_until(lambda: peer.hyper.node.bootstrapped)
        return peer

    def client(self, **options: Any) -> Peer:
        """An ephemeral, firewalled node, bootstrapped."""
        return self.boot(self.peer(bootstrap=[self.first_peer.address], quick_firewall=False, **options))

    def named(self, address: Address) -> Peer:
        return next(peer for peer in [self.first_peer, *self.nodes] if peer.address == address)

    def overhear(self, address: Address) -> list[bytes]:
        """What is sent to an address where nobody is."""
        heard: list[bytes] = []
        self.sim.listen(address, lambda data, source: heard.append(data))
        return heard

    def tap(self, peer: Peer) -> list[tuple[float, RequestPacket]]:
        """Requests that reach ``peer`` from now on, with their times."""
        heard: list[tuple[float, RequestPacket]] = []

        def receive(role: Role, data: bytes, source: Address) -> None:
            if data[0] == REQUEST:
                heard.append((self.schedule.now, decode_request(data)))
            peer.host.receive(role, data, source)

        for role, address in peer.host.addresses.items():
            self.sim.listen(address, partial(receive, role))
        return heard

    def move(self, peer: Peer, role: Role, address: Address) -> None:
        """The NAT gives a socket another address."""
        peer.host.addresses[role] = address
        self.sim.plug(peer.host)

    def run(self, seconds: float) -> None:
        self.sim.run(seconds)

    # operations, awaited in virtual time

    def wait(self, outcome: Outcome[T], within: float = 60) -> T:
        assert not outcome.values, "called before the operation had returned"
        self.sim.run_until(lambda: bool(outcome.values), within)
        (value,) = outcome.values
        return value

    def lookup(self, peer: Peer, target: bytes) -> list[PeersFound]:
        found: list[PeersFound] = []
        ended = Outcome[Query]()
        peer.hyper.operations.lookup(target, found.append, ended)
        self.wait(ended)
        return found

    def announce(self, peer: Peer, target: bytes, key_pair: KeyPair, *relays: Address, **options: Any) -> Stored:
        ended = Outcome[Stored]()
        peer.hyper.operations.announce(target, key_pair, relays, ended, **options)
        return self.wait(ended)

    def unannounce(self, peer: Peer, target: bytes, key_pair: KeyPair) -> Stored:
        ended = Outcome[Stored]()
        peer.hyper.operations.unannounce(target, key_pair, ended)
        return self.wait(ended)

    def ask(
        self,
        peer: Peer,
        to: Address,
        command: int,
        target: bytes | None = None,
        value: bytes | None = None,
        token: bytes | None = None,
    ) -> Reply | None:
        """One request. None: silence."""
        ended = Outcome["Reply | None"]()
        peer.hyper.node.request(to, command, ended, target=target, value=value, token=token, retries=0)
        return self.wait(ended)

    def listen(self, peer: Peer, pair: KeyPair, desk: Receptionist) -> Announcer:
        announced: list[bool] = []
        announcer = peer.hyper.listen(pair, desk, lambda: announced.append(True))
        self.sim.run_until(lambda: bool(announced))
        return announcer
