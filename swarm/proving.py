"""Both ends of a new connection prove that they know the group's secret, before anybody sees it as one.

Who dialled proves first. Who accepted says nothing at all before, not even the stream's header, so that to an outsider
no connection ever opens. Decides nothing about who is banned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from swarm.errors import NotAMember
from swarm.sharing import Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from holepunch.core import Schedule
    from holepunch.punch.messages import Greeting
    from swarm.connection import Connection
    from swarm.membership import Membership

__all__ = ["Proving"]

PROOF_TIMEOUT = 10.0
"""Seconds for the peer's header and its proof, as for the header of any stream."""

KNOCK = 0.25
"""Seconds between packets to a peer that was not heard yet: they are not repeated by themselves."""


class Proving:
    """One connection's, from `start` to exactly one of the two calls."""

    def __init__(
        self,
        connection: Connection,
        membership: Membership,
        schedule: Schedule,
        on_open: Callable[[Connection], None],
        on_failed: Callable[[BaseException | None], None],
    ) -> None:
        self._connection = connection
        self._membership = membership
        self._schedule = schedule
        self._on_open = on_open
        self._on_failed = on_failed
        self._proven = False

    def start(self, greeting: Greeting | None) -> None:
        """Start the stream. ``greeting``: what the peer said in the handshake."""
        connection = self._connection
        if greeting is None or not greeting.proves:
            connection.destroy(NotAMember("the peer has no secret"))
            self._on_failed(connection.cause)
            return
        self._timer = self._schedule.after(PROOF_TIMEOUT, self._not_proven)
        connection.on_open = self._check
        connection.on_close = self._closed
        connection.on_controls(self._on_control)
        if connection.is_initiator:
            connection.start()
            self._prove()
        else:
            connection.start(quiet=True)
            self._knock()

    def _knock(self) -> None:
        """A peer that everybody can reach lets this side speak first, and dials on when it hears a packet."""
        if self._connection.knock():
            self._schedule.after(KNOCK, self._knock)

    def _prove(self) -> None:
        self._connection.send_control(bytes([Kind.PROOF]) + self._membership.proof(self._connection.session))

    def _on_control(self, data: bytes) -> None:
        """The peer's first frame: it must be its proof."""
        if self._proven or self._connection.is_closed:
            return
        if data[:1] != bytes([Kind.PROOF]) or not self._membership.is_proof(self._connection.session, data[1:]):
            self._connection.destroy(NotAMember("the peer's proof of the secret is wrong"))
            return
        self._proven = True
        if not self._connection.is_initiator:
            self._connection.break_silence()
            self._prove()
        self._check()

    def _check(self) -> None:
        """The header is verified before what comes behind it, but reported after it."""
        connection = self._connection
        if self._proven and connection.opened and connection.on_close is not None:
            self._end()
            self._on_open(connection)

    def _closed(self) -> None:
        self._end()
        self._on_failed(self._connection.cause)

    def _not_proven(self) -> None:
        """Silence is no wrong proof: a member whose host fell asleep, whose dial was cancelled, or whose first message
        somebody repeats looks the same as who has nothing to say. But before anything else a member says its proof."""
        connection = self._connection
        if not connection.opened:
            connection.destroy(TimeoutError(f"the peer's header did not arrive within {PROOF_TIMEOUT:g} s"))
        elif connection.message_bytes[0] == 0:
            connection.destroy(TimeoutError(f"the peer did not prove the secret within {PROOF_TIMEOUT:g} s"))
        else:
            connection.destroy(NotAMember("the peer said something else than a proof of the secret"))

    def _end(self) -> None:
        self._timer.cancel()
        self._connection.on_open = self._connection.on_close = None
