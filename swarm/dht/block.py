"""One node of the HyperDHT as a trio block: its sockets and tasks, its first other nodes, its rest and its end.

A thin shell around the pure `HyperNode`. What is asked of the network is in `swarm.dht.asking`.
"""

from __future__ import annotations

import random
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Self

import trio

from holepunch.address import Address
from holepunch.arguments import check_host, check_port
from holepunch.core import SERVER
from holepunch.endpoint import Endpoint
from holepunch.keys import KeyPair, PublicKey, check_key_pair
from holepunch.punch.environment import Environment, ProbeTable
from holepunch.punch.limits import RandomPunchLimit
from holepunch.relay.choice import RelayChoice, RelayPolicy
from holepunch.relay.pool import RelayPool
from holepunch.udp.system import SystemNetwork
from swarm.awaiting import Waiters
from swarm.dht.dials import Dials
from swarm.dht.entrance import Entrance
from swarm.dht.host import watch_host
from swarm.dht.surroundings import Surroundings, parse_servers
from swarm.hyperdht.hypernode import HyperNode
from swarm.kademlia.bootstrap import PUBLIC_BOOTSTRAP

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from types import TracebackType

    from holepunch.core import Random, Schedule
    from holepunch.errors import ConnectError
    from holepunch.nursery import Background
    from holepunch.signaller import Cancel
    from holepunch.udp import Network
    from swarm.connection import Connection
    from swarm.dht.dialling import Dialling
    from swarm.dht.listener import Listener
    from swarm.dht.relay import Relay
    from swarm.kademlia.events import Event
    from swarm.membership import Membership
    from swarm.nat import Nat
    from swarm.stats import NodeStats

__all__ = ["NodeBlock"]

FAREWELL = 1.0
"""Seconds at the end of the block for taking back what was announced."""
DELIVERY = 2.0
"""Seconds, these included, for what was sent on connections that were ended by then."""
DELIVERY_AFTER_ERROR = 1.0
"""The same when the block is left by an exception or a cancellation."""


class NodeBlock:
    """See `swarm.dht.dht.DHT`, which this is the ground of."""

    def __init__(
        self,
        *,
        bootstrap: Iterable[str] = PUBLIC_BOOTSTRAP,
        host: str = "0.0.0.0",
        port: int = 0,
        key_pair: KeyPair | None = None,
        ephemeral: bool | None = None,
        firewalled: bool = True,
        public_host: str | None = None,
        stun_servers: Iterable[str] = (),
        relay_through: bytes | str | Iterable[bytes | str] | None = None,
        relay_policy: RelayPolicy = "prefer-direct",
        network: Network | None = None,
        rng: Random | None = None,
    ) -> None:
        """``bootstrap``: ``"host:port"`` or ``"ip@host:port"``; none for the first node of a network of one's own.

        ``port`` 0 is any free one; another is bound exactly. ``ephemeral``: True never stores for others, False does as
        soon as the own address is known, None after 20 minutes of being reachable. ``public_host``: the own public IPv4
        address, for a node that is to be a bootstrap node: it stores at once. ``stun_servers``: ``"host:port"``, asked
        for the own address besides DHT nodes; needed only where these are fewer than four. ``relay_through``: public
        keys of blind relays, for connections in both directions (see `holepunch.relay.choice.RelayPolicy` for
        ``relay_policy``). Raises ``TypeError`` and ``ValueError`` for misuse.
        """
        self._port = check_port(port)
        self.default_key_pair = KeyPair.generate() if key_pair is None else check_key_pair(key_pair)
        self._network = network or SystemNetwork()
        self._rng = rng or random.SystemRandom()
        self._ephemeral = ephemeral
        self._firewalled = firewalled
        self._public_host = None if public_host is None else check_host(public_host, "public_host", "'192.0.2.1'")
        self.relaying = RelayChoice.parse(relay_through, relay_policy)
        self._endpoint = Endpoint(self._network, check_host(host), self._rng)
        self._surroundings = Surroundings(self._endpoint, parse_servers(stun_servers))
        self._waiters = Waiters("DHT", self._endpoint.now)
        self._entrance = Entrance(self._endpoint, bootstrap, self._waiters, self._surroundings)
        self._hyper: HyperNode
        self._environment: Environment
        self._stack = AsyncExitStack()
        self._nursery: Background
        self._listeners: dict[bytes, Listener | Relay] = {}
        self._parted = False
        self._dials: Dials
        self._relays: RelayPool
        self._local_address: Address
        self._suspended: trio.Event | None = None
        """Set once the sockets are closed."""
        self.known_nodes: Sequence[Address] = ()
        """Nodes of an earlier run. Set before the block: they are asked besides the bootstrap nodes."""

    # -- the block ---------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        self._waiters.check_new()
        async with AsyncExitStack() as stack:
            self._nursery = await stack.enter_async_context(self._endpoint.running(self._port))
            self._waiters.begin()
            self._bound()
            self._wire_up(self.local_address.port)
            stack.callback(self._close)
            stack.push_async_exit(self._say_goodbye)
            self._hyper.start()
            self._nursery.start_soon(watch_host, self._network, self._endpoint, self._hyper.node)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._stack.__aexit__(kind, error, trace)

    async def _say_goodbye(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.part(error)

    async def part(self, error: BaseException | None, *others: trio.Event) -> None:
        """Take back what is announced, and let ``others`` do so, while what was sent is delivered. Once.

        Within `DELIVERY` seconds, or `DELIVERY_AFTER_ERROR` when the block ends by an ``error``. Cancelled: nothing
        changes, it is shielded.
        """
        if self._parted:
            return
        self._parted = True
        ended = [*others]
        for listener in self._listeners.values():
            ended.append(trio.Event())
            # in the background, where no interrupt reaches: one that comes now must leave the block as itself
            self._nursery.start_soon(_close_listener, listener, ended[-1])
        patience = DELIVERY if error is None else DELIVERY_AFTER_ERROR
        with trio.CancelScope(shield=True, deadline=trio.current_time() + patience):
            with trio.move_on_after(FAREWELL):
                for event in ended:
                    await event.wait()
            await self._endpoint.settled()

    def _wire_up(self, port: int) -> None:
        """Make the cores, now that the server socket is bound, and let each datagram find its core."""
        endpoint = self._endpoint
        self._hyper = HyperNode(
            endpoint.sockets,
            endpoint.schedule,
            self._rng,
            unix_time=time.time,
            local_addresses=self._surroundings.local_addresses,
            proven_local_addresses=self._surroundings.proven_local_addresses,
            nodes=self.known_nodes,
            server_port=port,
            ephemeral=self._ephemeral,
            firewalled=self._firewalled,
            public=None if self._public_host is None else Address(self._public_host, port),
        )
        node = self._hyper.node
        self._entrance.start(node, self._nursery)
        probes = ProbeTable()
        own = self.default_key_pair
        self._relays = RelayPool(
            lambda *asked: self._dials.start_to_relay(own, *asked),
            self._nursery.start_soon,
            endpoint.schedule,
            own.public_key,
        )
        self._environment = Environment(
            self._hyper.signaller,
            endpoint.sockets,
            endpoint.streams,
            endpoint.schedule,
            probes,
            RandomPunchLimit(),
            self._rng,
            relays=self._relays,
            stun=self._surroundings.stun_witnesses(self._nursery),
        )
        self._dials = Dials(endpoint, self._environment)
        endpoint.on_datagram = self._hyper.receive
        endpoint.on_probe = probes.on_probe
        self._surroundings.start(node, self._nursery)

    def _close(self) -> None:
        for listener in list(self._listeners.values()):
            listener.close()
        self._hyper.close()
        self._waiters.close()

    @property
    def local_address(self) -> Address:
        """The server socket's; while suspended, the last one."""
        self._waiters.check()
        return self._local_address

    @property
    def node(self) -> HyperNode:
        """The pure core of this node."""
        return self._hyper

    @property
    def nat(self) -> Nat:
        """What is known now of the own addresses and the NAT in front of them."""
        self._waiters.check()
        return self._surroundings.nat()

    async def check_firewall(self) -> None:
        """Find out now whether strangers reach this node; `nat` tells. (It finds out by itself, but takes its time.)
        Cancelled: it goes on, nobody is told."""

        def begin(done: Callable[[bool], None]) -> None:
            self._hyper.node.reachability.update(True, done)

        await self._waiters.answer(begin)

    async def ask_stun(self, server: str) -> Address | None:
        """Where a STUN server, ``"host:port"``, sees this node now; None when it does not say within 4 s.

        Raises ``ValueError`` for a malformed server. Cancelled: the answer is not waited for.
        """
        from holepunch.nat.stun import StunServer

        parsed = StunServer.parse(server)
        self._waiters.check()
        return await self._surroundings.ask_stun(parsed)

    @property
    def nursery(self) -> Background:
        """Where what belongs to this block runs."""
        return self._nursery

    @property
    def schedule(self) -> Schedule:
        """What the cores over this node share."""
        return self._endpoint.schedule

    def turn(self) -> None:
        """Before anything is asked of a core from outside: it is told the time."""
        self._endpoint.now()

    def stats(self) -> NodeStats:
        """Counts of this node, now."""
        from swarm.stats import NodeStats  # when asked for: importing a swarm takes long enough

        self._waiters.check()
        node = self._hyper.node
        return NodeStats(
            nodes=len(node.table),
            online=node.online,
            degraded=node.degraded,
            persistent=not node.ephemeral,
            firewalled=node.firewalled,
            streams=len(self._endpoint.streams),
            requests_in_flight=node.rpc.in_flight,
            responses_total=node.rpc.responses,
            timeouts_total=node.rpc.timeouts,
            bugs_total=self._endpoint.containment.bugs,
        )

    def heard_nodes(self) -> list[Address]:
        """Nodes of the routing table that this node has heard, those heard last first."""
        return [contact.address for contact in self._hyper.node.table.latest() if contact.to is not None]

    def subscribe(self, listener: Callable[[Event], None]) -> Cancel:
        """Call ``listener`` with every `Event` of the node from now on."""
        return self._hyper.node.subscribe(listener)

    # -- rest --------------------------------------------------------------------------------------------------------

    async def suspend(self) -> None:
        """Take back what is announced, destroy every connection and close the sockets, until `resume`.

        Dials fail, now and until then, with `Reason.SUSPENDED`. It takes a second at most. Cancelled: it is done at
        once, and what is announced still expires. A node that is suspended stays so.
        """
        self._waiters.turn()
        suspended = self._begin_suspending() if self._suspended is None else self._suspended
        try:
            await suspended.wait()
        except trio.Cancelled:
            self._hyper.end_suspending()
            raise

    def _begin_suspending(self) -> trio.Event:
        self._suspended = suspended = trio.Event()

        def silent() -> None:
            self._endpoint.close()
            suspended.set()

        # who waits for a connection is told first: whatever ends below would look like another reason
        self._dials.suspend()
        self._hyper.suspend(silent)
        self._relays.suspend()
        return suspended

    async def resume(self) -> None:
        """Bind again, to the same port if it is free or was asked for, and announce anew. Ends a suspension under way.

        Raises ``OSError``, and stays suspended, when a port that was asked for is taken meanwhile. Cancelled: nothing
        was done.
        """
        self._waiters.check()
        await trio.lowlevel.checkpoint()
        if self._suspended is None:
            return
        self._endpoint.now()
        self._hyper.end_suspending()
        self._bind_again(self.local_address.port)
        self._suspended = None
        self._dials.suspended = False
        self._hyper.resume()

    def _bind_again(self, port: int) -> None:
        try:
            self._endpoint.bind(port)
        except OSError:
            self._endpoint.close()  # one of the two sockets may be open
            if self._port:
                raise
            self._endpoint.bind(0)
        self._bound()
        self._hyper.node.server_port = self.local_address.port

    def _bound(self) -> None:
        self._local_address = self._endpoint.sockets.local_address(SERVER)

    # -- the first other nodes ---------------------------------------------------------------------------------------

    @property
    def online(self) -> bool:
        """Whether nodes answer, as of the last few seconds."""
        return self._hyper.node.online

    @property
    def reachable(self) -> bool:
        """Whether a bootstrap node answered, ever, or none is needed."""
        return self._entrance.reached

    async def bootstrapped(self) -> None:
        """Return once this node is part of the network. Raises `BootstrapError` when no bootstrap node answers; the
        node keeps trying. Cancelled: it keeps trying, too."""
        await self._entrance.wait()

    def check_company(self) -> None:
        """Raise `BootstrapError` when no other node was ever heard, whether or not one was needed."""
        self._entrance.check_company()

    # -- dialling ----------------------------------------------------------------------------------------------------

    def dial(
        self,
        key_pair: KeyPair,
        public_key: PublicKey,
        relays: Sequence[Address],
        on_open: Callable[[Connection], None],
        on_failed: Callable[[ConnectError], None],
        relaying: RelayChoice | None = None,
        membership: Membership | None = None,
    ) -> Dialling:
        """`connect` for callers that do not wait."""
        relaying = self.relaying if relaying is None else relaying
        return self._dials.start(key_pair, public_key, relays, on_open, on_failed, relaying, membership)


async def _close_listener(listener: Listener | Relay, ended: trio.Event) -> None:
    await listener.aclose()
    ended.set()
