"""Which topics each open connection is about, kept right while both ends join and leave. Frames carry what is new.

The tags themselves are `swarm.membership`'s. To a Node peer nothing is sent: there, what look-ups told is all there is.
"""

from __future__ import annotations

from enum import IntEnum
from functools import partial
from typing import TYPE_CHECKING

from holepunch.punch.messages import TAG_SIZE
from swarm.membership import MAX_SHOWN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from holepunch.core import Schedule
    from holepunch.keys import PublicKey
    from swarm.connection import Connection
    from swarm.membership import Membership
    from swarm.policy.policy import Policy

__all__ = ["Kind", "Sharing"]

RETRY = 1.0
"""Seconds until a frame that found no room is tried again."""


class Kind(IntEnum):
    """The first byte of a control frame. Others are ignored."""

    PROOF = 1
    """32 bytes: see `swarm.proving`."""
    TOPICS = 2
    """The tags of all topics that the sender is in now, at most `MAX_SHOWN`."""


class Sharing:
    """All connections of one swarm."""

    def __init__(
        self, membership: Membership, schedule: Schedule, policy: Policy, connections: Mapping[int, Connection]
    ) -> None:
        """``connections``: a live view of all."""
        self._membership = membership
        self._schedule = schedule
        self._policy = policy
        self._connections = connections
        self._is_due = False
        self._waiting: set[Connection] = set()

    def opened(self, connection: Connection) -> None:
        """A connection is about to be handed out."""
        self._update(connection)
        if connection.controls_agreed:
            connection.on_controls(partial(self._on_control, connection))
            self._schedule.after(0, partial(self._show, connection))

    def handed_out(self, connection: Connection) -> None:
        """The policy knows the peer by now."""
        self._tell(connection)

    def peer_found(self, public_key: PublicKey) -> None:
        """A look-up told more about a peer. It may be a connected one."""
        link = self._policy.connection(public_key)
        if link is not None and link in self._connections:
            self._update(self._connections[link])

    def topics_changed(self) -> None:
        """This side joined or left a topic. However many at one moment, the peers are told once."""
        if not self._is_due:
            self._is_due = True
            self._schedule.after(0, self._on_changed)

    def _on_changed(self) -> None:
        self._is_due = False
        for connection in list(self._connections.values()):
            self._update(connection)
            self._tell(connection)
            self._show(connection)

    def _show(self, connection: Connection) -> None:
        if connection in self._waiting or not connection.may_send_controls:
            return
        frame = bytes([Kind.TOPICS]) + self._membership.shown(connection.session)
        if not connection.send_control(frame):
            self._waiting.add(connection)
            self._schedule.after(RETRY, partial(self._show_again, connection))

    def _show_again(self, connection: Connection) -> None:
        self._waiting.discard(connection)
        self._show(connection)

    def _on_control(self, connection: Connection, data: bytes) -> None:
        tags = data[1:]
        if data[:1] == bytes([Kind.TOPICS]) and len(tags) % TAG_SIZE == 0 and len(tags) <= MAX_SHOWN * TAG_SIZE:
            shown = frozenset(tags[at : at + TAG_SIZE] for at in range(0, len(tags), TAG_SIZE))
            if shown != connection.tags:
                connection.tags = shown
                self._schedule.after(0, partial(self._on_shown, connection, shown))

    def _on_shown(self, connection: Connection, tags: frozenset[bytes]) -> None:
        if connection.tags is tags and not connection.is_closed:  # the last one of a burst
            self._update(connection)
            self._tell(connection)

    def _update(self, connection: Connection) -> None:
        if connection.controls_agreed:
            ephemeral = connection.session.ephemeral
            connection.topics = self._membership.shared(connection.remote_public_key, ephemeral, connection.tags)
        else:
            peer = self._policy.peers.get(connection.remote_public_key)
            connection.topics = peer.topics if peer is not None else ()

    def _tell(self, connection: Connection) -> None:
        for topic in connection.topics:
            self._policy.shares(connection.remote_public_key, topic)
