"""Dialling: from a public key to a connected raw stream, or an error that says how far it came.

One object per dial. It ties the steps together: the handshake (`handshakes`), then every way to the server at once
(`paths`), while the stream itself listens for the peer's traffic. Node: hyperdht lib/connect.js.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from holepunch.address import is_private
from holepunch.errors import Attempt, ConnectError, Stage
from holepunch.keys import PublicKey, hash32
from holepunch.nat.classifier import Firewall
from holepunch.punch.environment import Established
from holepunch.punch.handshakes import Answer, Handshakes
from holepunch.punch.messages import NoisePayload, UdxInfo
from holepunch.punch.paths import Paths
from holepunch.punch.puncher import firewall_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from holepunch.address import Address
    from holepunch.core import Role
    from holepunch.keys import KeyPair
    from holepunch.punch.environment import Environment
    from holepunch.punch.rounds import Failure

__all__ = ["Dial"]

MAX_STAGES = 64
"""Steps that an attempt remembers. A search that finds many dead relays must not grow the error without end."""


class Dial:
    """**Ends with exactly one call: ``on_connected`` or ``on_failed``, or none if `close` came first. By then every
    timer, request and socket is released, but the one socket that the connection goes through.**"""

    __slots__ = (
        "_environment",
        "_firewall",
        "_handshakes",
        "_key_pair",
        "_local",
        "_on_connected",
        "_on_failed",
        "_paths",
        "_relays",
        "_remote_public_key",
        "_started",
        "_traffic",
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
    ) -> None:
        """``relays``: where the peer can be reached, if known; none: those that led there last time.

        ``local``: tell the peer the own local addresses, and try its.
        """
        self._environment = environment
        self._key_pair = key_pair
        self._remote_public_key = PublicKey(remote_public_key)
        self._relays = relays
        self._local = local
        self._on_connected = on_connected
        self._on_failed = on_failed
        self._firewall = Firewall.UNKNOWN
        self._traffic: tuple[Role, Address] | None = None
        self._handshakes: Handshakes | None = None
        self._paths: Paths | None = None
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
        )
        self._handshakes.start()

    def close(self) -> None:
        """Give up, silently. After the end it does nothing."""
        if not self.done and self._handshakes is not None:
            self._release()
            self._environment.streams.discard(self.local_id)
        self.done = True

    def _introduction(self) -> NoisePayload:
        """What the server is told first: this side's stream and addresses."""
        signaller = self._environment.signaller
        own = signaller.remote_address()
        self._firewall = Firewall.UNKNOWN if own is None else Firewall.OPEN
        local = signaller.local_addresses() if self._local else ()
        return NoisePayload(
            firewall=self._firewall,
            addresses4=(*((own,) if own is not None else ()), *local),
            udx=UdxInfo(self.local_id),
            secret_stream=True,
        )

    def _on_answer(self, answer: Answer) -> None:
        self.answer = answer
        self.attempt.remote_nat = firewall_of(answer.payload.firewall).name.lower()
        self._note("answered", f"{answer.reply.server_address} through {answer.reply.relay}")
        if self._traffic is not None:
            self._connect(*self._traffic)
            return
        self._paths = Paths(
            self._environment,
            answer,
            hash32(self._remote_public_key),
            firewall=self._firewall,
            local=self._local,
            on_path=self._connect,
            on_failed=self._fail,
            note=self._note,
        )
        self._paths.start()

    def _on_traffic(self, role: Role, source: Address) -> bool:
        """The peer's packets decide: wherever they come from, there it is. Before its answer they are kept in mind."""
        if not 0 < source.port < 65536:
            return False
        if self.answer is None:
            self._traffic = self._traffic or (role, source)
        else:
            self._connect(role, source)
        return True

    def _connect(self, role: Role, address: Address) -> None:
        if self.done or self.answer is None:
            return
        answer = self.answer
        self._note("connected", str(address))
        self._release(keep=role)
        self._environment.signaller.remember_relays(self._remote_public_key, answer.relays)
        self._environment.streams.connect(self.local_id, role, address, answer.udx.id)
        lan = is_private(address.host) and address.host in {a.host for a in answer.payload.addresses4}
        self._on_connected(Established(self.local_id, answer.session, answer.payload, role, address, lan))

    def _fail(self, failure: Failure) -> None:
        if self.done:
            return
        self._note("failed", failure.detail)
        self.attempt.gave_up = "remote" if failure.remote else "local"
        self._release()
        self._environment.streams.discard(self.local_id)
        self._on_failed(ConnectError(failure.reason, self.attempt))

    def _release(self, keep: Role | None = None) -> None:
        """Keep nothing but the attempt: the stream, which asks `_on_traffic`, may live for days."""
        self.done = True
        handshakes, self._handshakes = self._handshakes, None
        paths, self._paths = self._paths, None
        if handshakes is not None:
            handshakes.close()
        if paths is not None:
            self.attempt.addresses = [str(address) for address in paths.tried]
            if paths.puncher is not None:
                self.attempt.local_nat = paths.puncher.nat.firewall.name.lower()
                self.attempt.remote_nat = paths.puncher.remote_firewall.name.lower()
            paths.close(keep)

    def _note(self, name: str, detail: str = "") -> None:
        if len(self.attempt.stages) < MAX_STAGES:
            self.attempt.stages.append(Stage(name, self._environment.schedule.now - self._started, detail))
