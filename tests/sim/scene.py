"""Two swarms behind NATs on a virtual internet, with all that a real one has but time."""

from __future__ import annotations

import random
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import trio

from holepunch.testing import Link, VirtualNetwork
from swarm import DHT, ConnectError, DialFailed, KeyPair, Swarm

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from holepunch.testing import VirtualHost
    from swarm import Connection

__all__ = ["DELAY", "PING", "Scene", "dht_hosts", "echo", "scene", "start_dht"]

DELAY = 0.015
"""Seconds, one way, on each peer's link: 60 ms round trip between two peers."""
NODES = 9
"""Each on an address of its own: a NAT whose ports depend on the outer address looks random only then."""
PING = 0.2
"""Seconds between two messages of the client."""


@dataclass
class Scene:
    """A server that echoes, and what its client sees."""

    server: Swarm
    client: Swarm
    server_host: VirtualHost
    client_host: VirtualHost
    joined: float
    """When the client was made, on trio's clock."""
    opened: list[Connection] = field(default_factory=list)
    errors: list[ConnectError] = field(default_factory=list)
    echoed: list[float] = field(default_factory=list)
    """When each of the client's messages left whose echo has come back."""
    changed: trio.Event = field(default_factory=trio.Event)

    def _change(self) -> None:
        self.changed.set()
        self.changed = trio.Event()

    async def decided(self) -> float:
        """Seconds from the making of the client to its first echo, or to its first failed dial."""
        while not self.echoed and not self.errors:
            await self.changed.wait()
        return trio.current_time() - self.joined

    async def echo_of_now(self) -> float:
        """Seconds until something comes back that leaves after now."""
        started = trio.current_time()
        while not self.echoed or self.echoed[-1] <= started:
            await self.changed.wait()
        return trio.current_time() - started

    async def _talk(self, connection: Connection) -> None:
        self.opened.append(connection)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._send, connection)
            while (frame := await connection.receive_frame()) is not None:
                self.echoed.append(float(frame))
                self._change()
            nursery.cancel_scope.cancel()

    async def _send(self, connection: Connection) -> None:
        while True:
            await connection.send_frame(repr(trio.current_time()).encode())
            await trio.sleep(PING)

    async def _collect_errors(self) -> None:
        async for event in self.client.events():
            if isinstance(event, DialFailed):
                self.errors.append(event.error)
                self._change()


async def echo(connection: Connection) -> None:
    while (frame := await connection.receive_frame()) is not None:
        await connection.send_frame(frame)


async def _run(node: DHT, task_status: trio.TaskStatus[None]) -> None:
    async with node:
        await node.bootstrapped()
        task_status.started()
        await trio.sleep_forever()


def dht_hosts(network: VirtualNetwork) -> list[VirtualHost]:
    """Machines for the nodes of a DHT."""
    return [network.host(link=Link(delay=0.0005)) for _ in range(NODES)]


async def start_dht(
    network: VirtualNetwork, nursery: trio.Nursery, hosts: Sequence[VirtualHost] | None = None
) -> list[str]:
    """Nodes that run in ``nursery``, and what to give to peers as ``bootstrap``."""
    hosts = hosts or dht_hosts(network)
    bootstrap = [f"{hosts[0].addresses[0]}:49737"]
    for n, host in enumerate(hosts):
        address, rng = host.addresses[0], random.Random(n)
        if n == 0:
            node = DHT(bootstrap=(), host=address, network=host, public_host=address, port=49737, rng=rng)
        else:
            node = DHT(bootstrap=bootstrap, host=address, network=host, ephemeral=False, firewalled=False, rng=rng)
        await nursery.start(_run, node)
    return bootstrap


async def _relay(network: VirtualNetwork, bootstrap: list[str], link: Link, task_status: trio.TaskStatus[Any]) -> None:
    """A blind relay on a public host."""
    host = network.host(link=link)
    options: dict[str, Any] = {"bootstrap": bootstrap, "network": host, "ephemeral": False, "firewalled": False}
    options["rng"] = random.Random(NODES)
    # always the same key: where that is announced takes a dial a round trip more or less to find out
    async with DHT(key_pair=KeyPair.from_seed(bytes(32)), host=host.addresses[0], **options) as node:
        task_status.started((await node.relay()).public_key)
        await trio.sleep_forever()


@asynccontextmanager
async def scene(
    server: str,
    client: str,
    seed: int,
    *,
    delay: float = DELAY,
    client_delay: float | None = None,
    loss: float = 0.0,
    relay: str = "",
    one_carrier: bool = False,
) -> AsyncIterator[Scene]:
    """A server in one of `holepunch.testing.PLACES` that is announced, and a client elsewhere that begins to look.

    ``delay``: of each link, in seconds; ``client_delay``: of the client's, if it is another one. ``relay``: the policy
    by which both use one; none by default. ``one_carrier``: the client is behind the server's outermost router.
    """
    rng = random.Random(seed)
    link = Link(delay=delay, loss=loss)
    async with VirtualNetwork(seed=seed) as network, trio.open_nursery() as nursery:
        bootstrap = await start_dht(network, nursery)
        options: dict[str, Any] = {"bootstrap": bootstrap}
        if relay:
            key = await nursery.start(_relay, network, bootstrap, link)
            options |= {"relay_through": key, "relay_policy": relay}
        there = network.place(server, link=link)
        outside = there.boxes[-1] if one_carrier else network
        here = outside.place(client, link=link if client_delay is None else Link(delay=client_delay, loss=loss))
        keys = [KeyPair.from_seed(rng.randbytes(32)) for _ in range(2)]
        topic = rng.randbytes(32)
        async with Swarm(keys[0], network=there, rng=random.Random(seed + 1), **options) as listening:
            nursery.start_soon(listening.serve, echo)
            await listening.join(topic, client=False).flushed()
            joined = trio.current_time()
            async with Swarm(keys[1], network=here, rng=random.Random(seed + 2), **options) as dialling:
                made = Scene(listening, dialling, there, here, joined)
                nursery.start_soon(made._collect_errors)
                nursery.start_soon(dialling.serve, made._talk)
                dialling.join(topic, server=False)
                yield made
                nursery.cancel_scope.cancel()
