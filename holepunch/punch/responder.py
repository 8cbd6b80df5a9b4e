"""The server's part in the talk while both punch: one answer for each hole-punch message of one handshake.

Decides nothing about who may connect. Node: hyperdht lib/server.js (_onpeerholepunch, _abort).
"""

from __future__ import annotations

import hmac
from functools import partial
from typing import TYPE_CHECKING

from holepunch.errors import DecodeError
from holepunch.nat.classifier import Firewall
from holepunch.punch.limits import MAX_MESSAGES, MAX_PENDING_ANSWERS
from holepunch.punch.messages import Abort, HolepunchPayload

if TYPE_CHECKING:
    from collections.abc import Callable

    from holepunch.address import Address
    from holepunch.core import Role
    from holepunch.punch.environment import Environment
    from holepunch.punch.messages import SecurePayload
    from holepunch.punch.puncher import Puncher
    from holepunch.punch.scope import Steps

__all__ = ["Responder"]

KEEPS_PORT = (Firewall.OPEN, Firewall.CONSISTENT)


class Responder:
    """Answers from the punch socket, so that relays learn its address; aborts from the main one."""

    __slots__ = (
        "_answering",
        "_environment",
        "_is_relay",
        "_messages",
        "_on_abort",
        "_on_punching",
        "_on_reached",
        "_puncher",
        "_round",
        "_secure",
    )

    def __init__(
        self,
        environment: Environment,
        puncher: Puncher,
        secure: SecurePayload,
        *,
        is_relay: Callable[[Address], bool],
        on_reached: Callable[[Role, Address], None],
        on_punching: Callable[[bool], None],
        on_abort: Callable[[], None],
    ) -> None:
        """``on_reached``: the peer can be reached there, as far as anyone can know. ``on_punching``: it wants to punch;
        False: it has to wait. ``on_abort``: nothing will come of it."""
        self._environment = environment
        self._puncher = puncher
        self._secure = secure
        self._is_relay = is_relay
        self._on_punching = on_punching
        self._on_abort = on_abort
        self._on_reached = on_reached
        self._round = 0
        self._messages = 0
        self._answering = 0

    def on_message(
        self,
        data: bytes,
        peer: Address,
        source: Address,
        to: Address,
        role: Role,
        respond: Callable[[bytes, Role], None],
    ) -> None:
        """``peer`` as the relay ``source`` sees it. What does not decrypt hears nothing."""
        try:
            payload = self._secure.open(data)
        except DecodeError:
            return
        self._messages += 1
        if self._messages > MAX_MESSAGES or self._answering >= MAX_PENDING_ANSWERS:
            return
        if self._puncher.closed or payload.error != Abort.NONE:
            self._abort(respond)
            return
        through_own_relay = self._is_relay(source)
        token = self._secure.token(peer.host)
        echoed = payload.remote_token is not None and hmac.compare_digest(payload.remote_token, token)
        if role == self._puncher.role:
            self._puncher.nat.add(to, source)
        if payload.round >= self._round:
            self._round = payload.round
            # anyone may know a token by heart; only what an own relay carried has come from the address it reports
            self._puncher.update_remote(payload, peer.host if echoed and through_own_relay else None)
        self._answering += 1
        steps = self._answer(payload, peer, token if through_own_relay else None)
        self._puncher.scope.run(steps, partial(self._on_answer, respond, payload, peer))

    def _answer(self, message: HolepunchPayload, peer: Address, token: bytes | None) -> Steps[HolepunchPayload | None]:
        """What to say to one message, as soon as the own NAT is known. None: abort."""
        puncher = self._puncher
        stable = yield from puncher.analyze(reopen=False)
        if not stable and not puncher.remote_punching and not (yield from puncher.analyze(reopen=True)):
            return None
        own = puncher.nat.firewall
        if self._is_opened_by(message):
            puncher.probe(peer)
        error = Abort.NONE
        if puncher.remote_punching:
            admitted = puncher.reserve()
            self._on_punching(admitted)
            if not admitted:
                error = Abort.TRY_LATER
            elif not puncher.punch():
                return None
        if own is not Firewall.UNKNOWN:
            # the peer acts on this verdict from now on
            puncher.nat.freeze()
        return HolepunchPayload(
            error=error,
            firewall=own,
            round=self._round,
            punching=puncher.punching,
            addresses=puncher.nat.addresses,
            token=token,
            remote_token=message.token,
        )

    def _is_opened_by(self, message: HolepunchPayload) -> bool:
        """Fast open: the peer has opened its NAT towards this very socket, and this side's NAT keeps the port."""
        nat = self._puncher.nat
        return nat.firewall in KEEPS_PORT and message.remote_address in (nat.addresses or ())

    def _on_answer(
        self,
        respond: Callable[[bytes, Role], None],
        message: HolepunchPayload,
        peer: Address,
        answer: HolepunchPayload | None,
    ) -> None:
        self._answering -= 1
        if answer is None:
            self._abort(respond)
            return
        respond(self._seal(answer), self._puncher.role)
        # if the peer's NAT keeps the port too, nothing is left to find out: this side speaks first, which saves a round
        # trip. (Node waits for the peer's traffic, and tells its own NAT too late for this.)
        if self._is_opened_by(message) and message.firewall in KEEPS_PORT and peer in (message.addresses or ()):
            self._on_reached(self._puncher.role, peer)

    def _abort(self, respond: Callable[[bytes, Role], None]) -> None:
        # the own NAT is told, so that the peer can say what the matter is (Node tells none)
        abort = HolepunchPayload(error=Abort.ABORTED, firewall=self._puncher.nat.firewall, round=self._round)
        respond(self._seal(abort), self._environment.signaller.main_role)
        self._on_abort()

    def _seal(self, payload: HolepunchPayload) -> bytes:
        return self._secure.seal(payload, self._environment.rng.randbytes(self._secure.NONCE_SIZE))
