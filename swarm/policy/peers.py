"""What is known of each peer, and who is banned. Starts nothing by itself: `dialling` acts on it.

Node: hyperswarm lib/peer-info.js. Its `tried` flag, which nothing ever sets there, is left out.
"""

from __future__ import annotations

import math
from enum import IntEnum
from typing import TYPE_CHECKING

from holepunch.errors import Attempt, ConnectError, Reason, Stage
from holepunch.keys import PublicKey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from holepunch.address import Address
    from holepunch.core import Entry, Schedule
    from swarm.topic import Topic

__all__ = ["MAX_FOUND_PEERS", "PeerBook", "PeerInfo", "Priority"]

MIN_CONNECTION_TIME = 15.0
"""A connection that lived this many seconds proves the peer: the next dial after it is a first one again."""

MAX_ATTEMPTS = 3
"""After one dial more, a peer that was found by topic is given up until a look-up finds it again."""

MAX_HUNG_UP = 4
"""Dials in a row that got through but were ended before the peer had spoken, and cost nothing. A Node peer does that
while it takes an old connection of ours, from before a restart, for alive: some ten seconds, until UDX gives it up."""

MAX_RELAY_ADDRESSES = 8
"""Relay addresses kept of one record: HyperDHT nodes store 3, a stranger's record may list any number."""

MAX_FOUND_PEERS = 1024
"""Peers known at a time before look-ups add no more: anyone can announce keys that nobody holds."""

MAX_REFUSED = 4096
"""Bans that the swarm itself holds. Keys cost a stranger nothing; the oldest ban is lifted, asking again is cheap."""


MAX_RECENT = 256
"""Forgotten peers that can still be looked at: why a dial failed is asked after it failed. Strangers that come and go
may push out others."""


class Priority(IntEnum):
    """The higher, the sooner a queued peer is dialled."""

    VERY_LOW = 0
    LOW = 1
    NORMAL = 2
    HIGH = 3
    VERY_HIGH = 4


_BY_ATTEMPTS = (Priority.NORMAL, Priority.VERY_HIGH, Priority.HIGH, Priority.LOW)


class PeerInfo:
    """One peer, as long as there is a reason to remember it. Times are in seconds on the swarm's clock."""

    __slots__ = (
        "_book",
        "_topics",
        "attempts",
        "banned",
        "client",
        "connected_at",
        "disconnected_at",
        "ended",
        "explicit",
        "hung_up",
        "last_error",
        "priority",
        "proven",
        "public_key",
        "reconnect",
        "relay_addresses",
    )

    def __init__(self, public_key: PublicKey, book: PeerBook) -> None:
        self.public_key = public_key
        self.relay_addresses: tuple[Address, ...] = ()
        self.reconnect = True
        """Set to False: no retry after a connection ended or a dial failed. A look-up that finds the peer dials it."""
        self.explicit = False
        """Asked for by `join_peer`: retried for ever."""
        self.banned = False
        self.proven = False
        """A dial reached it, ever."""
        self.client = False
        """This side dialled the last connection."""
        self.attempts = 0
        """Dials that failed, and connections that ended, since the last long connection."""
        self.hung_up = 0
        """Dials in a row that got through without becoming a connection."""
        self.priority = Priority.NORMAL
        self.connected_at: float | None = None
        self.disconnected_at: float | None = None
        self.ended = False
        """A dial failed or a connection ended, of either side."""
        self.last_error: Exception | None = None
        """Why the last dial failed or the last connection ended; ``None`` after an orderly end."""
        self._topics: dict[Topic, None] = {}
        self._book = book

    def __repr__(self) -> str:
        flags = [name for name in ("explicit", "banned", "proven") if getattr(self, name)]
        return f"<PeerInfo {self.public_key.short} attempts={self.attempts}{''.join(' ' + flag for flag in flags)}>"

    @property
    def topics(self) -> tuple[Topic, ...]:
        """The joined topics that it was found under, in that order."""
        return tuple(self._topics)

    @property
    def wanted(self) -> bool:
        """Whether there is a reason to be connected to it."""
        return self.explicit or bool(self._topics)

    def ban(self, seconds: float | None = None) -> None:
        """Dial it no more and refuse it, for ever or for so many seconds. An open connection stays open."""
        self._book.turn()
        self._book.ban(self, seconds)

    def unban(self) -> None:
        self._book.turn()
        self._book.lift(self)

    # The rest is the policy's own business.

    def error(self, reason: Reason, stage: str = "decided here") -> ConnectError:
        """Why there is no connection, where no dial can tell more than how far it came."""
        return ConnectError(reason, Attempt(remote_public_key=self.public_key, stages=[Stage(stage, 0.0)]))

    def found(self, relay_addresses: Sequence[Address]) -> None:
        """A record was seen. The newest relay addresses are the best, but none tells nothing."""
        if relay_addresses:
            self.relay_addresses = tuple(relay_addresses[:MAX_RELAY_ADDRESSES])

    def add_topic(self, topic: Topic) -> bool:
        """True for a new one."""
        if topic in self._topics:
            return False
        self._topics[topic] = None
        return True

    def drop_topic(self, topic: Topic) -> bool:
        if topic not in self._topics:
            return False
        del self._topics[topic]
        return True

    def connected(self, now: float) -> None:
        self.proven = True
        self.client = True
        self.connected_at = now
        self.hung_up = 0
        self.last_error = None

    def disconnected(self, now: float) -> None:
        """A dial failed, or a connection that this side dialled ended."""
        if self.connected_at is not None and now - self.connected_at >= MIN_CONNECTION_TIME:
            self.attempts = 0
        self.connected_at = None
        self.disconnected_at = now
        self.ended = True
        self.attempts += 1

    def hangs_up(self, now: float) -> bool:
        """A dial got through, but became no connection. False: it has done so too often, and is as any that failed."""
        self.hung_up += 1
        if self.hung_up > MAX_HUNG_UP:
            return False
        self.disconnected_at = now
        self.ended = True
        return True

    def reset(self) -> None:
        """Start over, as with a peer never dialled."""
        self.hung_up = 0
        self.client = self.proven = False
        self.attempts = 0

    def prioritise(self) -> bool:
        """Set the priority of the next dial. False: it has had its dials. An explicit peer never has."""
        if self.explicit:
            self.attempts = min(self.attempts, MAX_ATTEMPTS)
        if self.attempts > MAX_ATTEMPTS:
            return False
        self.priority = _BY_ATTEMPTS[self.attempts]
        return True


class PeerBook:
    """Every peer there is a reason to remember, by public key, and who of them is banned until when."""

    __slots__ = ("_expiries", "_on_banned", "_on_lifted", "_refused", "_schedule", "by_key", "recent", "turn")

    def __init__(
        self,
        schedule: Schedule,
        on_banned: Callable[[PeerInfo], None],
        on_lifted: Callable[[PeerInfo], None],
        turn: Callable[[], None] = lambda: None,
    ) -> None:
        """``turn``: called before what the application asks of a peer is done: the schedule must know the time."""
        self.turn = turn
        self.by_key: dict[bytes, PeerInfo] = {}
        self.recent: dict[bytes, PeerInfo] = {}
        """Forgotten peers, as they were, the oldest first. Nothing is decided by them."""
        self._schedule = schedule
        self._on_banned = on_banned
        self._on_lifted = on_lifted
        self._expiries: dict[PeerInfo, Entry] = {}
        self._refused: dict[PeerInfo, None] = {}

    def __len__(self) -> int:
        return len(self.by_key)

    def __iter__(self) -> Iterator[PeerInfo]:
        """Over those of now: entries may come and go meanwhile."""
        return iter(list(self.by_key.values()))

    def get(self, public_key: bytes) -> PeerInfo | None:
        return self.by_key.get(public_key)

    def add(self, public_key: bytes) -> PeerInfo:
        """The peer of this key, known or new."""
        peer = self.by_key.get(public_key)
        if peer is None:
            key = PublicKey(public_key)
            peer = self.by_key[key] = PeerInfo(key, self)
            earlier = self.recent.pop(key, None)
            if earlier is not None:
                peer.last_error, peer.ended = earlier.last_error, True
        return peer

    def forget(self, peer: PeerInfo) -> None:
        """Never a banned one: it would be a stranger again."""
        if not peer.banned and self.by_key.get(peer.public_key) is peer:
            del self.by_key[peer.public_key]
            if peer.ended:
                self.recent[peer.public_key] = peer
                if len(self.recent) > MAX_RECENT:
                    del self.recent[next(iter(self.recent))]

    def ban(self, peer: PeerInfo, seconds: float | None) -> None:
        """Ban a peer, or change how long. Raises ``TypeError``, and ``ValueError`` for a time that is not positive."""
        if seconds is not None and not isinstance(seconds, int | float):
            raise TypeError(f"a ban lasts a number of seconds, or for ever (None); got {seconds!r}")
        if seconds is not None and not seconds > 0:
            raise ValueError(f"a ban lasts more than 0 seconds, got {seconds!r}; None is for ever")
        # The application may hold an entry that was forgotten, and perhaps replaced, since.
        peer = self.by_key.setdefault(peer.public_key, peer)
        self.recent.pop(peer.public_key, None)
        self._end_term(peer)
        peer.banned = True
        if seconds is not None and not math.isinf(seconds):
            self._expiries[peer] = self._schedule.after(seconds, lambda: self.lift(peer))
        self._on_banned(peer)

    def refuse(self, peer: PeerInfo, seconds: float | None) -> None:
        """A ban by the swarm itself."""
        self.ban(peer, seconds)
        self._refused[peer] = None
        if len(self._refused) > MAX_REFUSED:
            self.lift(next(iter(self._refused)))

    def lift(self, peer: PeerInfo) -> None:
        peer = self.by_key.get(peer.public_key, peer)
        self._end_term(peer)
        if peer.banned:
            peer.banned = False
            self._on_lifted(peer)

    def _end_term(self, peer: PeerInfo) -> None:
        self._refused.pop(peer, None)
        expiry = self._expiries.pop(peer, None)
        if expiry is not None:
            expiry.cancel()
