"""The table of connections: open, being dialled, or about to be. One for each public key. Decides nothing."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import TYPE_CHECKING

from holepunch.errors import ConnectError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from holepunch.signaller import Cancel
    from swarm.policy.effects import Ping
    from swarm.policy.peers import PeerInfo

__all__ = ["Link", "Links", "Messages", "State", "Waiter"]

Messages = Callable[[], tuple[int, int]]
"""Bytes read and written as messages on a connection: application data and keep-alives, not the stream's header."""
Waiter = Callable[[int | ConnectError], None]
"""Gets the link that opened, or why none did."""


def _no_messages() -> tuple[int, int]:
    return 0, 0


class State(Enum):
    PENDING = auto()
    """A dial that waits for the application to allow the peer, or for what the peer began. Nothing was sent."""
    DIALLING = auto()
    OPEN = auto()


class Link:
    """One connection from the first thought of it to its end."""

    __slots__ = (
        "by_application",
        "cancel_wait",
        "held",
        "id",
        "is_initiator",
        "messages",
        "peer",
        "ping",
        "postponed",
        "predecessor",
        "redials",
        "rival",
        "stalled",
        "state",
        "successor",
        "waiters",
    )

    def __init__(
        self,
        id: int,
        peer: PeerInfo,
        is_initiator: bool,
        state: State,
        messages: Messages = _no_messages,
        *,
        by_application: bool = False,
    ) -> None:
        self.id = id
        self.peer = peer
        self.is_initiator = is_initiator
        self.state = state
        self.messages = messages
        self.by_application = by_application
        """A dial that `Policy.connect` began."""
        self.waiters: list[Waiter] = []
        """Callers of `Policy.connect`, while it is no connection yet."""
        self.rival: Link | None = None
        """A connection that the peer began and that waits, verified: for this dial of ours to open or to fail, or for
        this connection to be proven alive or dead."""
        self.cancel_wait: Cancel | None = None
        """While it is pending."""
        self.postponed: list[Callable[[], None]] = []
        """Called once, when this dial is a connection or has ended."""
        self.held = False
        """A dial that opened, but will be replaced by the one that the peer began, if that opens in time."""
        self.stalled = False
        """An open connection through which nothing gets at the moment."""
        self.ping: Ping | None = None
        """Sent on this connection because its peer asks for another one."""
        self.redials = 0
        """Dials since then that failed."""
        self.successor: Link | None = None
        """The dial that is to replace it then."""
        self.predecessor: Link | None = None
        """What this dial is to replace."""

    @property
    def doubt(self) -> Ping | None:
        """The ping that its peer has not answered yet."""
        return None if self.ping is None or self.ping.answered else self.ping

    def silent(self, now: float) -> bool:
        """Whether it is as good as dead: its peer would have answered by now."""
        doubt = self.doubt
        return self.stalled or (doubt is not None and now >= doubt.due)


class Links:
    """Every link by id, and the one of each key. Rivals and successors are found by their id only."""

    __slots__ = ("_by_id", "_by_key", "_last_id", "clients", "dialling", "servers", "successors")

    def __init__(self) -> None:
        self._by_id: dict[int, Link] = {}
        self._by_key: dict[bytes, Link] = {}
        self._last_id = 0
        self.dialling: dict[int, Link] = {}
        """Those that are no connection yet, oldest first."""
        self.clients = 0
        """Dialled by this side, open or not."""
        self.servers = 0
        self.successors = 0

    def __len__(self) -> int:
        return len(self._by_key)

    def __iter__(self) -> Iterator[Link]:
        """Over those of now: entries may come and go meanwhile."""
        return iter(list(self._by_key.values()))

    def __contains__(self, public_key: bytes) -> bool:
        return public_key in self._by_key

    def new_id(self) -> int:
        self._last_id += 1
        return self._last_id

    def get(self, id: int) -> Link | None:
        return self._by_id.get(id)

    def of(self, public_key: bytes) -> Link | None:
        return self._by_key.get(public_key)

    def add(self, link: Link) -> None:
        self._by_id[link.id] = link
        self._by_key[link.peer.public_key] = link
        if link.is_initiator:
            self.clients += 1
        else:
            self.servers += 1
        if link.state is not State.OPEN:
            self.dialling[link.id] = link

    def opened(self, link: Link) -> None:
        link.state = State.OPEN
        del self.dialling[link.id]
        self._settle(link)

    def remove(self, link: Link) -> None:
        del self._by_id[link.id]
        del self._by_key[link.peer.public_key]
        self.dialling.pop(link.id, None)
        if link.is_initiator:
            self.clients -= 1
        else:
            self.servers -= 1
        self._settle(link)

    def _settle(self, link: Link) -> None:
        postponed, link.postponed = link.postponed, []
        for action in postponed:
            action()

    def add_successor(self, link: Link, successor: Link) -> None:
        link.successor, successor.predecessor = successor, link
        self._by_id[successor.id] = successor
        self.successors += 1

    def take_successor(self, link: Link) -> Link | None:
        successor, link.successor = link.successor, None
        if successor is not None:
            successor.predecessor = None
            del self._by_id[successor.id]
            self.successors -= 1
        return successor

    def add_rival(self, link: Link, rival: Link) -> None:
        link.rival = rival
        self._by_id[rival.id] = rival

    def take_rival(self, link: Link) -> Link | None:
        rival, link.rival = link.rival, None
        if rival is not None:
            del self._by_id[rival.id]
        return rival
