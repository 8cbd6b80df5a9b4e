"""The virtual internet as a pure state machine: segments, NAT boxes, and the packets on their way between hosts.

No trio and no clock: whoever drives it advances a `Schedule`. `holepunch.testing.network` does so for applications;
a simulation of many pure nodes does it itself, with the same schedule that its nodes use.
"""

from __future__ import annotations

import ipaddress
import itertools
import random
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from holepunch.address import Address
from holepunch.testing.link import Link, Wire
from holepunch.testing.nat import NatBehaviour, Translation
from holepunch.testing.presets import CARRIERS, PLACES, PUBLIC, ROUTERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from holepunch.core import Schedule
    from holepunch.testing.host import Host

__all__ = ["LAN", "UPLINK", "Internet", "NatBox", "Node", "Packet", "Segment"]

UPLINK = Link(delay=0.01)
"""What connects a host or a NAT box to the internet unless told otherwise: 40 ms there and back between two of them."""
LAN = Link(delay=0.0005)
"""What connects a host to its NAT box, or a home to its carrier's."""

_FIRST_PUBLIC = int(ipaddress.IPv4Address("192.88.99.0"))
"""Public addresses are given out from here on: a retired block, nobody's, yet not one that address filters refuse."""

H = TypeVar("H", bound="Host[Any]")


class Packet:
    """A datagram, or a run of equally sized ones as long as nothing on the way treats them apart."""

    __slots__ = ("data", "fragment", "segment", "source", "to", "ttl")

    def __init__(
        self, data: bytes, segment: int, source: Address, to: Address, ttl: int, fragment: bool = False
    ) -> None:
        self.data = data
        self.segment = segment
        self.source = source
        self.to = to
        self.ttl = ttl
        self.fragment = fragment
        """Where it is too large for a link it crosses in fragments, which are put together again at the other end."""

    def fits(self, wire: Wire) -> bool:
        return self.fragment or wire.fits(min(self.segment, len(self.data)))

    def split(self) -> Iterator[Packet]:
        """Its datagrams, one packet each."""
        for start in range(0, len(self.data), self.segment):
            data = self.data[start : start + self.segment]
            yield Packet(data, len(data), self.source, self.to, self.ttl, self.fragment)


class Node(Generic[H]):
    """Something with addresses on a segment, and a link to it."""

    def __init__(self, segment: Segment[H], addresses: tuple[str, ...], link: Link) -> None:
        self.internet = segment.internet
        self.segment = segment
        self.addresses: tuple[str, ...] = ()
        number = next(self.internet.numbers)
        self.up = Wire(link, f"{self.internet.seed} up {number}")
        """The way out. ``node.up.link = Link(...)`` changes one direction only."""
        self.down = Wire(link, f"{self.internet.seed} down {number}")
        self._join(segment, addresses)

    @property
    def link(self) -> Link:
        """The conditions on the link to the segment, both ways. May be set at any time."""
        return self.up.link

    @link.setter
    def link(self, link: Link) -> None:
        self.up.link = self.down.link = link

    @property
    def boxes(self) -> list[NatBox[H]]:
        """The NAT boxes between here and the internet, the nearest first."""
        return self.segment.boxes_outwards()

    @property
    def public_address(self) -> str:
        """The address that the internet sees."""
        return self.boxes[-1].addresses[0] if self.boxes else self.addresses[0]

    def _join(self, segment: Segment[H], addresses: tuple[str, ...]) -> None:
        for address in addresses:
            ipaddress.IPv4Address(address)
            if segment.members.get(address, self) is not self:
                raise ValueError(f"{address} is taken already on this segment")
        for address in self.addresses:
            del self.segment.members[address]
        self.segment, self.addresses = segment, addresses
        for address in addresses:
            segment.members[address] = self

    def arrive(self, packet: Packet) -> None:
        """A packet came down the link."""
        raise NotImplementedError


class Segment(Generic[H]):
    """Where nodes reach each other directly: the internet itself, or the inside of a NAT box."""

    internet: Internet[H]
    members: dict[str, Node[H]]
    default_link: Link

    def host(self, *addresses: str, link: Link | None = None) -> H:
        """A host on this segment. Without addresses it gets a free one."""
        host_type = self.internet.host_type
        return host_type(self, addresses or (self.free_address(),), link or self.default_link)

    def nat(
        self,
        address: str | None = None,
        kind: str | NatBehaviour = "home",
        *,
        lan: str | None = None,
        link: Link | None = None,
    ) -> NatBox[H]:
        """A NAT box with its outer address on this segment.

        ``kind`` is a behaviour, or the name of one in `ROUTERS`. ``lan`` is the network inside, like "192.168.1.0/24".
        """
        if isinstance(kind, str):
            if kind not in ROUTERS:
                raise ValueError(f"no such router: {kind!r}; there are {', '.join(ROUTERS)}")
            kind = ROUTERS[kind]
        return NatBox(self, address or self.free_address(), kind, lan, link or self.default_link)

    def place(self, kind: str, *, lan: str | None = None, link: Link | None = None) -> H:
        """A host in one of the usual places: "open", "firewall", "cgnat" and the like, or behind one of `ROUTERS`."""
        if kind == "open":
            return self.host(link=link)
        if kind in PUBLIC:
            address = self.free_address()
            return self.nat(address, PUBLIC[kind], lan=f"{address}/32", link=link).host(address)
        if kind in CARRIERS:
            carrier = self.nat(None, CARRIERS[kind], lan=f"100.64.{next(self.internet.carriers)}.0/24", link=link)
            return carrier.place("home", lan=lan)
        if kind not in ROUTERS:
            raise ValueError(f"no such place: {kind!r}; there are {', '.join(PLACES)}")
        return self.nat(None, kind, lan=lan, link=link).host()

    def free_address(self) -> str:
        raise NotImplementedError

    def boxes_outwards(self) -> list[NatBox[H]]:
        raise NotImplementedError

    def forward(self, packet: Packet) -> None:
        """A packet of a member came up its link."""
        raise NotImplementedError


class Internet(Segment[H]):
    """The public segment, and what all of a virtual network shares.

    Equal seeds and equal calls at equal times give equal results.
    """

    def __init__(self, schedule: Schedule, host_type: type[H], *, seed: int = 0, core_hops: int = 6) -> None:
        """``core_hops`` routers are between any two members: packets whose TTL is no larger do not get across."""
        self.internet = self
        self.members = {}
        self.default_link = UPLINK
        self.schedule = schedule
        self.host_type = host_type
        self.seed = seed
        self.core_hops = core_hops
        self.numbers = itertools.count()
        self.homes = itertools.count(1)
        self.carriers = itertools.count(1)
        self.names: dict[str, list[str]] = {}
        """The addresses that host names resolve to."""
        self.drops: Counter[str] = Counter()
        """How many packets were lost, by reason. A run counts once where it is lost as a whole."""
        self.watch: Callable[[float, str, Packet], None] | None = None
        """Called with the time, "delivered" or the reason of a loss, and the packet."""
        self._addresses = itertools.count(_FIRST_PUBLIC)

    def free_address(self) -> str:
        return next(
            text
            for text in (str(ipaddress.IPv4Address(number)) for number in self._addresses)
            if text not in self.members and not text.endswith((".0", ".255"))
        )

    def boxes_outwards(self) -> list[NatBox[H]]:
        return []

    def forward(self, packet: Packet) -> None:
        member = self.members.get(packet.to.host)
        if member is None:
            self.drop("no such address", packet)
        elif packet.ttl <= self.core_hops:
            self.drop("time to live", packet)
        else:
            packet.ttl -= self.core_hops
            self.carry(member.down, packet, member.arrive)

    def carry(self, wire: Wire, packet: Packet, arrive: Callable[[Packet], None], now: float | None = None) -> None:
        """Take a packet across a link."""
        schedule = self.schedule
        if now is None:
            now = schedule.now
        if wire.link.plain and packet.fits(wire):
            schedule.at(now + wire.link.delay, partial(arrive, packet))
            return
        for datagram in packet.split():
            if not datagram.fits(wire):
                self.drop("too large for the link", datagram)
                continue
            arrivals = wire.arrivals(len(datagram.data), now)
            if not arrivals:
                self.drop("lost on the link", datagram)
            for arrival in arrivals:
                (one,) = datagram.split()
                schedule.at(arrival, partial(arrive, one))

    def drop(self, reason: str, packet: Packet) -> None:
        self.drops[reason] += 1
        self.tell(reason, packet)

    def tell(self, what: str, packet: Packet) -> None:
        if self.watch is not None:
            self.watch(self.schedule.now, what, packet)


class NatBox(Node[H], Segment[H]):
    """A router that translates addresses, and the segment behind it."""

    def __init__(self, segment: Segment[H], address: str, behaviour: NatBehaviour, lan: str | None, link: Link) -> None:
        super().__init__(segment, (address,), link)
        internet = self.internet
        self.members = {}
        self.default_link = LAN
        self.lan = ipaddress.IPv4Network(lan or f"192.168.{next(internet.homes) % 256}.0/24")
        seed = f"{internet.seed} nat {next(internet.numbers)}"
        self.translation = Translation(behaviour, random.Random(seed))

    @property
    def behaviour(self) -> NatBehaviour:
        """What kind of NAT this is. Setting another forgets all mappings."""
        return self.translation.behaviour

    @behaviour.setter
    def behaviour(self, behaviour: NatBehaviour) -> None:
        self.translation.behaviour = behaviour
        self.flush()

    def flush(self) -> None:
        """Forget all mappings, as a reboot does. Preserved ports come back the same."""
        self.translation.flush()

    def rebind(self) -> None:
        """Forget all mappings and give out other ports from now on, preserved ones included."""
        self.translation.rebind()

    def change_address(self, address: str | None = None) -> None:
        """Take another outer address, as after a new dial-in, and forget all mappings."""
        self._join(self.segment, (address or self.segment.free_address(),))
        self.flush()

    def free_address(self) -> str:
        hosts = itertools.islice(self.lan, 10, self.lan.num_addresses - 1)
        return next(text for text in map(str, hosts) if text not in self.members)

    def boxes_outwards(self) -> list[NatBox[H]]:
        return [self, *self.segment.boxes_outwards()]

    def forward(self, packet: Packet) -> None:
        member = self.members.get(packet.to.host)
        if member is not None:
            self.internet.carry(member.down, packet, member.arrive)
        elif self._passes(packet):
            self._go_out(packet)

    def arrive(self, packet: Packet) -> None:
        if self._passes(packet):
            now = self.internet.schedule.now
            self._go_in(packet, self.translation.inbound(packet.to.port, packet.source, now))

    def _passes(self, packet: Packet) -> bool:
        packet.ttl -= 1
        if not self.behaviour.udp:
            self.internet.drop("UDP is blocked", packet)
        elif packet.ttl <= 0:
            self.internet.drop("time to live", packet)
        else:
            return True
        return False

    def _go_out(self, packet: Packet) -> None:
        outside, now = self.addresses[0], self.internet.schedule.now
        turns = packet.to.host == outside
        if turns and not self.behaviour.hairpin:
            self.internet.drop("no hairpin", packet)
            return
        port = self.translation.outbound(packet.source, packet.to, now)
        if port is None:
            self.internet.drop("no free port", packet)
            return
        packet.source = Address(outside, port)
        if turns:
            self._go_in(packet, self.translation.owner(packet.to.port, now))
        else:
            self.internet.carry(self.up, packet, self.segment.forward)

    def _go_in(self, packet: Packet, inside: Address | None) -> None:
        if inside is None and self.behaviour.forward_all and self.members:
            inside = Address(next(iter(self.members)), packet.to.port)
        member = self.members.get(inside.host) if inside is not None else None
        if inside is None or member is None:
            self.internet.drop("filtered", packet)
            return
        packet.to = inside
        self.internet.carry(member.down, packet, member.arrive)
