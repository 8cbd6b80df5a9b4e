"""The initiator's talk with the server while both punch: a probe round in which each learns the other's NAT, then a
punch round that proves the addresses and starts the probes on both sides.

Finds no relays and chooses no path. Node: hyperdht lib/connect.js (probeRound, roundPunch).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from holepunch.errors import DecodeError, Reason
from holepunch.nat.classifier import Firewall
from holepunch.punch.messages import Abort, HolepunchPayload
from holepunch.punch.puncher import firewall_of
from holepunch.punch.scope import pause, wait

if TYPE_CHECKING:
    from collections.abc import Callable

    from holepunch.address import Address
    from holepunch.punch.environment import Environment
    from holepunch.punch.messages import HolepunchInfo, RelayInfo, SecurePayload
    from holepunch.punch.puncher import Puncher
    from holepunch.punch.scope import Steps
    from holepunch.signaller import HolepunchReply

__all__ = ["Failure", "Rounds"]

UNDECIDED_PAUSE = 1.0
"""Seconds that a peer which does not know its NAT yet gets: its fast-open probe may be on the way."""
PATIENCE = 8.0
"""Seconds to wait for a place in either side's limit of random punches; the server forgets the puncher after 10."""
SLOT_PAUSE = 0.25
TRY_LATER_PAUSE = (1.0, 2.0)
PROBE_RELAYS = 2
"""Relays of the server that the first message is tried through."""


class Failure(NamedTuple):
    """Why one way to the peer ended."""

    reason: Reason
    detail: str = ""
    remote: bool = False
    """The peer gave up, not this side."""


class _GaveUp(Exception):
    def __init__(self, reason: Reason, detail: str = "", *, remote: bool = False) -> None:
        super().__init__(reason)
        self.failure = Failure(reason, detail, remote)


class _Answer(NamedTuple):
    payload: HolepunchPayload
    reply: HolepunchReply


class Rounds:
    """Two rounds of messages, over one puncher. `run` ends when the probes have started, or cannot."""

    def __init__(
        self,
        environment: Environment,
        puncher: Puncher,
        secure: SecurePayload,
        target: bytes,
        info: HolepunchInfo,
        *,
        client_relay: Address,
        server_address: Address,
        note: Callable[[str, str], None],
    ) -> None:
        self._environment = environment
        self._puncher = puncher
        self._secure = secure
        self._target = target
        self._id = info.id
        self._client_relay = client_relay
        self._server_address = server_address
        self._server_relays = sorted(info.relays, key=lambda r: r.relay_address != client_relay)[:PROBE_RELAYS]
        self._note = note
        self._round = 0

    def run(self) -> Steps[Failure | None]:
        try:
            token = yield from self._probe(retry=True)
            yield from self._punch(token)
        except _GaveUp as end:
            return end.failure
        return None

    # -- the probe round

    def _probe(self, *, retry: bool) -> Steps[bytes | None]:
        """Tell each other's NAT. Gives the server's token. Often the server's probe arrives before this ends."""
        puncher = self._puncher
        puncher.open_session(self._server_address)
        relay, answer = yield from self._ask_server_relay()
        puncher.nat.add(answer.reply.to, answer.reply.relay)
        if puncher.remote_firewall is Firewall.UNKNOWN:
            yield from pause(puncher.schedule, UNDECIDED_PAUSE)
        if not (yield from puncher.analyze(reopen=False)) and (yield from puncher.analyze(reopen=True)):
            return (yield from self._probe(retry=False))
        token = answer.payload.token
        if retry and (puncher.remote_firewall is Firewall.UNKNOWN or token is None):
            return (yield from self._probe(retry=False))
        own, remote = puncher.nat.firewall, puncher.remote_firewall
        if Firewall.UNKNOWN in (own, remote):
            self._abort(relay, Reason.HOLEPUNCH_PROBE_TIMEOUT)
        if puncher.hopeless:
            self._abort(relay, Reason.HOLEPUNCH_DOUBLE_RANDOMIZED_NATS)
        if relay.relay_address == self._client_relay and answer.reply.peer_address != self._server_address:
            # one relay for both sides has seen the server's newest socket: what it reports is the address to punch
            self._server_address = answer.reply.peer_address
            puncher.open_session(self._server_address)
        return token

    def _ask_server_relay(self) -> Steps[tuple[RelayInfo, _Answer]]:
        for relay in self._server_relays:
            answer = yield from self._ask(relay.relay_address, relay.peer_address, remote_address=self._server_address)
            if answer is not None:
                return relay, answer
        raise _GaveUp(Reason.HOLEPUNCH_ABORTED, "the server's relays do not answer")

    # -- the punch round

    def _punch(self, remote_token: bytes | None) -> Steps[None]:
        puncher = self._puncher
        # the peer is told this verdict and acts on it, so it stands from now on
        puncher.nat.freeze()
        relay, server, proven = self._client_relay, self._server_address, False
        deadline = puncher.schedule.now + PATIENCE
        while True:
            yield from self._wait_for_place(deadline)
            token = None if proven else self._secure.token(server.host)
            answer = yield from self._ask(relay, server, punching=True, token=token, remote_token=remote_token)
            if answer is None:
                raise _GaveUp(Reason.HOLEPUNCH_ABORTED, f"{relay} does not answer")
            if answer.payload.error != Abort.TRY_LATER:
                break
            puncher.unreserve()
            if puncher.schedule.now >= deadline:
                raise _GaveUp(Reason.REMOTE_ABORTED, "the peer punches for others", remote=True)
            yield from pause(puncher.schedule, self._between(TRY_LATER_PAUSE))
            # the first message has shown the server where this side is; its own relay knows its socket for sure
            proven = True
            relay, server = self._server_relays[0]
        if not puncher.remote_punching:
            raise _GaveUp(Reason.REMOTE_NOT_HOLEPUNCHING, remote=True)
        if not puncher.punch():
            raise _GaveUp(Reason.REMOTE_NOT_HOLEPUNCHABLE)
        self._note("punching", f"{puncher.nat.firewall.name} here, {puncher.remote_firewall.name} there".lower())

    def _wait_for_place(self, deadline: float) -> Steps[None]:
        puncher = self._puncher
        while not puncher.reserve():
            if puncher.schedule.now >= deadline:
                raise _GaveUp(Reason.HOLEPUNCH_ABORTED, "other punches of this node take too long")
            yield from pause(puncher.schedule, SLOT_PAUSE)

    # -- one message and its answer

    def _ask(
        self,
        relay: Address,
        peer_address: Address,
        *,
        punching: bool = False,
        remote_address: Address | None = None,
        token: bytes | None = None,
        remote_token: bytes | None = None,
    ) -> Steps[_Answer | None]:
        """One message, and what the server answers: None after all retries, or an answer that is no abort."""
        puncher = self._puncher
        self._note("punch round" if punching else "probe round", f"{self._round} through {relay}")
        nat = puncher.nat
        # a server with a random NAT would look for a better socket at once: first this side should
        keep_back = self._round == 0 and nat.firewall is Firewall.RANDOM
        sealed = self._seal(
            HolepunchPayload(
                firewall=Firewall.UNKNOWN if keep_back else nat.firewall,
                round=self._next_round(),
                punching=punching,
                addresses=None if keep_back else nat.addresses,
                remote_address=remote_address,
                token=token,
                remote_token=remote_token,
            )
        )
        start = partial(
            self._environment.signaller.holepunch, self._target, self._id, sealed, relay, peer_address, puncher.role
        )
        reply: HolepunchReply | None = yield from wait(start)
        if reply is None:
            return None
        try:
            payload = self._secure.open(reply.payload)
        except DecodeError as error:
            raise _GaveUp(Reason.HOLEPUNCH_INVALID, str(error)) from None
        # a server that puts this side off, and waits for it, tells its own state; Node's gives up
        put_off = punching and payload.error == Abort.TRY_LATER and payload.addresses is not None
        if payload.error != Abort.NONE and not put_off:
            yield from self._explain_abort(payload)
        echoed = token is not None and payload.remote_token == token
        puncher.update_remote(payload, peer_address.host if echoed else None)
        return _Answer(payload, reply)

    def _explain_abort(self, payload: HolepunchPayload) -> Steps[NoReturn]:
        """The server aborts. If it tells its NAT (Node does not), this side knows why as soon as it knows its own."""
        puncher = self._puncher
        puncher.remote_firewall = firewall_of(payload.firewall)
        yield from puncher.analyze(reopen=False)
        if puncher.hopeless:
            raise _GaveUp(Reason.HOLEPUNCH_DOUBLE_RANDOMIZED_NATS, remote=True)
        if puncher.nat.firewall is Firewall.UNKNOWN:
            raise _GaveUp(Reason.HOLEPUNCH_PROBE_TIMEOUT, "too few nodes tell this side its address", remote=True)
        raise _GaveUp(Reason.REMOTE_ABORTED, f"with error code {payload.error}", remote=True)

    def _abort(self, relay: RelayInfo, reason: Reason) -> NoReturn:
        """Tell the server, once and without waiting, so that it need not wait either."""
        sealed = self._seal(HolepunchPayload(error=Abort.ABORTED, round=self._next_round()))
        self._puncher.scope.begin(
            partial(
                self._environment.signaller.holepunch,
                self._target,
                self._id,
                sealed,
                relay.relay_address,
                relay.peer_address,
                self._puncher.role,
            ),
            lambda _: None,
        )
        raise _GaveUp(reason)

    def _seal(self, payload: HolepunchPayload) -> bytes:
        return self._secure.seal(payload, self._environment.rng.randbytes(self._secure.NONCE_SIZE))

    def _next_round(self) -> int:
        self._round += 1
        return self._round - 1

    def _between(self, bounds: tuple[float, float]) -> float:
        low, high = bounds
        return low + (high - low) * self._environment.rng.random()
