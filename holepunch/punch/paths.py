"""The ways to a server that has answered, tried at once: the first that leads there wins, the last that fails says why.

**The one place where a dial decides how to reach the peer.** Node, which takes some of them in turn: hyperdht
lib/connect.js (holepunch).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from holepunch.address import best_match, is_bogon, is_private, is_reserved
from holepunch.core import SERVER
from holepunch.errors import Reason
from holepunch.nat.classifier import Firewall
from holepunch.punch.limits import MAX_ADDRESSES
from holepunch.punch.messages import HolepunchInfo, RelayInfo, SecurePayload, holepunch_secret
from holepunch.punch.rounds import Failure, Rounds
from holepunch.punch.scope import Scope

if TYPE_CHECKING:
    from collections.abc import Callable

    from holepunch.address import Address
    from holepunch.core import Role
    from holepunch.punch.environment import Environment
    from holepunch.punch.handshakes import Answer
    from holepunch.punch.puncher import Puncher
    from holepunch.signaller import Pong

__all__ = ["Paths"]

PASSIVE_TIMEOUT = 10.0
"""Seconds that the server has to connect to this side, when this side can be reached by everyone."""
BLIND_AFTER = 1.0
"""Seconds without an answer from a nearer address after which an open server is taken at its word."""
LOCAL_RETRIES = 3


class Paths:
    """Ends with one call of ``on_path(role, address)`` or ``on_failed``. Traffic from the peer may decide it earlier:
    then the owner closes it."""

    def __init__(
        self,
        environment: Environment,
        answer: Answer,
        target: bytes,
        *,
        firewall: Firewall,
        local: bool,
        puncher: Puncher | None,
        on_path: Callable[[Role, Address], None],
        on_failed: Callable[[Failure], None],
        note: Callable[[str, str], None],
    ) -> None:
        """``firewall``: what this side told the server of itself. ``local``: look for it in the own network, too.
        ``puncher``: None when there was no socket for one."""
        self._environment = environment
        self._answer = answer
        self._target = target
        self._firewall = firewall
        self._on_path = on_path
        self._on_failed = on_failed
        self._note = note
        self._scope = Scope(environment.schedule)
        self._ways = 0
        self._failure = Failure(Reason.CANNOT_HOLEPUNCH)
        self._tried: list[Address] = []
        self._puncher = puncher
        reply = answer.reply
        self._same_host = local and reply.client_address.host == reply.server_address.host

    def start(self) -> None:
        payload, reply = self._answer.payload, self._answer.reply
        if not reply.relayed:
            self._on_path(reply.role, reply.relay)
        elif payload.firewall == Firewall.OPEN or payload.holepunch is None:
            self._go_straight()
        elif self._firewall is Firewall.OPEN:
            self._wait_for_server()
        else:
            # counted before the first starts, so that one which fails at once does not end the others
            self._ways = 2
            self._ping_local()
            self._punch()

    @property
    def tried(self) -> list[Address]:
        """Addresses of the server that packets were sent to."""
        probed = () if self._puncher is None else self._puncher.remote_addresses
        return list(dict.fromkeys([*self._tried, *(address for address, _ in probed)]))

    def close(self) -> None:
        """Release everything but the puncher's sockets, which the owner lent."""
        self._scope.close()

    def _lost(self, failure: Failure | None) -> None:
        """One way has ended. ``None``: it was never more than a chance, and explains nothing."""
        self._ways -= 1
        self._failure = failure or self._failure
        if self._ways <= 0 and not self._scope.closed:
            self.close()
            self._on_failed(self._failure)

    # -- the server can be reached by everyone, or says nothing of its NAT

    def _go_straight(self) -> None:
        payload, reply = self._answer.payload, self._answer.reply
        public = next((a for a in payload.addresses4 if not is_bogon(a.host)), reply.server_address)
        main = self._environment.signaller.main_role
        self._tried.append(public)
        if not self._same_host:
            self._on_path(main, public)
            return
        # behind one router with the server: its public address may be the one that cannot be reached from here
        self._note("straight", f"to {public}, or a local address")
        self._ways = 2
        self._ping_local()
        self._scope.begin(
            partial(self._environment.signaller.ping, public, main, 0), partial(self._on_straight, public)
        )
        self._scope.after(BLIND_AFTER, partial(self._on_path, main, public))

    def _on_straight(self, public: Address, pong: Pong | None) -> None:
        if pong is not None and pong.source == public:
            self._on_path(pong.role, public)

    # -- this side can be reached by everyone

    def _wait_for_server(self) -> None:
        self._note("waiting", "for the server to connect")
        self._ways = 1
        timeout = Failure(Reason.HOLEPUNCH_ABORTED, "the server did not connect to this open address", remote=True)
        self._scope.after(PASSIVE_TIMEOUT, partial(self._lost, timeout))

    # -- both sides are in one network, or on one machine

    def _ping_local(self) -> None:
        """Ask the server's local addresses, and the one that the relay sees, for an answer; the first one wins."""
        candidates = self._local_candidates() if self._same_host else []
        self._tried += candidates
        pending = len(candidates)

        def on_pong(address: Address, pong: Pong | None) -> None:
            nonlocal pending
            pending -= 1
            if pong is not None and pong.source == address:
                self._on_path(pong.role, address)
            elif not pending:
                self._lost(None)

        for address in candidates:
            self._note("local ping", str(address))
            ping = partial(self._environment.signaller.ping, address, SERVER, LOCAL_RETRIES)
            self._scope.begin(ping, partial(on_pong, address))
        if not candidates:
            self._lost(None)

    def _local_candidates(self) -> list[Address]:
        own = self._environment.signaller.local_addresses()
        told = [a for a in self._answer.payload.addresses4 if not is_reserved(a.host) and a not in own]
        server = self._answer.reply.server_address
        nearest = best_match([a.host for a in own], told)
        first = [] if nearest is None else [nearest]
        seen = [server] if is_private(server.host) else []
        return list(dict.fromkeys([*first, *seen, *told]))[:MAX_ADDRESSES]

    # -- both sides are behind NATs

    def _punch(self) -> None:
        payload, reply = self._answer.payload, self._answer.reply
        assert payload.holepunch is not None  # `start` has looked
        # a server that has not finished its first announcement names no relay: the one that led to it will do
        relays = payload.holepunch.relays or (RelayInfo(reply.relay, reply.server_address),)
        puncher = self._puncher
        if puncher is None:
            self._lost(Failure(Reason.HOLEPUNCH_ABORTED, "no socket to punch with"))
            return
        named = [*payload.addresses4, *(relay.peer_address for relay in relays), reply.server_address]
        puncher.meet(payload.firewall, (address.host for address in named))
        self._tried.append(reply.server_address)
        rng = self._environment.rng
        rounds = Rounds(
            self._environment,
            puncher,
            SecurePayload(holepunch_secret(self._answer.session.hash), rng.randbytes(32)),
            self._target,
            HolepunchInfo(payload.holepunch.id, relays),
            client_relay=reply.relay,
            server_address=reply.server_address,
            note=self._note,
        )
        puncher.scope.run(rounds.run(), partial(self._on_rounds, puncher))

    def _on_rounds(self, puncher: Puncher, failure: Failure | None) -> None:
        if failure is not None:
            puncher.close()
            self._lost(failure)

    def on_punch_failed(self) -> None:
        """The puncher has sent all its probes in vain."""
        self._lost(Failure(Reason.HOLEPUNCH_ABORTED, "no probe got through"))
