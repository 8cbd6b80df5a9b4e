"""What the policy can make happen, as protocols that its driver implements. Nothing here decides anything.

An effect returns at once and never calls back into the policy before it has returned. What it leads to comes later:
through the methods of `Policy` for connections, through the callables handed over for the DHT.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from holepunch.address import Address

if TYPE_CHECKING:
    from holepunch.errors import Reason
    from holepunch.keys import PublicKey
    from swarm.policy.events import Event
    from swarm.policy.peers import PeerInfo
    from swarm.topic import Topic

__all__ = ["Effects", "OnFound", "Ping", "Search"]

OnFound = Callable[[bytes, Sequence[Address]], None]
"""A record that a look-up saw: public key and relay addresses. Called as often as the record is seen."""


class Search(Protocol):
    """A query on the DHT in progress, or ended."""

    @property
    def closest(self) -> Sequence[Address]:
        """The nodes closest to the topic that answered so far."""

    def cancel(self) -> None:
        """Neither callable is called from now on. ``closest`` stays readable."""


class Ping(Protocol):
    """A sign of life that was asked for on a connection."""

    due: float
    """By when it has done so, in seconds on the policy's clock."""

    @property
    def answered(self) -> bool:
        """Whether the peer was heard since."""


class Effects(Protocol):
    """The driver of one policy. A link is the number of one connection, from the first thought of it to its end."""

    def dial(self, link: int, public_key: PublicKey, relay_addresses: Sequence[Address]) -> None:
        """Connect to this peer. Ends in `Policy.dial_opened` once the peer's header verified, or in `dial_failed`.

        ``relay_addresses`` are nodes that the peer announced through, possibly none.
        """

    def close(self, link: int, reason: Reason) -> None:
        """End a connection or a dial in progress with this cause. The policy has forgotten it: report nothing more."""

    def ping(self, link: int) -> Ping | None:
        """Ask the peer of this connection for a sign of life, so that a dead path shows. None: it cannot be asked."""

    def deliver(self, link: int, peer: PeerInfo) -> None:
        """Hand this connection to the application. Not called for those that `Policy.connect` hands to its caller."""

    def lookup(
        self,
        topic: Topic,
        nodes: Sequence[Address],
        withdraw: bool,
        on_found: OnFound,
        on_end: Callable[[bool], None],
    ) -> Search:
        """Ask the DHT who is under ``topic``, starting at ``nodes`` where given; no cached answer will do.

        ``withdraw``: also unannounce the own key wherever a reply lists it. ``on_end(False)``: the DHT could not be
        asked. The own key may be reported like any other.
        """

    def announce(
        self,
        topic: Topic,
        nodes: Sequence[Address],
        clear: bool,
        on_found: OnFound,
        on_end: Callable[[bool], None],
    ) -> Search:
        """Look up ``topic``, then store the own key there with the relays of the moment; listen first if need be.

        ``clear``: also unannounce what an earlier run may have left. ``on_end(True)``: stored on at least one node.
        """

    def unannounce(self, topic: Topic, nodes: Sequence[Address], on_end: Callable[[], None]) -> None:
        """Remove the own key from these nodes. ``on_end`` is called once, however it went, after bounded time."""

    def ask(self, question: int, public_key: PublicKey, topics: Sequence[Topic]) -> None:
        """Ask the application whether it allows this peer. Ends in `Policy.answer`, or counts as unanswered."""

    def refused(self, public_key: PublicKey, obstacle: str) -> None:
        """A peer that came in was turned away: banned, a limit, not allowed. For the log."""

    def topics_changed(self) -> None:
        """A topic was joined or left."""

    def emit(self, event: Event) -> None:
        """Report an event to whoever listens."""
