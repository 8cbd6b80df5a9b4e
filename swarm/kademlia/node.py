"""A DHT node without its sockets: routing table, requests, queries, upkeep and the own reachability, put together.

Sends through `Sockets`, is told the time by `Schedule`. Reference: dht-rpc index.js.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from holepunch.address import Address
from holepunch.admission import REQUESTS, REQUESTS_PER_HOST, REQUESTS_PER_NEIGHBOUR, Budget
from swarm.kademlia.bootstrap import Bootstrapping
from swarm.kademlia.events import Event, Subscribers
from swarm.kademlia.health import Health
from swarm.kademlia.ids import ID_SIZE, node_id
from swarm.kademlia.inflight import RETRIES as REQUEST_RETRIES
from swarm.kademlia.internal import MAX_DELAY, InternalCommands
from swarm.kademlia.maintenance import Maintenance
from swarm.kademlia.packets import DELAYED_PING, FIND_NODE, PING, UNKNOWN_COMMAND
from swarm.kademlia.query import CONCURRENCY, RETRIES, MakeCommit, Query, QueryOptions
from swarm.kademlia.reachability import Reachability
from swarm.kademlia.rpc import OnReply, Reply, Request, Rpc
from swarm.kademlia.table import Contact, K, Table

if TYPE_CHECKING:
    from holepunch.compact import Buffer
    from holepunch.core import Random, Role, Schedule, Sockets
    from holepunch.nat.sampler import Sampler
    from holepunch.signaller import Cancel

__all__ = ["CommandHandler", "Event", "Node"]

BACKGROUND_CONCURRENCY = 2
"""Of refreshes, while other requests are under way."""
BUSY = 3
"""Requests under way from which on a refresh holds back."""

CommandHandler = Callable[[Request], None]
"""Answers a request with `Request.reply` and `Request.relay`, or stays silent."""


class Node:
    """See the module. Everything is called by one driver, between its turns of the schedule."""

    def __init__(
        self,
        sockets: Sockets,
        schedule: Schedule,
        rng: Random,
        *,
        bootstrap: Sequence[Address] = (),
        nodes: Sequence[Address] = (),
        server_port: int = 0,
        ephemeral: bool | None = None,
        firewalled: bool = True,
        quick_firewall: bool = True,
        public: Address | None = None,
        node_filter: Callable[[Address], bool] | None = None,
        budget: Budget | None = None,
    ) -> None:
        """A node that does nothing until `start`.

        ``rng`` also makes the token secrets: give a cryptographic one. ``ephemeral`` None: adaptive, persistent after
        20 minutes of being reachable; True: never persistent; False: persistent as soon as bootstrapping shows the own
        address. ``public``: a bootstrapper, told its own public address, persistent from the start. ``node_filter``:
        false keeps an address out of the table and out of queries. ``nodes`` go into the table unverified.
        """
        if public is not None:
            ephemeral = firewalled = False
        self.schedule = schedule
        self.rng = rng
        self.server_port = server_port
        """The local port of the server socket: set it once that is bound, before `start`."""
        self.bootstrap: Sequence[Address] = tuple(bootstrap)
        self.resolve: Callable[[Callable[[Sequence[Address]], None]], None] | None = None
        """Asked for the bootstrap nodes by each query that needs them, which waits for the answer. Must give it exactly
        once, now or later. `swarm.kademlia.bootstrap.Resolver` is one. None: ``bootstrap`` is all there is."""
        self.commands: dict[int, CommandHandler] = {}
        """Handlers of external commands. One without handler is answered with UNKNOWN_COMMAND and closer nodes."""
        self.bootstrapped = False
        self.table = Table(rng.randbytes(ID_SIZE))
        self.rpc = Rpc(
            sockets,
            schedule,
            rng,
            self.table,
            budget or Budget(REQUESTS_PER_HOST, REQUESTS, neighbours=REQUESTS_PER_NEIGHBOUR),
            firewalled=firewalled,
            on_request=self._on_request,
            on_reply=self._on_reply,
            on_silence=self._on_silence,
        )
        self.maintenance = Maintenance(self)
        self.reachability = Reachability(self)
        self.bootstrapping = Bootstrapping(
            self, permanent=ephemeral is False, quick_firewall=quick_firewall, on_end=self._on_bootstrapped
        )
        self._health = Health()
        self._internal = InternalCommands(schedule, self.maintenance.doubt)
        self._adaptive = ephemeral is None
        self._permanent = ephemeral is False
        self._node_filter = node_filter
        self._subscribers = Subscribers()
        if public is not None:
            self.reachability.sample(public)
        for address in reversed(nodes):
            self.maintenance.add(Contact(node_id(address), address, None, 0))

    def start(self) -> None:
        """Bootstrap: `Event.BOOTSTRAPPED` tells the end. The sockets are bound by now."""
        self.maintenance.start()
        self.bootstrapping.start()

    def receive(self, role: Role, data: Buffer, source: Address) -> bool:
        """A datagram that is neither UDX nor of one byte. Whatever it holds, this does not raise. False: not for us."""
        return self.rpc.receive(role, data, source)

    def subscribe(self, listener: Callable[[Event], None]) -> Cancel:
        """Call ``listener`` with every `Event` from now on."""
        return self._subscribers.add(listener)

    # own state

    @property
    def id(self) -> bytes | None:
        """The node id, None while ephemeral."""
        return None if self.rpc.ephemeral else self.table.id

    @property
    def ephemeral(self) -> bool:
        return self.rpc.ephemeral

    @property
    def firewalled(self) -> bool:
        """False when strangers were shown to reach the server socket."""
        return self.rpc.firewalled

    @property
    def suspended(self) -> bool:
        """Also true once closed."""
        return self.rpc.suspended

    @property
    def main_role(self) -> Role:
        """The socket that own requests leave from: the client socket while firewalled, else the server socket."""
        return self.rpc.main_role

    @property
    def sampler(self) -> Sampler:
        """The own address as nodes of the DHT see it."""
        return self.reachability.sampler

    @property
    def online(self) -> bool:
        return self._health.online

    @property
    def degraded(self) -> bool:
        """Most requests get no answer."""
        return self._health.degraded

    @property
    def wants_persistence(self) -> bool:
        """Ephemeral, but not for ever. One that could not become persistent at the start keeps trying, too."""
        return self.ephemeral and (self._adaptive or self._permanent)

    def remote_address(self) -> Address | None:
        """The own public address: known when not firewalled, and sampled on the server socket's own port."""
        host, port = self.sampler.host, self.sampler.port
        if self.firewalled or host is None or port == 0 or port != self.server_port:
            return None
        return Address(host, port)

    def latest(self, limit: int = K) -> list[Address]:
        """Nodes of the table, those heard last first."""
        return [contact.address for contact in islice(self.table.latest(), limit)]

    # asking

    def query(
        self,
        target: bytes,
        command: int,
        value: bytes | None = None,
        *,
        internal: bool = False,
        on_reply: Callable[[Reply], None] | None = None,
        on_end: Callable[[Query], None] | None = None,
        commit: MakeCommit | None = None,
        nodes: Sequence[Address] = (),
        only_nodes: bool = False,
        concurrency: int = CONCURRENCY,
        retries: int = RETRIES,
        force: bool = False,
    ) -> Query:
        """Search for the nodes closest to ``target``, asking each one met ``command`` with ``value``.

        ``on_reply`` gets every reply without error, until the search ends. Then ``commit`` is called with each of the
        up to 20 closest replies and says what to send to its node, None for nothing. ``on_end`` is called once, with
        the query, when all commits were answered or given up. ``nodes`` seed the search, the first one asked first;
        with ``only_nodes`` nobody else is asked. ``force``: single sends that no congestion window holds back.
        Nothing is called before this returns.
        """
        self.maintenance.queried()
        options = QueryOptions(internal, on_reply, on_end, commit, nodes, only_nodes, concurrency, retries, force)
        query = Query(self, target, command, value, options)
        query.start()
        return query

    def find_node(
        self,
        target: bytes,
        *,
        on_reply: Callable[[Reply], None] | None = None,
        on_end: Callable[[Query], None] | None = None,
        nodes: Sequence[Address] = (),
        concurrency: int = CONCURRENCY,
    ) -> Query:
        """A `query` with the internal FIND_NODE command."""
        return self.query(
            target, FIND_NODE, internal=True, on_reply=on_reply, on_end=on_end, nodes=nodes, concurrency=concurrency
        )

    def request(
        self,
        to: Address,
        command: int,
        on_reply: OnReply,
        *,
        target: bytes | None = None,
        value: bytes | None = None,
        token: bytes | None = None,
        role: Role | None = None,
        retries: int = REQUEST_RETRIES,
    ) -> Cancel:
        """One external command to one node: see `Rpc.request`."""
        return self.rpc.request(
            to, on_reply, command=command, target=target, value=value, token=token, role=role, retries=retries
        )

    def ping(
        self, to: Address, on_reply: OnReply, *, role: Role | None = None, retries: int = REQUEST_RETRIES
    ) -> Cancel:
        return self.rpc.request(to, on_reply, internal=True, command=PING, role=role, retries=retries)

    def delayed_ping(self, to: Address, delay: float, on_reply: OnReply) -> Cancel:
        """Ask for an answer after ``delay`` seconds, 0 to 10: how long does a NAT keep its mapping?"""
        milliseconds = round(delay * 1000)
        if not 0 <= milliseconds <= MAX_DELAY:
            raise ValueError(f"a delay is 0 to {MAX_DELAY / 1000:g} seconds, got {delay}")
        value = milliseconds.to_bytes(4, "little")
        return self.rpc.request(to, on_reply, internal=True, command=DELAYED_PING, value=value, delay=delay)

    def refresh(self) -> None:
        """Search around a random node of the table, to hear of new nodes."""
        size = len(self.table)
        self.background_query(self.table.at(self.rng.randrange(0, size)).id if size else self.table.id)

    def background_query(
        self,
        target: bytes,
        *,
        on_reply: Callable[[Reply], None] | None = None,
        on_end: Callable[[Query], None] | None = None,
    ) -> None:
        """A `find_node` that yields to other traffic."""

        def on_any_reply(reply: Reply) -> None:
            query.concurrency = CONCURRENCY if self.rpc.in_flight < BUSY else BACKGROUND_CONCURRENCY
            if on_reply is not None:
                on_reply(reply)

        query = self.find_node(target, on_reply=on_any_reply, on_end=on_end, concurrency=BACKGROUND_CONCURRENCY)

    # what queries ask of the node

    def accepts(self, address: Address) -> bool:
        """Whether an address that others name may be one of a node."""
        unicast = 0 < int(address.host.partition(".")[0]) < 224
        return unicast and address.port != 0 and self._passes_filter(address)

    def bootstrap_nodes(self, on_resolved: Callable[[Sequence[Address]], None]) -> None:
        """Call back once with the bootstrap nodes, now or later."""
        if self.resolve is None:
            on_resolved(self.bootstrap)
            return

        def keep(addresses: Sequence[Address]) -> None:
            self.bootstrap = addresses or self.bootstrap
            on_resolved(self.bootstrap)

        self.resolve(keep)

    def may_hint(self) -> bool:
        """Whether one more DOWN_HINT may leave in this tick; counts it."""
        return self.maintenance.may_hint()

    # packets

    def _on_request(self, request: Request) -> None:
        if request.id is not None and self._passes_filter(request.from_):
            self.maintenance.heard(request.from_, request.id, request.to, request.role == self.main_role)
        if request.internal:
            self._internal.answer(request)
            return
        handler = self.commands.get(request.command)
        if handler is None:
            request.reply(error=UNKNOWN_COMMAND)
        else:
            handler(request)

    def _on_reply(self, reply: Reply) -> None:
        if not self._passes_filter(reply.from_):
            return
        self.reachability.witnessed(reply)
        if reply.id is None:
            self.reachability.sample_stranger(reply.from_, reply.to)
        else:
            self.maintenance.heard(reply.from_, reply.id, reply.to, reply.role == self.main_role)

    def _on_silence(self, address: Address) -> None:
        """A node left a request unanswered for good, whatever it was about: it is gone (dht-rpc section 5)."""
        self.table.remove(node_id(address))

    def _passes_filter(self, address: Address) -> bool:
        return self._node_filter is None or self._node_filter(address)

    # changes

    def _on_bootstrapped(self) -> None:
        if not self.bootstrapped:
            self.bootstrapped = True
            self._subscribers.tell(Event.BOOTSTRAPPED)

    def adopt_id(self, id: bytes) -> None:
        """The own address was found, or changed: the table is built around its id."""
        if id != self.table.id:
            self.table.rebuild(id)
            if self.bootstrapped:
                self.refresh()
        if not self.ephemeral:
            self._subscribers.tell(Event.PERSISTENT)

    def tell(self, event: Event) -> None:
        """Subscribers are told."""
        self._subscribers.tell(event)

    def update_health(self) -> None:
        """A tick ended."""
        alone = not len(self.table) and bool(self.resolve or self.bootstrap)
        if self._health.update(self.rpc.responses, self.rpc.timeouts, alone=alone):
            self._subscribers.tell(Event.NETWORK_UPDATE)

    def network_changed(self) -> None:
        """The system's own addresses changed: find out where this side is now, tell subscribers. The sockets stay."""
        self.reachability.forget_check()
        if self.bootstrapped:
            self.refresh()
        self._subscribers.tell(Event.NETWORK_CHANGE)
        self._subscribers.tell(Event.NETWORK_UPDATE)

    def wake_up(self) -> None:
        """Time went by unnoticed: nothing known about the network is certain any more.

        The node notices by itself when a tick comes more than 15 s late by ``schedule.now``; a driver whose clock
        stands still while the machine sleeps calls this when it finds out.
        """
        self.maintenance.wake_up()
        self.reachability.forget_check()
        changed = self._health.reset()
        if self._adaptive:
            self.reachability.become_ephemeral()
        if changed:
            self._subscribers.tell(Event.NETWORK_UPDATE)
        self._subscribers.tell(Event.WAKE_UP)

    def suspend(self) -> None:
        """Fail every request under way, ignore datagrams, do nothing until `resume`. The shell closes the sockets."""
        if not self.suspended:
            self.maintenance.stop()
            self.rpc.suspend()

    def resume(self) -> None:
        """The sockets are bound again, preferably to the same ports; ``server_port`` is set if it changed."""
        if self.suspended and not self.rpc.closed:
            self.rpc.resume()
            self.maintenance.start()
            self.wake_up()
            self.refresh()

    def close(self) -> None:
        """Stop for good. Nothing is called any more, not even for requests and queries under way."""
        self.maintenance.stop()
        self.rpc.close()
        self._subscribers.clear()
