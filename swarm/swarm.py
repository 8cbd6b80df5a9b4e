"""The swarm: the peers that share a topic, as encrypted streams. The trio block around policy, DHT and connections.

A thin shell: what is decided is in `swarm.policy`, what is done about it in `swarm.driver`.
"""

from __future__ import annotations

import logging
import os
import random
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Self, final

import trio

from holepunch.keys import KeyPair, PublicKey
from swarm.arrivals import Arrivals
from swarm.awaiting import Waiters
from swarm.dht.dht import DHT
from swarm.dht.listener import decide, takes_topics
from swarm.discovery import Discovery
from swarm.driver import Driver
from swarm.eventstream import EventStream, EventStreams
from swarm.kademlia.bootstrap import PUBLIC_BOOTSTRAP
from swarm.membership import Membership, check_secret
from swarm.policy.context import MAX_PARALLEL, MAX_PEERS, Limits
from swarm.policy.policy import Policy
from swarm.topic import Topic

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping
    from types import TracebackType

    from holepunch.core import Random
    from holepunch.nursery import Background
    from holepunch.relay.choice import RelayPolicy
    from holepunch.udp import Network
    from swarm.connection import Connection
    from swarm.nat import Nat
    from swarm.policy.peers import PeerInfo
    from swarm.state import State
    from swarm.stats import Stats

__all__ = ["Swarm"]

logger = logging.getLogger(__name__)


@final
class Swarm:
    """Peers by topic.

    ::

        async with Swarm() as swarm:
            swarm.join("rooms/python")
            async for connection in swarm:
                await connection.send_all(b"hello")

    Nothing is sent before the block; only a key file named as ``identity`` is read, or made, at once. Every task and
    socket ends with the block. Leaving it waits, at most 2 s, for what was sent on connections that were ended by
    `send_eof` or `aclose`, and unannounces; after an exception or a cancellation at most 1 s. Then every connection is
    destroyed, and iterations end. Later use raises ``trio.ClosedResourceError``.
    """

    def __init__(
        self,
        identity: KeyPair | str | os.PathLike[str] | None = None,
        *,
        bootstrap: Iterable[str] = PUBLIC_BOOTSTRAP,
        host: str = "0.0.0.0",
        port: int = 0,
        max_peers: int = MAX_PEERS,
        max_parallel: int = MAX_PARALLEL,
        max_client_connections: int | None = None,
        max_server_connections: int | None = None,
        allow: Callable[..., bool | Awaitable[bool]] | None = None,
        stun_servers: Iterable[str] = (),
        relay_through: bytes | str | Iterable[bytes | str] | None = None,
        relay_policy: RelayPolicy = "prefer-direct",
        secret: bytes | None = None,
        state: str | os.PathLike[str] | None = None,
        network: Network | None = None,
        rng: Random | None = None,
    ) -> None:
        """``identity``: a key pair, the path of a file with one (created on first use), or None: a fresh key.

        ``bootstrap``, ``host``, ``port``, ``stun_servers``: see `DHT`. ``allow(public_key)`` or ``allow(public_key,
        topics)``, which may be async, is asked about each peer before it is dialled or accepted: False bans it, and it
        hears nothing. ``relay_through``: the public key of a blind relay, or several; it is tried beside the direct
        ways in every connection, carries it until a direct path is found, and always where there is none.
        ``relay_policy``: ``"require"`` takes no direct path, ``"forbid"`` not even the peer's relay. ``secret``: what a
        closed group shares, best 32 random bytes; only who proves to know it is ever connected to, and others cannot
        tell which topics are looked for. ``state``: a directory, made if need be, where good DHT nodes and the peers of
        each topic are remembered, so that a later run finds them without a bootstrap node. ``network`` and ``rng``
        replace the system's, for tests. Raises ``ValueError`` and ``TypeError`` for misuse.
        """
        if not (identity is None or isinstance(identity, KeyPair | str | os.PathLike)):
            raise TypeError(f"identity is a KeyPair, a path or None, got {type(identity).__name__}")
        if allow is not None:
            takes_topics(allow)
        if secret is not None:
            check_secret(secret)
        self._limits = Limits(max_peers, max_parallel, max_client_connections, max_server_connections)
        self._allow = allow
        self._rng = rng or random.SystemRandom()
        self.dht = DHT(
            bootstrap=bootstrap,
            host=host,
            port=port,
            key_pair=identity if isinstance(identity, KeyPair) else None,
            stun_servers=stun_servers,
            relay_through=relay_through,
            relay_policy=relay_policy,
            network=network,
            rng=self._rng,
        )
        self._arrivals = Arrivals(max_peers)
        self._events = EventStreams()
        self._state: State | None = None
        if state is not None:
            from swarm.state import State  # few remember anything: not imported by the others

            self._state = State(state)
        self._waiters = Waiters("Swarm", self.dht.turn)
        if isinstance(identity, str | os.PathLike):  # after all that may be refused: a file is made only for a swarm
            self.dht.default_key_pair = KeyPair.load_or_create(identity)
        self._key_pair = self.dht.default_key_pair
        membership = Membership(self.public_key, secret, self._rng.randbytes(32))
        self._driver = Driver(self.dht, self._key_pair, self._arrivals.put, self._events.emit, membership, self._state)
        self._policy: Policy | None = None
        self._resting = trio.Lock()
        self._suspended = False
        self._stack = AsyncExitStack()
        self._nursery: Background

    # -- the block ---------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        self._waiters.check_new()
        async with AsyncExitStack() as stack:
            if self._state is not None:
                self.dht.known_nodes = self._state.load()
            await stack.enter_async_context(self.dht)
            self._waiters.begin()
            self._nursery = self.dht.nursery
            self._policy = Policy(
                self._key_pair.public_key,
                self.dht.schedule,
                self._rng,
                self._driver,
                limits=self._limits,
                asks=self._allow is not None,
                turn=self.dht.turn,
            )
            allow = decide(self._allow, self._nursery, self.dht.turn) if self._allow is not None else None
            self._driver.begin(self._policy, allow)
            self.dht.subscribe(self._driver.on_node_event)
            if self._state is not None:
                self._nursery.start_soon(self._state.keep, self.dht.heard_nodes)
            stack.push_async_exit(self._say_goodbye)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._stack.__aexit__(kind, error, trace)

    async def _say_goodbye(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Unannounce everything and save what is to be remembered, while what was sent is delivered."""
        policy = self._running()
        try:
            self.dht.turn()
            if self._state is not None:
                self._nursery.start_soon(self._state.save, self.dht.heard_nodes())
            left, stopped = trio.Event(), trio.Event()
            policy.close(left.set)
            self._driver.stop_listening(stopped.set)
            await self.dht.part(error, left, stopped)
        finally:
            self._waiters.close()
            self._arrivals.close()
            self._events.close()

    def _running(self) -> Policy:
        if self._policy is None:
            raise RuntimeError("a Swarm is used inside its block: `async with Swarm() as swarm:`")
        return self._policy

    def _turn(self) -> Policy:
        """Before anything is asked of the policy: it is told the time."""
        policy = self._running()
        self._waiters.turn()
        return policy

    async def suspend(self) -> None:
        """Leave the network for a while: unannounce, destroy every connection, close the sockets. Dial and accept
        nothing until `resume`. It takes some seconds at most. A swarm that is suspended stays so. Cancelled: it is done
        at once, and what is announced still expires."""
        self._turn()
        try:
            self._resting.acquire_nowait()  # without waiting: a cancelled call does its work, too
        except trio.WouldBlock:
            await self._resting.acquire()
        try:
            policy = self._turn()
            if not self._suspended:
                self._suspended = True
                try:
                    await self._waiters.end(policy.suspend)
                    await self._waiters.end(self._driver.stop_listening)
                finally:
                    self._driver.stop_listening(lambda: None)  # when cancelled above; else it is done
                    await self.dht.suspend()
        finally:
            self._resting.release()

    async def resume(self) -> None:
        """Come back: bind again, announce and look up every topic, dial its peers. After a `suspend` in progress; one
        that was cancelled is taken back.

        Raises ``OSError`` when a port that was asked for is taken meanwhile. Cancelled: nothing was done.
        """
        self._turn()
        async with self._resting:
            self._turn()
            await self.dht.resume()
            self._suspended = False
            self._turn().resume()
            self._driver.resume()

    # -- topics and peers --------------------------------------------------------------------------------------------

    def join(
        self, topic: str | bytes | Topic, *, server: bool = True, client: bool = True, limit: int | None = None
    ) -> Discovery:
        """Meet the peers of a topic, until it is left. Returns at once; connections come by iteration.

        ``topic``: a name, which is hashed (SHA-256 of its UTF-8 form), exactly 32 bytes, or a `Topic`. ``server``:
        announce the own key under it; ``client``: look it up and dial who is there. ``limit``: dial at most so many
        because of one search. Raises ``ValueError`` for bytes of another length, or without either mode, and
        ``RuntimeError`` outside the block.
        """
        parsed = Topic.parse(topic)
        if self._policy is None or self._waiters.closed:
            raise RuntimeError("join inside the block: `async with Swarm() as swarm: swarm.join(...)`")
        if server:
            self._check_own_key()
        session = self._turn().join(parsed, server=server, client=client, limit=limit)
        logger.info("join topic=%s server=%s client=%s", self._driver.on_network(parsed), server, client)
        if client:
            self._driver.recall(parsed)
        return Discovery(self, session)

    async def leave(self, topic: str | bytes | Topic) -> None:
        """End every session of a topic; unannounced when this returns. Its connections stay open. Raises as `join` does
        for what is no topic. Cancelled: it goes on, nobody is told."""
        parsed = Topic.parse(topic)
        policy = self._turn()
        await self._waiters.end(lambda done: policy.leave(parsed, done))

    async def listen(self) -> bool:
        """Accept connections to the own key until the end of the block, whatever topics there are, so that others may
        `connect` to it. (To join a topic as server does the same.)

        True once the key is announced; False when the swarm is suspended: then it is as soon as it comes back. Raises
        `BootstrapError` when no bootstrap node answers, and ``ValueError`` when `DHT.listen` took the key. Cancelled:
        it goes on, nobody is told.
        """
        self._turn()
        self._check_own_key()
        return await self._flushed(self._driver.stay_listening)

    def _check_own_key(self) -> None:
        if self.dht.has_listener(self.public_key):
            raise ValueError(
                f"swarm.dht.listen() has taken the swarm's own key, {self.public_key}: close that listener; "
                "Swarm.listen() accepts connections to the key without a topic"
            )

    def join_peer(self, key: bytes | str) -> None:
        """Connect to this peer, and again whenever the connection is lost, until `leave_peer`."""
        public_key = PublicKey.parse(key)
        self._turn().join_peer(public_key)

    def leave_peer(self, key: bytes | str) -> None:
        """Connect to this peer no more for its own sake. An open connection stays."""
        public_key = PublicKey.parse(key)
        self._turn().leave_peer(public_key)

    async def connect(self, key: bytes | str) -> Connection:
        """The connection to this peer: the one there is, or a new one, which goes to the caller only.

        Raises `ConnectError`, which says what was tried and what to do, `BootstrapError` when no bootstrap node
        answers, and ``ValueError`` for what is no public key, or the own one. Cancelled: the dial is given up, unless
        another caller waits for it, or the peer is wanted for a topic.
        """
        public_key = PublicKey.parse(key)
        policy = self._turn()
        if policy.connection(public_key) is None:
            if public_key == self.public_key:
                raise ValueError("a swarm does not connect to its own public key")
            await self.dht.bootstrapped()
            self._turn()
        return await self._waiters.ask(partial(self._driver.connect, public_key))

    async def flush(self) -> bool:
        """Wait until every topic was refreshed and every peer known by then was tried once. It promises no connection.

        False when a topic could not be refreshed, or the swarm is suspended meanwhile. Raises `BootstrapError` when no
        bootstrap node answers, or there is no other node at all. Cancelled: it goes on, nobody is told.
        """
        policy = self._turn()
        return await self._flushed(policy.flush)

    async def _flushed(self, begin: Callable[[Callable[[bool], None]], None]) -> bool:
        done = await self._waiters.answer(begin)
        if not self.dht.reachable:
            await self.dht.bootstrapped()
        if not done:
            self.dht.check_company()
        return done

    # -- connections -------------------------------------------------------------------------------------------------

    def __aiter__(self) -> Self:
        self._turn()
        return self

    async def __anext__(self) -> Connection:
        self._turn()
        return await self._arrivals.get()

    async def serve(
        self,
        handler: Callable[[Connection], Awaitable[object]],
        *,
        strict: bool = False,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Run ``handler(connection)`` in a task of its own for each connection, until cancelled.

        A connection that its handler leaves open is closed after it. An error in a handler is logged and ends that
        connection only; with ``strict`` it ends `serve`, which raises it in a group, as trio's nurseries do. Raises
        ``TypeError`` for what is no async function, when it is called at the latest. Cancelled: the handlers are, too,
        and their connections are destroyed.
        """
        from swarm.serving import check_handler, serve  # when asked for: others iterate

        check_handler(handler)
        self._turn()
        await serve(self, handler, strict, task_status)

    @property
    def connections(self) -> tuple[Connection, ...]:
        """Those that are open now."""
        return tuple(self._driver.connections)

    # -- state -------------------------------------------------------------------------------------------------------

    @property
    def public_key(self) -> PublicKey:
        return self._key_pair.public_key

    @property
    def nat(self) -> Nat:
        """What is known now of the own addresses and the NAT in front of them."""
        self._running()
        return self.dht.nat

    @property
    def peers(self) -> Mapping[bytes, PeerInfo]:
        """What is known of each peer, by public key; a live view. The last 256 whose dial failed, or whose connection
        ended, are in it even when there is no reason to connect to them again."""
        return self._running().seen_peers

    def stats(self) -> Stats:
        return self._running().stats()

    def events(self) -> EventStream:
        """What happens from now on, as frozen values (`swarm.policy.events`): ``async for event in swarm.events()``.

        Several tasks may listen, each to all. See `EventStream` for one that falls behind.
        """
        self._turn()
        return self._events.listen()

    def __repr__(self) -> str:
        return f"<Swarm {self.public_key.short}>"
