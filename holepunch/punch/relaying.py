"""The way through a blind relay, that a dial or an accepted handshake tries beside its other ways. Pure.

It has a stream paired at the relay; who uses the stream, and when the relay is no longer needed, others decide. The
way outlives the dial: a connection that goes through a relay keeps it until its path is direct, or it ends.
Node: hyperdht lib/connect.js and lib/server.js (relayConnection).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from holepunch.keys import PublicKey
from holepunch.punch.messages import RelayThrough

if TYPE_CHECKING:
    from collections.abc import Callable

    from holepunch.address import Address
    from holepunch.core import Random, Role
    from holepunch.relay.choice import RelayChoice

__all__ = ["Pairing", "RelayWay", "Relays", "agree", "want"]

TOKEN = 32


class Pairing(Protocol):
    """A stream's request at a relay."""

    on_lost: Callable[[], None] | None
    """Called when the relay is lost after it paired the stream."""
    remote_id: int
    """The relay's stream for this side, once paired."""

    @property
    def route(self) -> tuple[Role, Address] | None:
        """Where the relay is, once there is a connection to it."""

    def end(self) -> None:
        """The relay is not needed (any more). Silent."""


class Relays(Protocol):
    """This node's connections to relays (`holepunch.relay.pool`)."""

    def pair(
        self,
        key: PublicKey,
        token: bytes,
        is_initiator: bool,
        stream_id: int,
        on_paired: Callable[[str | None], None],
        *,
        named_by: str | None,
    ) -> Pairing:
        """``on_paired``: None when it is done, or why it is not; within 12 s, and never before this has returned.
        ``named_by``: the peer's host, if the relay is its choice and no own one."""

    def prepare(self, key: PublicKey) -> None:
        """Begin to connect to an own relay, for a pairing that is likely to follow."""

    def is_down(self, key: bytes) -> bool:
        """Whether this relay was lost, or could not be reached, a short time ago."""

    def doubt(self, key: PublicKey, doubted: bool) -> None:
        """A stream through this relay stalls, or does so no more."""


def want(
    choice: RelayChoice, relays: Relays | None, rng: Random, peer: bytes, theirs: RelayThrough | None = None
) -> RelayThrough | None:
    """What this side asks for in its handshake message.

    ``theirs``: what the client asked for, on the side that answers, whose word counts. It joins the client in a relay
    that both have, since the client may know of one that is down; and where its own are all down it leaves the choice
    to the client.
    """
    if relays is None:
        return None
    prefer = None if theirs is None or relays.is_down(theirs.public_key) else theirs.public_key
    key = choice.pick(rng, but=peer, is_down=relays.is_down, prefer=prefer)
    if key is None or (prefer is not None and relays.is_down(key)):
        return None
    return RelayThrough(key, rng.randbytes(TOKEN))


def agree(server: RelayThrough | None, client: RelayThrough | None) -> tuple[RelayThrough, bool] | None:
    """The relay that both sides use, and whether the server is its initiator: the server's choice, if it has one."""
    if server is not None:
        return server, True
    return None if client is None else (client, False)


class RelayWay:
    """Ends with one call of ``on_paired`` or ``on_failed``, unless `end` comes first."""

    __slots__ = (
        "_named_by",
        "_on_failed",
        "_on_paired",
        "_pairing",
        "_relays",
        "ended",
        "key",
        "on_direct",
        "on_settled",
        "paired",
    )

    def __init__(
        self,
        relays: Relays,
        key: bytes,
        *,
        named_by: str | None,
        on_paired: Callable[[tuple[Role, Address], int], None],
        on_failed: Callable[[str], None],
    ) -> None:
        """``named_by``: see `Relays.pair`. ``on_paired`` gets the route, and the stream id, that packets for the peer
        go to."""
        self.key = PublicKey(key)
        self._named_by = named_by
        self._relays = relays
        self._on_paired = on_paired
        self._on_failed = on_failed
        self._pairing: Pairing | None = None
        self.paired = False
        self.ended = False
        self.on_direct: Callable[[tuple[Role, Address]], None] | None = None
        """Set by the stream that goes through the relay: told of what may be the direct path."""
        self.on_settled: Callable[[Role | None], None] | None = None
        """Set by whoever still punches: the stream took the path through this socket, or, None, is over."""

    def start(self, token: bytes, is_initiator: bool, stream_id: int) -> None:
        self._pairing = self._relays.pair(
            self.key, token, is_initiator, stream_id, self._on_end, named_by=self._named_by
        )

    def _on_end(self, failure: str | None) -> None:
        if self.ended:
            return
        route = None if self._pairing is None else self._pairing.route
        if failure is None and self._pairing is not None and route is not None:
            self.paired = True
            self._on_paired(route, self._pairing.remote_id)
        else:
            self.end()
            self._on_failed(failure or "the relay was lost")

    @property
    def pending(self) -> bool:
        return not self.paired and not self.ended

    def is_relay(self, role: Role, source: Address) -> bool:
        """Whether packets from there come through the relay."""
        return self._pairing is not None and self._pairing.route == (role, source)

    def watch(self, on_lost: Callable[[], None]) -> None:
        """Be told when the relay is lost."""
        if self._pairing is not None:
            self._pairing.on_lost = on_lost

    def doubt(self, doubted: bool) -> None:
        """The stream stalls, or does so no more."""
        self._relays.doubt(self.key, doubted)

    def offer(self, role: Role, address: Address) -> None:
        """The punch has found something while the stream goes through the relay."""
        if self.on_direct is not None:
            self.on_direct((role, address))

    def settle(self, role: Role | None) -> None:
        """The stream needs no more direct paths: it has this one, or is over."""
        on_settled, self.on_settled, self.on_direct = self.on_settled, None, None
        if on_settled is not None:
            on_settled(role)

    def end(self) -> None:
        """The relay is not needed (any more). Ending again does nothing."""
        if not self.ended:
            self.ended = True
            if self._pairing is not None:
                self._pairing.end()
