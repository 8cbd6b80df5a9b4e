"""The own connections to blind relays: one for each relay, shared by all who are paired through it. A trio shell.

It dials relays and carries `RelayClient`s; what a pairing is for is its user's business. The connections are ordinary
ones, from the node's default key, over the same sockets as everything else: that is what lets a relay know where the
paired stream will come from (blind-relay.md section 5).
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from holepunch.core import Schedule
    from holepunch.keys import PublicKey
    from holepunch.relay.client import RelayClient
    from holepunch.relay.frame_pump import FramePump
    from holepunch.signaller import Cancel
    from holepunch.stream import EncryptedStream
    from holepunch.udx.values import Route

    class Connect(Protocol):
        """Dial a relay. Ends with one call of ``on_open``, or of ``on_failed`` with what went wrong. Before that
        ``on_path`` may get the stream: the handshake was with the relay, and it reads what is sent from now on."""

        def __call__(
            self,
            key: PublicKey,
            on_path: Callable[[EncryptedStream], None],
            on_open: Callable[[], None],
            on_failed: Callable[[Exception], None],
        ) -> Cancel: ...


__all__ = ["Pairing", "RelayPool"]

PAIRING_TIMEOUT: Final = 12.0
"""Seconds for the relay to be reached, and the peer to come there, too. With the handshake before it, a dial then ends
within 15. (Node: 15, hyperdht lib/connect.js.)"""
DOWN: Final = 60.0
"""Seconds that a relay counts as down after it was lost, or could not be reached."""
MAX_DOWN: Final = 64
"""Relays that are remembered for it: peers name them, too."""
MAX_NAMED: Final = 24
"""Connections at a time to relays that peers named. Those to the own, configured ones do not count: however many relays
strangers name, the own one is there for everyone else."""
MAX_PER_HOST: Final = 4
"""Of these, named by peers of one host."""
KEPT: Final = 30.0
"""Seconds that a connection to a relay is kept after its last use, for the next peer."""


class Pairing:
    """One stream's way through a relay: asked for, made, lost."""

    __slots__ = (
        "_connection",
        "is_initiator",
        "on_lost",
        "on_paired",
        "paired",
        "remote_id",
        "stop_timeout",
        "stream_id",
        "token",
    )

    def __init__(
        self,
        connection: RelayConnection,
        token: bytes,
        is_initiator: bool,
        stream_id: int,
        on_paired: Callable[[str | None], None],
    ) -> None:
        self._connection = connection
        self.token = token
        self.is_initiator = is_initiator
        self.stream_id = stream_id
        self.on_paired = on_paired
        self.on_lost: Callable[[], None] | None = None
        """Called when the relay is lost after it paired the stream."""
        self.paired = False
        self.remote_id = 0
        """The relay's stream for this side, once paired. It chooses the number, and may choose 0."""
        self.stop_timeout: Cancel

    @property
    def route(self) -> Route | None:
        """Where the relay is, once there is a connection to it: the stream's packets go there and come from there."""
        return self._connection.route

    @property
    def key(self) -> tuple[bytes, bool]:
        """What tells it from others at one relay: a node may be both sides."""
        return self.token, self.is_initiator

    def end(self) -> None:
        """The relay is not needed (any more): withdraw the request, or have it forget both streams. Silent."""
        self._connection.end(self)


class RelayConnection:
    """The connection to one relay, from before it is open."""

    __slots__ = (
        "_client",
        "_open",
        "_pairings",
        "_pool",
        "_pump",
        "_stop_dial",
        "_stop_kept",
        "_stream",
        "key",
        "named_by",
    )

    def __init__(self, pool: RelayPool, key: PublicKey, named_by: str | None) -> None:
        self._pool = pool
        self.key = key
        self.named_by = named_by
        """The host of the peer that named it first; None: it is an own one."""
        self._pairings: dict[tuple[bytes, bool], Pairing] = {}
        self._stream: EncryptedStream | None = None
        self._open = False
        """The relay has answered on the stream."""
        self._client: RelayClient | None = None
        self._pump: FramePump | None = None
        self._stop_kept: Cancel | None = None
        self._stop_dial: Cancel = lambda: None

    def start(self) -> None:
        self._stop_dial = self._pool.connect(self.key, self._on_path, self._on_open, self._on_failed)

    @property
    def route(self) -> Route | None:
        return None if self._stream is None else self._stream.route

    @property
    def idle(self) -> bool:
        """Nobody needs it now; it is only kept for the next peer."""
        return not self._pairings

    def add(self, token: bytes, is_initiator: bool, stream_id: int, on_paired: Callable[[str | None], None]) -> Pairing:
        pairing = Pairing(self, token, is_initiator, stream_id, on_paired)
        if pairing.key in self._pairings:
            # peers choose tokens: one may name the same twice
            failed = partial(on_paired, "another stream uses this token at the relay")
            pairing.stop_timeout = self._pool.schedule.after(0, failed).cancel
            return pairing
        pairing.stop_timeout = self._pool.schedule.after(PAIRING_TIMEOUT, partial(self._on_timeout, pairing)).cancel
        self._pairings[token, is_initiator] = pairing
        if self._stop_kept is not None:
            self._stop_kept()
            self._stop_kept = None
        if self._client is not None:
            self._request(pairing)
        return pairing

    def end(self, pairing: Pairing) -> None:
        if self._pairings.get(pairing.key) is not pairing:
            pairing.stop_timeout()
            return
        self._forget(pairing)
        if self._client is not None:
            self._client.unpair(*pairing.key)

    def _forget(self, pairing: Pairing) -> None:
        del self._pairings[pairing.key]
        pairing.stop_timeout()
        if not self._pairings:
            self.keep()

    def keep(self) -> None:
        """Nobody needs it now: wait for the next one, for a while from now on."""
        if self._stop_kept is not None:
            self._stop_kept()
        self._stop_kept = self._pool.schedule.after(KEPT, self.close).cancel

    def _request(self, pairing: Pairing) -> None:
        assert self._client is not None
        self._client.pair(pairing.is_initiator, pairing.token, pairing.stream_id, partial(self._on_paired, pairing))

    def _on_paired(self, pairing: Pairing, remote_id: int) -> None:
        pairing.stop_timeout()
        pairing.paired = True
        pairing.remote_id = remote_id
        pairing.on_paired(None)

    def _on_timeout(self, pairing: Pairing) -> None:
        if not self._open:
            self._pool.set_down(self.key)
        self.end(pairing)
        pairing.on_paired("the peer did not come to the relay" if self._open else "the relay was not reached in time")

    def _on_path(self, stream: EncryptedStream) -> None:
        """Ask at once, with the first packet: to wait for the relay's would cost every pairing a round trip."""
        from holepunch.relay.client import RelayClient  # few connections need a relay: not imported by the others
        from holepunch.relay.frame_pump import FramePump

        self._stream = stream
        stream.on_stall = self._on_stall
        self._pump = FramePump(stream)
        self._client = RelayClient(self._pump.mux, self._pool.public_key, self._on_closed)
        self._pool.spawn(self._pump.run)
        for pairing in list(self._pairings.values()):
            self._request(pairing)

    def _on_open(self) -> None:
        self._open = True
        self._pool.set_up(self.key)

    def _on_stall(self, stalled: bool) -> None:
        """Nothing has got through for about 3 s: whoever comes now gets a connection of his own, and who waits is told.
        Streams that were paired notice by themselves."""
        if not stalled:
            self._pool.set_up(self.key)
            return
        if self._pool.holds(self):
            self._pool.set_down(self.key)
            self._pool.forget(self)
        for pairing in [pairing for pairing in self._pairings.values() if not pairing.paired]:
            self.end(pairing)
            pairing.on_paired("the relay does not answer any more")

    def ping(self) -> None:
        """Find out whether it still is there: else `_on_stall` follows."""
        if self._stream is not None:
            self._stream.send_nothing()

    def _on_closed(self) -> None:
        if self._pairings and self._pool.holds(self):
            self._pool.set_down(self.key)
        self.refuse("the relay ended the connection, or is none")
        if self._pump is not None:
            self._pump.end()

    def _on_failed(self, error: Exception) -> None:
        self._pool.set_down(self.key)
        self.refuse(f"no connection to the relay: {error}")

    def refuse(self, detail: str) -> None:
        """Nobody is paired through it (any more)."""
        self._pool.forget(self)
        if self._stop_kept is not None:
            self._stop_kept()
        pairings, self._pairings = self._pairings, {}
        for pairing in pairings.values():
            pairing.stop_timeout()
            if not pairing.paired:
                pairing.on_paired(detail)
            elif pairing.on_lost is not None:
                pairing.on_lost()

    def abandon(self) -> None:
        """Let the relay go, and tell nobody: whoever was, or is to be, paired through it is over."""
        for pairing in self._pairings.values():
            pairing.stop_timeout()
        self._pairings.clear()
        self.close()

    def close(self) -> None:
        self._stop_dial()
        self._pool.forget(self)
        if self._stop_kept is not None:
            self._stop_kept()
        if self._pump is not None:
            self._pump.end()


class RelayPool:
    """The relays of one node. Implements `holepunch.punch.relaying.Relays`."""

    def __init__(
        self,
        connect: Connect,
        spawn: Callable[[Callable[[], Awaitable[object]]], None],
        schedule: Schedule,
        public_key: bytes,
    ) -> None:
        """``spawn`` runs an async function in a task; ``public_key`` is what relays know this node by."""
        self.connect = connect
        self.spawn = spawn
        self.schedule = schedule
        self.public_key = public_key
        self._connections: dict[bytes, RelayConnection] = {}
        self._down: dict[bytes, float] = {}
        """Until when, the one that went down last at the end."""

    def pair(
        self,
        key: PublicKey,
        token: bytes,
        is_initiator: bool,
        stream_id: int,
        on_paired: Callable[[str | None], None],
        *,
        named_by: str | None = None,
    ) -> Pairing:
        """Be paired with the peer that knows ``token``. ``on_paired(None)`` says that it is done, a text why not; never
        before this has returned. ``named_by``: the peer's host, if the relay is its choice and no own one."""
        return self._connection_to(key, named_by).add(token, is_initiator, stream_id, on_paired)

    def prepare(self, key: PublicKey) -> None:
        """Begin to connect to an own relay, for a pairing that is likely to follow."""
        connection = self._connection_to(key, None)
        if connection.idle:
            connection.keep()

    def _connection_to(self, key: PublicKey, named_by: str | None) -> RelayConnection:
        connection = self._connections.get(key)
        if connection is None:
            connection = RelayConnection(self, key, named_by)
            if key == self.public_key or not self._has_room(named_by):
                self.schedule.after(0, partial(connection.refuse, "no connection to this relay"))
            else:
                self._connections[key] = connection
                connection.start()
        elif named_by is None:
            connection.named_by = None
        return connection

    def _has_room(self, named_by: str | None) -> bool:
        """For one more connection. Idle ones that stand in the way are closed, the oldest first."""
        if named_by is None:
            return True
        named = [connection for connection in self._connections.values() if connection.named_by is not None]
        same = [connection for connection in named if connection.named_by == named_by]
        for group, limit in ((same, MAX_PER_HOST), (named, MAX_NAMED)):
            if len(group) >= limit:
                idle = next((connection for connection in group if connection.idle), None)
                if idle is None:
                    return False
                idle.close()
                return True
        return True

    def suspend(self) -> None:
        """Leave every relay: this node leaves the network. Streams and dials that go through them are ended by their
        owners; the relays do not count as down."""
        for connection in list(self._connections.values()):
            connection.abandon()

    def is_down(self, key: bytes) -> bool:
        return self._down.get(key, -math.inf) > self.schedule.now

    def set_down(self, key: PublicKey) -> None:
        self._down.pop(key, None)
        self._down[key] = self.schedule.now + DOWN
        if len(self._down) > MAX_DOWN:
            del self._down[next(iter(self._down))]

    def set_up(self, key: PublicKey) -> None:
        self._down.pop(key, None)

    def doubt(self, key: PublicKey, doubted: bool) -> None:
        """A stream through it stalls, or does so no more. It may be the peer's fault, but the next one had better take
        another relay, if there is one."""
        if not doubted:
            self.set_up(key)
            return
        self.set_down(key)
        connection = self._connections.get(key)
        if connection is not None:
            connection.ping()

    def holds(self, connection: RelayConnection) -> bool:
        """Whether it is the one that the next pairing would get."""
        return self._connections.get(connection.key) is connection

    def forget(self, connection: RelayConnection) -> None:
        if self.holds(connection):
            del self._connections[connection.key]
