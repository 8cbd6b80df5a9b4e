"""A virtual network for applications: `holepunch.testing.core` driven by trio's clock, with sockets to wait on.

Nothing here decides where a packet goes; that is the core's.
"""

from __future__ import annotations

import ipaddress
import socket
from collections import deque
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Self

import trio

from holepunch.core import Schedule
from holepunch.nursery import hidden_nursery
from holepunch.testing.core import Internet
from holepunch.testing.host import Host
from holepunch.udp import Received

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Sequence
    from types import TracebackType

    from holepunch.address import Address
    from holepunch.compact import Buffer
    from holepunch.testing.core import NatBox
    from holepunch.testing.link import Link
    from holepunch.testing.nat import NatBehaviour

__all__ = ["VirtualHost", "VirtualNetwork", "VirtualSocket"]

_BATCH = 16
"""Messages of one drain, as of a real socket."""
_RECEIVE_BUFFER = 2 << 20
"""Bytes that a socket queues for its owner; what comes on top is lost."""


class VirtualSocket:
    """A bound socket of a virtual host (`holepunch.udp.UdpSocket`). Sending never blocks."""

    __slots__ = ("_closed", "_host", "_inbox", "_queued", "_waiting", "local_address", "receive_buffer")

    def __init__(self, host: VirtualHost, address: str, port: int, receive_buffer: int) -> None:
        self._host = host
        self._inbox: deque[Received] = deque()
        self._queued = 0
        self._waiting = trio.lowlevel.ParkingLot()
        self._closed = False
        self.receive_buffer = receive_buffer
        self.local_address = host.open(self._accept, address, port)

    def _accept(self, data: bytes, segment: int, source: Address) -> None:
        if self._queued + len(data) > self.receive_buffer:
            self._host.internet.drops["receive buffer full"] += 1
            return
        self._queued += len(data)
        self._inbox.append(Received(memoryview(data), min(segment, len(data)), source))
        self._waiting.unpark_all()

    def receive(self) -> list[Received]:
        self._check()
        batch = [self._inbox.popleft() for _ in range(min(_BATCH, len(self._inbox)))]
        self._queued -= sum(len(received.view) for received in batch)
        return batch

    async def wait_readable(self) -> None:
        self._check()
        if self._inbox:
            await trio.lowlevel.checkpoint()
        while not self._inbox:
            await self._waiting.park()
            self._check()

    async def wait_writable(self) -> None:
        self._check()
        await trio.lowlevel.checkpoint()

    def send(self, buffers: Sequence[Buffer], to: Address, ttl: int = 0) -> bool:
        self._check()
        data = b"".join(buffers)
        self._host.send(self.local_address, data, len(data), to, ttl, trio.current_time())
        return True

    def send_segments(self, buffers: Sequence[Buffer], segment: int, to: Address, fragment: bool = False) -> bool:
        self._check()
        data = b"".join(buffers)
        self._host.send(self.local_address, data, segment, to, 0, trio.current_time(), fragment=fragment)
        return True

    def close(self) -> None:
        self._closed = True
        self._inbox.clear()
        self._host.shut(self.local_address)
        self._waiting.unpark_all()

    def _check(self) -> None:
        if self._closed:
            raise trio.ClosedResourceError


class VirtualHost(Host["VirtualHost"]):
    """A machine on a virtual network: a `holepunch.udp.Network` for whatever runs on it."""

    receive_buffer = _RECEIVE_BUFFER
    """What sockets bound from now on queue, in bytes."""

    def bind(self, host: str, port: int) -> VirtualSocket:
        return VirtualSocket(self, host, port, self.receive_buffer)

    def local_hosts(self) -> list[str]:
        return list(self.addresses)

    def sleep(self, now: float | None = None) -> None:
        super().sleep(trio.current_time() if now is None else now)

    def wake(self, now: float | None = None) -> None:
        super().wake(trio.current_time() if now is None else now)

    async def resolve(self, host: str) -> list[str]:
        await trio.lowlevel.checkpoint()
        try:
            return [str(ipaddress.IPv4Address(host))]
        except ValueError:
            if host in self.internet.names:
                return list(self.internet.names[host])
        raise socket.gaierror(socket.EAI_NONAME, f"no such name on the virtual network: {host}")


class VirtualNetwork:
    """An internet of its own, on trio's clock; with `trio.testing.MockClock` (autojump) hours take no time.

    Packets move only inside ``async with``. Equal seeds give equal networks: link by link and box by box the same loss,
    ports and delays, whatever happens elsewhere. (The order in which trio runs tasks is not part of that.)

        async with VirtualNetwork(seed=1) as network:
            server = network.host("1.2.3.4")
            alice, bob = network.place("home"), network.place("symmetric")
            async with DHT(network=server, ...), Swarm(network=alice, ...), Swarm(network=bob, ...):
                ...
                alice.boxes[0].rebind()
                bob.link = Link(delay=0.05, loss=0.1)
    """

    def __init__(self, seed: int = 0, *, core_hops: int = 6) -> None:
        """``core_hops``: datagrams with a TTL no larger open NATs on their sender's side, and go no further."""
        self.schedule = Schedule()
        self.core: Internet[VirtualHost] = Internet(self.schedule, VirtualHost, seed=seed, core_hops=core_hops)
        self._exit = AsyncExitStack()

    @property
    def names(self) -> dict[str, list[str]]:
        """The addresses that host names resolve to. Add to it at will."""
        return self.core.names

    @property
    def drops(self) -> Counter[str]:
        """How many packets were lost, by reason."""
        return self.core.drops

    def host(self, *addresses: str, link: Link | None = None) -> VirtualHost:
        """A host with public addresses; without any it gets a free one."""
        return self.core.host(*addresses, link=link)

    def nat(
        self,
        address: str | None = None,
        kind: str | NatBehaviour = "home",
        *,
        lan: str | None = None,
        link: Link | None = None,
    ) -> NatBox[VirtualHost]:
        """A NAT box with a public address. ``box.host()``, ``box.nat()`` and ``box.place()`` put things behind it."""
        return self.core.nat(address, kind, lan=lan, link=link)

    def place(self, kind: str, *, lan: str | None = None, link: Link | None = None) -> VirtualHost:
        """A host in one of the usual places (`PLACES`): "open", "firewall", "home", "symmetric", "cgnat" and so on."""
        return self.core.place(kind, lan=lan, link=link)

    async def __aenter__(self) -> Self:
        nursery = await self._exit.enter_async_context(hidden_nursery())
        nursery.start_soon(self._deliver)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        return await self._exit.__aexit__(kind, error, traceback)

    async def _deliver(self) -> None:
        schedule = self.schedule
        while True:
            with trio.CancelScope(deadline=schedule.deadline()) as nap:
                schedule.on_earlier = partial(setattr, nap, "deadline")
                await trio.sleep_forever()
            schedule.advance(trio.current_time())
