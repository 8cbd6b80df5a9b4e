"""One handshake that a client began: from its Noise message to a connected raw stream, or to being forgotten.

Knows nothing of other handshakes; `accept` bounds how many there are. Node: hyperdht lib/server.js (_addHandshake).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from holepunch.address import best_match, is_private
from holepunch.errors import DecodeError, HandshakeError
from holepunch.keys import KeyPair, PublicKey
from holepunch.nat.classifier import Firewall
from holepunch.punch.environment import Established
from holepunch.punch.limits import MAX_RESPONSES
from holepunch.punch.messages import (
    NS_PEER_HANDSHAKE,
    VERSION,
    Abort,
    NoisePayload,
    RelayThrough,
    SecurePayload,
    UdxInfo,
    holepunch_secret,
)
from holepunch.punch.puncher import Puncher
from holepunch.punch.relaying import RelayWay, agree, want
from holepunch.punch.responder import Responder
from holepunch.punch.scope import Scope
from holepunch.secure.noise import Handshake

if TYPE_CHECKING:
    from collections.abc import Callable

    from holepunch.address import Address
    from holepunch.core import Role
    from holepunch.punch.arrival import Arrival, Listening
    from holepunch.punch.messages import Greeting
    from holepunch.secure.noise import Session
    from holepunch.signaller import Cancel

__all__ = ["Incoming"]

IDLE_TIMEOUT = 10.0
"""Seconds that a client has to come through, or to begin punching."""
EARLY_GRACE = 4.0
"""Seconds that a client which was spoken to first is still helped: one request with all its repetitions."""
CLEAR_WAIT = 10.0
"""Seconds that a finished handshake is remembered, so that late copies of its message start no second one."""


class Incoming:
    """First `read`, then `accept` or `refuse`; whatever way it ends, it says so once, unless `close` came first."""

    __slots__ = (
        "_connected",
        "_environment",
        "_handshake",
        "_listening",
        "_local_id",
        "_neighbour",
        "_on_connected",
        "_on_finished",
        "_puncher",
        "_reply",
        "_reply_from_puncher",
        "_responder",
        "_scope",
        "_stop_idle",
        "_waiting",
        "_wanted",
        "_way",
        "arrival",
        "ephemeral",
        "finished",
        "id",
        "payload",
    )

    def __init__(
        self,
        listening: Listening,
        id: int,
        arrival: Arrival,
        *,
        on_connected: Callable[[Established], None],
        on_finished: Callable[[], None],
    ) -> None:
        """``on_finished``: it is decided, and takes no resources any more but the memory of its reply."""
        environment = listening.environment
        self._listening = listening
        self._environment = environment
        self._on_connected = on_connected
        self._on_finished = on_finished
        self._scope = Scope(environment.schedule)
        ephemeral = KeyPair.from_seed(environment.rng.randbytes(32))
        self._handshake = Handshake("IK", False, listening.key_pair, None, NS_PEER_HANDSHAKE, ephemeral)
        self._waiting: list[tuple[Callable[[bytes, Role], None], Role]] = []
        self._reply: bytes | None = None
        self._reply_from_puncher = False
        self._local_id: int | None = None
        self._connected = False
        self._neighbour = False
        self._puncher: Puncher | None = None
        self._responder: Responder | None = None
        self._stop_idle: Cancel = lambda: None
        self._way: RelayWay | None = None
        self._wanted: RelayThrough | None = None
        self.id = id
        self.arrival = arrival
        self.ephemeral = b""
        """The public key that the client began this handshake with."""
        self.payload = NoisePayload()
        self.finished = False

    @property
    def remote_public_key(self) -> PublicKey:
        key = self._handshake.remote_public_key
        assert key is not None  # `read` has succeeded
        return key

    def read(self, noise: bytes) -> bool:
        """False: no handshake message for this key."""
        try:
            self.payload = NoisePayload.decode(self._handshake.read(noise))
        except (HandshakeError, DecodeError):
            return False
        self.ephemeral = noise[:32]
        return True

    # -- the reply

    def respond_through(self, respond: Callable[[bytes, Role], None], role: Role) -> None:
        """One copy of the message, that came in on ``role``: it gets the one reply, once there is one."""
        if self._reply is not None:
            self._send_reply(respond, role)
        elif not self.finished and len(self._waiting) < MAX_RESPONSES:
            self._waiting.append((respond, role))

    def _send_reply(self, respond: Callable[[bytes, Role], None], role: Role) -> None:
        assert self._reply is not None
        if self._reply_from_puncher and self._puncher is not None and not self._puncher.closed:
            role = self._puncher.role
        respond(self._reply, role)

    def accept(self) -> None:
        """Let the client in: reply, and open every way that it may come."""
        payload = self.payload
        error = Abort.NONE
        if payload.version != VERSION:
            error = Abort.VERSION_MISMATCH
        elif payload.udx is None:
            error = Abort.ABORTED
        else:
            self._local_id = self._environment.streams.open(self._on_traffic)
            environment = self._environment
            self._wanted = want(
                self._listening.relaying,
                environment.relays,
                environment.rng,
                self.remote_public_key,
                payload.relay_through,
            )
        hidden = self._listening.relaying.required
        own = None if hidden else self._environment.signaller.remote_address()
        self._reply = self._handshake.write(self._introduction(error, own).encode())
        session = self._handshake.session
        reached = not hidden and (self.arrival.direct or payload.firewall == Firewall.OPEN)
        if not error and not reached:
            self._expect(session, own is not None)
        for respond, role in self._waiting:
            self._send_reply(respond, role)
        self._waiting.clear()
        if error:
            self._finish()
        elif not reached:
            self._try_relay()
        else:
            main = self._environment.signaller.main_role
            self._connect(self.arrival.role if self.arrival.direct else main, self.arrival.client)

    def refuse(self) -> None:
        """The client hears nothing, now and for every copy of its message."""
        self._waiting.clear()
        self._finish()

    def _introduction(self, error: Abort, own: Address | None) -> NoisePayload:
        listening = self._listening
        shares = listening.local and not listening.relaying.required
        local = self._environment.signaller.proven_local_addresses() if shares else ()
        return NoisePayload(
            error=error,
            firewall=Firewall.UNKNOWN if own is None else Firewall.OPEN,
            holepunch=listening.hole_punch_info(self.id, self.arrival) if own is None else None,
            addresses4=(*((own,) if own is not None else ()), *local),
            udx=UdxInfo(self._local_id or 0),
            secret_stream=True,
            relay_through=self._wanted,
            relay_addresses=listening.relays_to_remember(),
            greeting=self._greeting(),
        )

    def _greeting(self) -> Greeting | None:
        """Only for a client that greeted: the others know nothing of it."""
        introduce, theirs = self._listening.introduce, self.payload.greeting
        if introduce is None or theirs is None:
            return None
        return introduce(self.remote_public_key, self.ephemeral, theirs)

    # -- the ways in

    def _expect(self, session: Session, is_open: bool) -> None:
        """The client has to come through a NAT, or through the network that both are in."""
        self._neighbour = self._is_neighbour()
        if (self._neighbour or not is_open) and not self._listening.relaying.required:
            # a neighbour learns the normal socket's address from the reply: that is the one it can reach locally
            self._reply_from_puncher = self._open_puncher(session) and not self._neighbour
        self._restart_idle(IDLE_TIMEOUT)

    def _restart_idle(self, timeout: float) -> None:
        self._stop_idle()
        self._stop_idle = self._scope.after(timeout, self._give_up)

    def _is_neighbour(self) -> bool:
        arrival = self.arrival
        if not self._listening.local or arrival.client.host != arrival.to.host:
            return False
        own = self._environment.signaller.local_addresses()
        told = [a for a in self.payload.addresses4 if is_private(a.host)]
        return best_match([a.host for a in own], told) is not None

    def _open_puncher(self, session: Session) -> bool:
        environment = self._environment
        try:
            self._puncher = Puncher(
                environment,
                initiator=False,
                on_hit=lambda _role, _source: None,
                on_abort=self._on_aborted,
            )
        except OSError:
            return False
        self._puncher.meet(self.payload.firewall)
        self._responder = Responder(
            environment,
            self._puncher,
            SecurePayload(holepunch_secret(session.hash), environment.rng.randbytes(32)),
            is_relay=lambda source: self._listening.is_relay(source),
            on_reached=self._on_reached,
            on_punching=self._on_punching,
            on_abort=self._on_aborted,
        )
        return True

    def on_holepunch(
        self,
        data: bytes,
        peer: Address,
        source: Address,
        to: Address,
        role: Role,
        respond: Callable[[bytes, Role], None],
    ) -> None:
        """Without a puncher there is nothing to say, and once the client came through nothing more."""
        if self._responder is not None:
            self._responder.on_message(data, peer, source, to, role, respond)

    def _on_punching(self, begun: bool) -> None:
        """A punch ends by itself. A client that is put off gets its time anew."""
        if begun:
            self._stop_idle()
        else:
            self._restart_idle(IDLE_TIMEOUT)

    def _on_aborted(self) -> None:
        """Punching leads nowhere. What a neighbour sends to this side's local address may be on its way."""
        if self._neighbour and self._puncher is not None:
            self._puncher.close()
            self._restart_idle(EARLY_GRACE)
        else:
            self._give_up()

    def _on_traffic(self, role: Role, source: Address) -> bool:
        """The client's packets decide: wherever they come from, there it is."""
        if not 0 < source.port < 65536:
            return False
        if self._way is not None and self._way.is_relay(role, source):
            return True
        if self._listening.relaying.required:
            return False
        self._connect(role, source)
        return True

    # -- through a relay, beside the other ways

    def _try_relay(self) -> None:
        agreed = agree(self._wanted, self.payload.relay_through)
        relays, local_id = self._environment.relays, self._local_id
        if agreed is None or relays is None or local_id is None or self._listening.relaying.forbidden:
            return
        through, is_initiator = agreed
        self._way = RelayWay(
            relays,
            through.public_key,
            named_by=self._listening.relaying.named_by(through.public_key, self.arrival.client.host),
            on_paired=self._on_paired,
            on_failed=self._on_relay_failed,
        )
        self._way.start(through.token, is_initiator, local_id)

    def _on_paired(self, route: tuple[Role, Address], remote_id: int) -> None:
        local_id, way = self._local_id, self._way
        assert local_id is not None  # the way was started with one
        assert way is not None
        self._connected = True
        way.on_settled = self._settled
        self._environment.streams.connect(local_id, *route, remote_id)
        self._on_connected(Established(local_id, self._handshake.session, self.payload, *route, way))
        if self._scope.closed:
            self._finish()

    def _on_relay_failed(self, _: str) -> None:
        if self._scope.closed and not self._connected:
            self._finish()

    def _settled(self, role: Role | None) -> None:
        """The stream found its direct path, or is over."""
        if self._puncher is not None and role is not None:
            self._puncher.give_away(role)
        self._finish()

    # -- the end

    def _give_up(self) -> None:
        """No client comes by the direct ways. It may still come through the relay."""
        if self._way is not None and self._way.pending:
            self._scope.close()
            if self._puncher is not None:
                self._puncher.close()
        else:
            self._finish()

    def _connect(self, role: Role, address: Address) -> None:
        if self._start_stream(role, address):
            self._finish()

    def _on_reached(self, role: Role, address: Address) -> None:
        """Speak first. Until the client has surely heard, its messages are answered, and its probes echoed."""
        if self._start_stream(role, address):
            self._restart_idle(EARLY_GRACE)

    def _start_stream(self, role: Role, address: Address) -> bool:
        """Connect the stream, once."""
        udx, local_id = self.payload.udx, self._local_id
        if self._way is not None and self._way.paired:
            self._way.offer(role, address)
            return False
        if self.finished or self._connected or local_id is None or udx is None:
            return False
        self._connected = True
        if self._way is not None:
            self._way.end()
        if self._puncher is not None:
            self._puncher.give_away(role)
        self._environment.streams.connect(local_id, role, address, udx.id)
        self._on_connected(Established(local_id, self._handshake.session, self.payload, role, address))
        return True

    def _finish(self) -> None:
        if not self.finished:
            self.finished = True
            self._release()
            if self._connected:
                # the stream, which asks `_on_traffic`, may live for days
                self._puncher = self._responder = None
            self._on_finished()

    def _release(self) -> None:
        self._scope.close()
        if self._way is not None and self._way.pending:
            self._way.end()
        if self._puncher is not None:
            self._puncher.close()
        if self._local_id is not None and not self._connected:
            self._environment.streams.discard(self._local_id)

    def close(self) -> None:
        """Drop it, silently."""
        if not self.finished:
            self.finished = True
            self._release()
