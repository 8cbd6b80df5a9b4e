"""A blind relay: pairs clients that know one token, and has their streams forwarded (blind-relay.md section 3). Pure.

**What a client can make it remember or send is bounded by `Limits`.** Node: blind-relay index.js (BlindRelayServer),
which has no limits and tells nobody when it ends.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

from holepunch.relay.forwarding import Budget, Leg, join
from holepunch.relay.messages import PAIR, PROTOCOL, Pair, Unpair

if TYPE_CHECKING:
    from collections.abc import Callable

    from holepunch.core import Schedule
    from holepunch.relay.channel import Channel
    from holepunch.relay.protomux import Protomux
    from holepunch.signaller import Cancel
    from holepunch.udx.values import Route, Transmit

__all__ = ["Legs", "Limits", "RelayServer", "RelaySession", "RelayStats"]

PAIRING_TIMEOUT: Final = 15.0
"""Seconds that a request waits for its counterpart: the peers themselves give up after that."""
IDLE_TIMEOUT: Final = 60.0
"""Seconds without a packet from either peer after which a link is dropped."""


class Legs(Protocol):
    """The endpoint's table of forwarded streams."""

    def add_leg(self, make: Callable[[int], Leg]) -> Leg:
        """Make one under a free stream id, and hand it the packets for that id."""

    def remove_leg(self, local_id: int) -> None: ...

    def transmit(self, transmit: Transmit) -> None: ...


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client, a public key, may have at a time."""

    pending: int = 64
    """Requests that wait for their counterpart."""
    links: int = 256
    """Streams that are forwarded for it."""
    rate: float = 16e6
    """Bytes per second that it may send through them."""
    sessions: int = 4
    """Connections; a client that lost its network may come back before the old one is noticed to be dead."""
    clients: int = 4096
    """Different clients."""


@dataclass(frozen=True, slots=True)
class RelayStats:
    """What a relay has done so far, and has open now."""

    sessions: int = 0
    """Connections of clients that are open."""
    sessions_accepted: int = 0
    sessions_refused: int = 0
    pairings_requested: int = 0
    pairings_matched: int = 0
    pairings_cancelled: int = 0
    pairings_expired: int = 0
    pairings_refused: int = 0
    """Requests beyond a client's limits, or for a role that is taken."""
    pairings_pending: int = 0
    links: int = 0
    """Pairs of streams that are forwarded now."""
    links_closed: int = 0
    bytes: int = 0
    """Forwarded, all headers but those of UDP and IP included."""
    packets: int = 0
    packets_dropped: int = 0
    """Beyond a client's bytes per second, or from a stranger."""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(slots=True)
class _Counters:
    accepted: int = 0
    refused: int = 0
    requested: int = 0
    matched: int = 0
    cancelled: int = 0
    expired: int = 0
    pairings_refused: int = 0
    closed: int = 0
    bytes: int = 0
    packets: int = 0
    dropped: int = 0


class _Request:
    """One side of a pairing."""

    __slots__ = ("remote_id", "session")

    def __init__(self, session: RelaySession, remote_id: int) -> None:
        self.session = session
        self.remote_id = remote_id


class _Pairing:
    """A token that waits for its second side."""

    __slots__ = ("stop_timeout", "token", "waiting")

    def __init__(self, token: bytes, stop_timeout: Cancel) -> None:
        self.token = token
        self.stop_timeout = stop_timeout
        self.waiting: dict[bool, _Request] = {}
        """By whether it is the initiator."""


class _Link:
    """Two streams that are forwarded to each other."""

    __slots__ = ("checked", "legs", "sessions", "stop_watch", "token")

    def __init__(self, token: bytes, sessions: tuple[RelaySession, RelaySession]) -> None:
        self.token = token
        self.sessions = sessions
        self.legs: tuple[Leg, Leg]
        self.checked = 0
        """Packets forwarded when it was looked at last."""
        self.stop_watch: Cancel


class _Client:
    """What all sessions of one public key share."""

    __slots__ = ("budget", "links", "pending", "sessions")

    def __init__(self, rate: float, now: float) -> None:
        self.budget = Budget(rate, now)
        self.pending = 0
        self.links = 0
        self.sessions = 0


class RelaySession:
    """One client's connection. Made by `RelayServer.accept`."""

    __slots__ = ("_server", "channel", "client", "links", "public_key", "route")

    def __init__(
        self, server: RelayServer, mux: Protomux, public_key: bytes, client: _Client, route: Callable[[], Route | None]
    ) -> None:
        self._server = server
        self.public_key = public_key
        self.client = client
        self.route = route
        self.links: set[_Link] = set()
        self.channel: Channel | None = mux.create(
            PROTOCOL,
            public_key,
            receivers=[self._on_pair, self._on_unpair],
            on_close=lambda _: server.end(self, lost=False),
        )
        if self.channel is not None:
            self.channel.open()

    def _on_pair(self, body: bytes) -> None:
        self._server.on_pair(self, Pair.decode(body))

    def _on_unpair(self, body: bytes) -> None:
        self._server.on_unpair(self, Unpair.decode(body).token)


class RelayServer:
    """All clients of one relay."""

    def __init__(self, legs: Legs, schedule: Schedule, limits: Limits | None = None) -> None:
        self._legs = legs
        self._schedule = schedule
        self._limits = limits or Limits()
        self._clients: dict[bytes, _Client] = {}
        self._sessions: set[RelaySession] = set()
        self._pairings: dict[bytes, _Pairing] = {}
        self._links: set[_Link] = set()
        self._counters = _Counters()

    def stats(self) -> RelayStats:
        counters = self._counters
        legs = [leg for link in self._links for leg in link.legs]
        return RelayStats(
            sessions=len(self._sessions),
            sessions_accepted=counters.accepted,
            sessions_refused=counters.refused,
            pairings_requested=counters.requested,
            pairings_matched=counters.matched,
            pairings_cancelled=counters.cancelled,
            pairings_expired=counters.expired,
            pairings_refused=counters.pairings_refused,
            pairings_pending=len(self._pairings),
            links=len(self._links),
            links_closed=counters.closed,
            bytes=counters.bytes + sum(leg.bytes for leg in legs),
            packets=counters.packets + sum(leg.packets for leg in legs),
            packets_dropped=counters.dropped + sum(leg.dropped for leg in legs),
        )

    # -- sessions

    def accept(self, mux: Protomux, public_key: bytes, route: Callable[[], Route | None]) -> RelaySession | None:
        """A client has connected. ``route``: where its connection goes at present. None: it is one too many."""
        client = self._clients.get(public_key)
        limits = self._limits
        if len(self._clients) >= limits.clients if client is None else client.sessions >= limits.sessions:
            self._counters.refused += 1
            return None
        if client is None:
            client = self._clients[public_key] = _Client(limits.rate, self._schedule.now)
        client.sessions += 1
        self._counters.accepted += 1
        session = RelaySession(self, mux, public_key, client, route)
        self._sessions.add(session)
        return session

    def end(self, session: RelaySession, *, lost: bool) -> None:
        """A client's connection is over; ``lost``: not in order, so that its peers should be told. Again: nothing."""
        if session not in self._sessions:
            return
        self._sessions.remove(session)
        for pairing in list(self._pairings.values()):
            for is_initiator, request in list(pairing.waiting.items()):
                if request.session is session:
                    self._withdraw(pairing, is_initiator)
                    self._counters.cancelled += 1
        for link in list(session.links):
            self._end_link(link, tell=lost)
        client = session.client
        client.sessions -= 1
        if not client.sessions:
            del self._clients[session.public_key]

    def close(self) -> None:
        """The relay ends: whoever still sends through it is told, and every channel closed."""
        for link in list(self._links):
            self._end_link(link, tell=True)
        for session in list(self._sessions):
            self.end(session, lost=False)
            if session.channel is not None:
                session.channel.close()

    # -- pairing

    def on_pair(self, session: RelaySession, request: Pair) -> None:
        pairing = self._pairings.get(request.token)
        client, limits = session.client, self._limits
        taken = pairing is not None and request.is_initiator in pairing.waiting
        full = client.pending >= limits.pending or client.pending + client.links >= limits.links
        if taken or full:
            # silence, as in Node; the client gives up by itself
            self._counters.pairings_refused += 1
            return
        self._counters.requested += 1
        if pairing is None:
            expire = partial(self._expire, request.token)
            pairing = _Pairing(request.token, self._schedule.after(PAIRING_TIMEOUT, expire).cancel)
            self._pairings[request.token] = pairing
        client.pending += 1
        pairing.waiting[request.is_initiator] = _Request(session, request.id)
        if len(pairing.waiting) == 2:
            self._match(pairing)

    def _match(self, pairing: _Pairing) -> None:
        self._counters.matched += 1
        # the follower's first, as in Node
        requests = [pairing.waiting[is_initiator] for is_initiator in (False, True)]
        for is_initiator in (False, True):
            self._withdraw(pairing, is_initiator)
        link = _Link(pairing.token, (requests[0].session, requests[1].session))
        link.legs = (self._leg(link, requests[0]), self._leg(link, requests[1]))
        join(*link.legs)
        link.stop_watch = self._schedule.after(IDLE_TIMEOUT, partial(self._check, link)).cancel
        self._links.add(link)
        for is_initiator, request, leg in zip((False, True), requests, link.legs, strict=True):
            request.session.links.add(link)
            request.session.client.links += 1
            if request.session.channel is not None:
                answer = Pair(is_initiator, pairing.token, leg.local_id)
                request.session.channel.send(PAIR, answer.encode())

    def _leg(self, link: _Link, request: _Request) -> Leg:
        session = request.session

        def destroyed() -> None:
            # after the packet that says so was forwarded
            self._schedule.after(0, partial(self._end_link, link, tell=False))

        return self._legs.add_leg(
            lambda local_id: Leg(local_id, request.remote_id, session.route, session.client.budget, destroyed)
        )

    def on_unpair(self, session: RelaySession, token: bytes) -> None:
        pairing = self._pairings.get(token)
        if pairing is not None:
            # Node forgets the other side's request as well; whoever knows the token may only take back its own here
            for is_initiator, request in list(pairing.waiting.items()):
                if request.session is session:
                    self._withdraw(pairing, is_initiator)
                    self._counters.cancelled += 1
            return
        for link in [link for link in session.links if link.token == token]:
            self._end_link(link, tell=False)
            self._counters.cancelled += 1

    def _expire(self, token: bytes) -> None:
        pairing = self._pairings[token]
        for is_initiator in list(pairing.waiting):
            self._withdraw(pairing, is_initiator)
            self._counters.expired += 1

    def _withdraw(self, pairing: _Pairing, is_initiator: bool) -> None:
        pairing.waiting.pop(is_initiator).session.client.pending -= 1
        if not pairing.waiting:
            pairing.stop_timeout()
            del self._pairings[pairing.token]

    # -- links

    def _check(self, link: _Link) -> None:
        packets = sum(leg.packets for leg in link.legs)
        if packets == link.checked:
            self._end_link(link, tell=False)
        else:
            link.checked = packets
            link.stop_watch = self._schedule.after(IDLE_TIMEOUT, partial(self._check, link)).cancel

    def _end_link(self, link: _Link, *, tell: bool) -> None:
        if link not in self._links:
            return
        self._links.remove(link)
        self._counters.closed += 1
        link.stop_watch()
        for session, leg in zip(link.sessions, link.legs, strict=True):
            session.links.discard(link)
            session.client.links -= 1
            self._counters.bytes += leg.bytes
            self._counters.packets += leg.packets
            self._counters.dropped += leg.dropped
            self._legs.remove_leg(leg.local_id)
            last = leg.destroy(self._schedule.now) if tell else None
            if last is not None:
                self._legs.transmit(last)
