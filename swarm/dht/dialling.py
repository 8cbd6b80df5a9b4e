"""Raw streams that were connected, until they are connections: the peer's header must verify first."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from holepunch.errors import ConnectError, Reason, Stage
from holepunch.punch.dial import Dial
from holepunch.relay.choice import NO_RELAY
from swarm.connection import Connection
from swarm.errors import NotAMember
from swarm.membership import greet
from swarm.proving import Proving

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from holepunch.address import Address
    from holepunch.endpoint import Endpoint
    from holepunch.errors import Attempt
    from holepunch.keys import KeyPair, PublicKey
    from holepunch.punch.environment import Environment, Established
    from holepunch.relay.choice import RelayChoice
    from swarm.membership import Membership

__all__ = ["Dialling", "connection_over"]

logger = logging.getLogger(__name__)


def connection_over(
    endpoint: Endpoint,
    environment: Environment,
    established: Established,
    on_open: Callable[[Connection], None],
    on_failed: Callable[[BaseException | None], None],
    membership: Membership | None = None,
) -> Connection:
    """Start the encrypted stream over a path that was found. Ends with exactly one of the two calls.

    ``membership``: what was told of it in the handshake, if it was.
    """
    raw = endpoint.streams[established.local_id]
    connection = Connection(endpoint, raw, established.session, environment.rng)
    greeting = established.remote_payload.greeting
    if greeting is not None:
        connection.agree_on_controls()
        if membership is None:
            connection.on_controls(_ignore)
        else:
            connection.tags = frozenset(greeting.tags)

    connection.lan_hosts = established.lan_hosts
    if established.relay is not None:
        connection.relay = established.relay.key  # the peer's header may be there already, and the path is told then

    def opened() -> None:
        connection.on_open = connection.on_close = None
        on_open(connection)

    if membership is not None and membership.closed:
        Proving(connection, membership, endpoint.schedule, on_open, on_failed).start(greeting)
    else:
        connection.on_open = opened
        connection.on_close = lambda: on_failed(connection.cause)
        connection.start()
    if established.relay is not None:
        if connection.is_closed:
            # it ended before there was anyone to let the relay go, and whoever still punches for it
            established.relay.settle(None)
            established.relay.end()
        else:
            from holepunch.path.relayed import RelayedPath  # few connections need a relay: not imported by the others

            RelayedPath(endpoint, connection, established, established.relay, environment.rng)
    return connection


def _ignore(control: bytes) -> None:
    """What the peer says of its topics is nothing to who has none."""


class Dialling:
    """One dial, from `start` to a connection. Ends with one call: ``on_open`` or ``on_failed``; none after `cancel`."""

    def __init__(
        self,
        endpoint: Endpoint,
        environment: Environment,
        key_pair: KeyPair,
        public_key: PublicKey,
        relays: Sequence[Address],
        on_open: Callable[[Connection], None],
        on_failed: Callable[[ConnectError], None],
        relaying: RelayChoice = NO_RELAY,
        membership: Membership | None = None,
        on_path: Callable[[Connection], None] = lambda connection: None,
    ) -> None:
        """``on_path``: what is sent on the connection from now on is for the peer, which was not heard on it yet."""
        self._endpoint = endpoint
        self._environment = environment
        self._on_open = on_open
        self._on_failed = on_failed
        self._on_path = on_path
        self._membership = membership
        self._over = False
        self.on_end: Callable[[], object] = lambda: None
        """Called once, when it is over, however: before anybody is told the outcome."""
        self._started = endpoint.now()
        self._connection: Connection | None = None
        self._dial = Dial(
            environment,
            key_pair,
            public_key,
            on_connected=self._on_established,
            on_failed=self._on_no_path,
            relays=relays,
            relaying=relaying,
            introduce=greet if membership is None else membership.greet,
            on_stage=_log_stage,
        )
        logger.info("dial.started attempt=%s key=%s relays=%d", self.attempt.id, public_key.short, len(relays))

    def start(self) -> None:
        """Nothing is called before this returns."""
        self._dial.start()

    @property
    def attempt(self) -> Attempt:
        """What was tried so far."""
        return self._dial.attempt

    def cancel(self) -> None:
        """Give up, silently. After its end it does nothing."""
        if not self._over:
            self._end()
            self._dial.close()
            if self._connection is not None:
                self._connection.on_open = self._connection.on_close = None
                self._connection.destroy()

    def revoke(self) -> None:
        """`cancel` for a caller that takes no connection any more, not even one that has just been handed out."""
        self.cancel()
        if self._connection is not None:
            self._connection.destroy()

    def suspend(self) -> None:
        """Fail, because this node is suspended. After its end it does nothing."""
        if not self._over:
            self.cancel()
            self._tell_failed(ConnectError(Reason.SUSPENDED, self.attempt))

    def _end(self) -> None:
        self._over = True
        self.on_end()

    def _on_established(self, established: Established) -> None:
        self._connection = connection_over(
            self._endpoint,
            self._environment,
            established,
            self._on_confirmed,
            self._on_unconfirmed,
            self._membership,
        )
        if not self._connection.is_closed:
            self._on_path(self._connection)

    def _on_confirmed(self, connection: Connection) -> None:
        self._end()
        logger.info(
            "dial.complete attempt=%s key=%s path=%s address=%s seconds=%.3f",
            self.attempt.id,
            connection.remote_public_key.short,
            connection.path.kind,
            connection.path.remote_address,
            self._endpoint.schedule.now - self._started,
        )
        self._on_open(connection)

    def _on_unconfirmed(self, cause: BaseException | None) -> None:
        attempt = self._dial.attempt
        attempt.stages.append(Stage("unconfirmed", self._endpoint.schedule.now - self._started, str(cause or "closed")))
        error = ConnectError(Reason.REFUSED if isinstance(cause, NotAMember) else Reason.NOT_CONFIRMED, attempt)
        error.__cause__ = cause
        self._on_no_path(error)

    def _on_no_path(self, error: ConnectError) -> None:
        self._end()
        self._tell_failed(error)

    def _tell_failed(self, error: ConnectError) -> None:
        logger.info(
            "dial.failed attempt=%s key=%s reason=%s gave_up=%s seconds=%.3f",
            error.attempt.id,
            error.attempt.remote_public_key.hex()[:8],
            error.reason.name,
            error.attempt.gave_up,
            self._endpoint.schedule.now - self._started,
        )
        self._on_failed(error)


def _log_stage(attempt: Attempt, stage: Stage) -> None:
    name = stage.name.replace(" ", "_")
    logger.debug("dial.stage attempt=%s name=%s at=%.3f detail=%r", attempt.id, name, stage.at, stage.detail)
