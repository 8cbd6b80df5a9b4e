"""Dialling: from a public key to a connected raw stream, or an error that says how far it came.

One object per dial. It ties the steps together: the handshake (`handshakes`), then every way to the server at once
(`paths`), while the stream itself listens for the peer's traffic. Node: hyperdht lib/connect.js.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from holepunch.errors import Attempt, ConnectError, Reason, Stage
from holepunch.keys import PublicKey, hash32
from holepunch.nat.classifier import Firewall
from holepunch.punch.environment import Established
from holepunch.punch.handshakes import Answer, Handshakes
from holepunch.punch.messages import NoisePayload, UdxInfo
from holepunch.punch.paths import Paths
from holepunch.punch.puncher import Puncher, firewall_of
from holepunch.punch.relaying import RelayWay, agree, want
from holepunch.punch.rounds import Failure
from holepunch.relay.choice import NO_RELAY

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from holepunch.address import Address
    from holepunch.core import Role
    from holepunch.keys import KeyPair
    from holepunch.punch.environment import Environment, Introduce
    from holepunch.relay.choice import RelayChoice

__all__ = ["Dial"]

MAX_STAGES = 64
"""Steps that an attempt remembers. A search that finds many dead relays must not grow the error without end, and must
not crowd out its last words."""


class Dial:
    """**Ends with exactly one call: ``on_connected`` or ``on_failed``, or none if `close` came first. By then every
    timer, request and socket is released, but the one socket that the connection goes through.**"""

    __slots__ = (
        "_connected",
        "_environment",
        "_failure",
        "_firewall",
        "_handshakes",
        "_introduce",
        "_key_pair",
        "_local",
        "_on_connected",
        "_on_failed",
        "_on_stage",
        "_paths",
        "_puncher",
        "_relaying",
        "_relays",
        "_remote_public_key",
        "_started",
        "_traffic",
        "_wanted",
        "_way",
        "answer",
        "attempt",
        "done",
        "local_id",
    )

    def __init__(
        self,
        environment: Environment,
        key_pair: KeyPair,
        remote_public_key: bytes,
        *,
        on_connected: Callable[[Established], None],
        on_failed: Callable[[ConnectError], None],
        relays: Sequence[Address] = (),
        local: bool = True,
        relaying: RelayChoice = NO_RELAY,
        introduce: Introduce | None = None,
        on_stage: Callable[[Attempt, Stage], None] = lambda attempt, stage: None,
    ) -> None:
        """``relays``: where the peer can be reached, if known; none: those that led there last time.

        ``local``: tell the peer the own local addresses, and try its. ``relaying``: blind relays that may carry the
        connection, at first or all the time.
        """
        self._environment = environment
        self._key_pair = key_pair
        self._remote_public_key = PublicKey(remote_public_key)
        self._relays = relays
        self._introduce = introduce
        self._on_stage = on_stage
        self._local = local and not relaying.required
        self._relaying = relaying
        self._wanted = want(relaying, environment.relays, environment.rng, remote_public_key)
        self._way: RelayWay | None = None
        self._failure: Failure | None = None
        """Why the other ways ended, while the one through the relay is left."""
        self._connected = False
        self._on_connected = on_connected
        self._on_failed = on_failed
        self._firewall = Firewall.UNKNOWN
        self._traffic: tuple[Role, Address] | None = None
        self._handshakes: Handshakes | None = None
        self._paths: Paths | None = None
        self._puncher: Puncher | None = None
        self._started = environment.schedule.now
        self.answer: Answer | None = None
        self.done = False
        self.local_id = 0
        self.attempt = Attempt(id=environment.rng.randbytes(4).hex(), remote_public_key=self._remote_public_key)

    def start(self) -> None:
        """Begin. Nothing is called back before it returns."""
        environment = self._environment
        self._started = environment.schedule.now
        self.local_id = environment.streams.open(self._on_traffic)
        self._handshakes = Handshakes(
            environment,
            self._key_pair,
            self._remote_public_key,
            self._introduction(),
            relays=self._relays,
            on_answer=self._on_answer,
            on_failed=self._fail,
            note=self._note,
            introduce=self._introduce,
        )
        self._handshakes.start()
        if self._wanted is not None and environment.relays is not None:
            # it takes as long to reach the relay as to shake hands: then the peers are paired a round trip after that
            environment.relays.prepare(PublicKey(self._wanted.public_key))
        if self._firewall is not Firewall.OPEN and not self._relaying.required:
            # it takes as long to learn the own NAT as to shake hands: then the first message of a punch can tell it
            self._puncher = self._open_puncher()

    def _open_puncher(self) -> Puncher | None:
        try:
            return Puncher(self._environment, initiator=True, on_hit=self._connect, on_abort=self._on_punch_failed)
        except OSError as error:
            self._note("no socket", str(error))
            return None

    def _on_punch_failed(self) -> None:
        if self._paths is not None:
            self._paths.on_punch_failed()

    def close(self) -> None:
        """Give up, silently. After the end it does nothing."""
        if not self.done and self._handshakes is not None:
            self._release()
            if not self._connected:
                self._environment.streams.discard(self.local_id)
        self.done = True

    def _introduction(self) -> NoisePayload:
        """What the server is told first: this side's stream and addresses."""
        signaller = self._environment.signaller
        own = None if self._relaying.required else signaller.remote_address()
        self._firewall = Firewall.UNKNOWN if own is None else Firewall.OPEN
        local = signaller.local_addresses() if self._local else ()
        return NoisePayload(
            firewall=self._firewall,
            addresses4=(*((own,) if own is not None else ()), *local),
            udx=UdxInfo(self.local_id),
            secret_stream=True,
            relay_through=self._wanted,
        )

    def _on_answer(self, answer: Answer) -> None:
        self.answer = answer
        self.attempt.remote_nat = firewall_of(answer.payload.firewall).name.lower()
        self._note("answered", f"{answer.reply.server_address} through {answer.reply.relay}")
        if self._traffic is not None and not self._relaying.required:
            self._connect(*self._traffic)
            return
        self._try_relay(answer)
        if self._relaying.required:
            if self._way is None:
                self._fail(Failure(Reason.RELAY_ABORTED, "no relay that this side may use"))
            return
        self._paths = Paths(
            self._environment,
            answer,
            hash32(self._remote_public_key),
            firewall=self._firewall,
            local=self._local,
            puncher=self._puncher,
            on_path=self._connect,
            on_failed=self._fail,
            note=self._note,
        )
        self._paths.start()

    # -- through a relay, beside the other ways

    def _try_relay(self, answer: Answer) -> None:
        """Not where the server can be reached directly: if it was asked itself, or says that everyone can.

        Otherwise in every dial, beside the direct ways: a peer behind a random NAT is reached through a relay in half a
        second, and else in seconds or never. (Node's swarm tries the relay only once a dial without it has failed.)
        """
        agreed = agree(answer.payload.relay_through, self._wanted)
        relays, relaying = self._environment.relays, self._relaying
        if agreed is None or relays is None or relaying.forbidden:
            return
        if (answer.payload.firewall == Firewall.OPEN or not answer.reply.relayed) and not relaying.required:
            return
        through, server_began = agreed
        self._way = RelayWay(
            relays,
            through.public_key,
            named_by=relaying.named_by(through.public_key, answer.reply.server_address.host),
            on_paired=self._on_paired,
            on_failed=self._on_relay_failed,
        )
        self._note("relay", f"through {self._way.key.short}")
        self._way.start(through.token, not server_began, self.local_id)

    def _on_paired(self, route: tuple[Role, Address], remote_id: int) -> None:
        answer, way = self.answer, self._way
        assert answer is not None  # the way was started with one
        assert way is not None
        self._note("relayed", f"at {route[1]}")
        self._connected = True
        way.on_settled = self._settled
        self._environment.signaller.remember_relays(self._remote_public_key, answer.relays)
        self._environment.streams.connect(self.local_id, *route, remote_id)
        self._on_connected(Established(self.local_id, answer.session, answer.payload, *route, way))
        if self._failure is not None or self._relaying.required:
            self._release()

    def _on_relay_failed(self, detail: str) -> None:
        self._note("no relay", detail)
        if self._failure is not None or self._relaying.required:
            self._fail(self._failure or Failure(Reason.RELAY_ABORTED, detail))

    def _settled(self, role: Role | None) -> None:
        """The stream found its direct path, or is over."""
        self._release(keep=role)

    # -- the end

    def _on_traffic(self, role: Role, source: Address) -> bool:
        """The peer's packets decide: wherever they come from, there it is. Before its answer they are kept in mind."""
        if not 0 < source.port < 65536:
            return False
        if self._way is not None and self._way.is_relay(role, source):
            return True
        if self._relaying.required:
            return False
        if self.answer is None:
            self._traffic = self._traffic or (role, source)
        else:
            self._connect(role, source)
        return True

    def _connect(self, role: Role, address: Address) -> None:
        if self.done or self.answer is None:
            return
        if self._connected:
            if self._way is not None:
                self._note("direct", str(address))
                self._way.offer(role, address)
            return
        self._connected = True
        answer = self.answer
        self._note("connected", str(address))
        self._release(keep=role)
        self._environment.signaller.remember_relays(self._remote_public_key, answer.relays)
        self._environment.streams.connect(self.local_id, role, address, answer.udx.id)
        self._on_connected(Established(self.local_id, answer.session, answer.payload, role, address))

    def _fail(self, failure: Failure) -> None:
        if self.done:
            return
        self._note("failed", failure.detail)
        if self._connected:
            self._release()
            return
        if self._way is not None:
            if self._way.pending:
                self._failure = failure
                return
            # what was to help against such failures did not
            self.attempt.cause = failure.reason if failure.reason is not Reason.RELAY_ABORTED else None
            failure = failure._replace(reason=Reason.RELAY_ABORTED)
        self.attempt.gave_up = "remote" if failure.remote else "local"
        self._release()
        self._environment.streams.discard(self.local_id)
        self._on_failed(ConnectError(failure.reason, self.attempt))

    def _release(self, keep: Role | None = None) -> None:
        """Keep nothing but the attempt: the stream, which asks `_on_traffic`, may live for days."""
        self.done = True
        handshakes, self._handshakes = self._handshakes, None
        paths, self._paths = self._paths, None
        puncher, self._puncher = self._puncher, None
        way, self._way = self._way, None
        if way is not None and way.pending:
            way.end()
        if handshakes is not None:
            handshakes.close()
        if paths is not None:
            self.attempt.addresses = [str(address) for address in paths.tried]
            paths.close()
        if puncher is not None:
            self.attempt.local_nat = puncher.nat.firewall.name.lower()
            if puncher.met:
                self.attempt.remote_nat = puncher.remote_firewall.name.lower()
            if keep is not None:
                puncher.give_away(keep)
            puncher.close()

    def _note(self, name: str, detail: str = "") -> None:
        stages = self.attempt.stages
        if len(stages) >= MAX_STAGES:
            # what happened last explains most, and how it began comes next
            del stages[MAX_STAGES // 2]
        stage = Stage(name, self._environment.schedule.now - self._started, detail)
        stages.append(stage)
        self._on_stage(self.attempt, stage)
