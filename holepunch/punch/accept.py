"""Accepting: the handshakes that reach one listening key, each let in, refused or left unanswered.

Bounds what strangers can make this node remember and compute; `incoming` is one handshake. It announces nothing.
Node: hyperdht lib/server.js (_onpeerhandshake, _onpeerholepunch).
"""

from __future__ import annotations

from functools import partial
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

from holepunch.address import is_private
from holepunch.keys import hash32
from holepunch.punch.arrival import Arrival, Listening
from holepunch.punch.incoming import CLEAR_WAIT, Incoming
from holepunch.punch.limits import (
    MAX_HALF_OPEN,
    MAX_PER_HOST,
    MAX_QUESTIONS,
    MAX_REMEMBERED,
    MAX_STRANGERS,
)
from holepunch.punch.messages import Mode
from holepunch.punch.scope import Scope
from holepunch.relay.choice import NO_RELAY

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from holepunch.address import Address
    from holepunch.core import Role
    from holepunch.keys import KeyPair, PublicKey
    from holepunch.punch.environment import Environment, Established, Introduce
    from holepunch.punch.messages import HandshakeMessage, HolepunchMessage, NoisePayload, RelayInfo
    from holepunch.relay.choice import RelayChoice
    from holepunch.signaller import Cancel

__all__ = ["ANSWER_TIMEOUT", "Listener", "Question"]

ANSWER_TIMEOUT = 3.0
"""Seconds that the application has to say yes or no. A client gives up after four."""


class Question(NamedTuple):
    """Whether to let a client in. Answered with `Listener.answer`."""

    id: int
    remote_public_key: PublicKey
    payload: NoisePayload
    ephemeral: bytes
    """The public key that the client began this handshake with."""
    client: Address


class Record(NamedTuple):
    """One handshake, and the copies of its message that may still come."""

    incoming: Incoming
    noise_hash: bytes
    by_own: bool
    """Carried by one of the listener's own relays."""


class Listener:
    """All handshakes of one key pair. Implements `holepunch.signaller.Receptionist`.

    ``ask`` is told about each client that has proven its key, and `answer` decides; without ``ask`` all are let in.
    """

    def __init__(
        self,
        environment: Environment,
        key_pair: KeyPair,
        *,
        on_connected: Callable[[Established], None],
        ask: Callable[[Question], None] | None = None,
        local: bool = True,
        relaying: RelayChoice = NO_RELAY,
        introduce: Introduce | None = None,
    ) -> None:
        """``local``: tell clients the own local addresses, and meet clients of the own network there. ``relaying``:
        blind relays that may carry connections, at first or all the time."""
        self._listening = Listening(environment, key_pair, local, relaying=relaying, introduce=introduce)
        self._environment = environment
        self._on_connected = on_connected
        self._ask = ask
        self._scope = Scope(environment.schedule)
        self._records: dict[int, Record] = {}
        self._by_noise: dict[bytes, Record] = {}
        self._questions: dict[int, tuple[Record, Cancel]] = {}
        self._next_question = 0
        self._half_open = 0
        self.suspended = False
        self.dropped = 0
        """Handshakes that found no room."""

    @property
    def remembered(self) -> int:
        """Handshakes that are under way, or were decided in the last 10 s."""
        return len(self._records)

    # -- what the signalling network hands over

    def on_handshake(
        self,
        message: HandshakeMessage,
        source: Address,
        to: Address,
        role: Role,
        respond: Callable[[bytes, Role], None],
    ) -> None:
        direct = message.mode is Mode.FROM_CLIENT
        client = source if direct else message.peer_address
        if self.suspended or self._scope.closed or client is None or not message.noise:
            return
        noise_hash = hash32(message.noise)
        record = self._by_noise.get(noise_hash)
        if record is not None:
            record.incoming.respond_through(respond, role)
            return
        record = self._admit(noise_hash, Arrival(client, source, to, role, direct))
        if record is not None:
            record.incoming.respond_through(respond, role)
            self._begin(record, message.noise)

    def on_holepunch(
        self,
        message: HolepunchMessage,
        source: Address,
        to: Address,
        role: Role,
        respond: Callable[[bytes, Role], None],
    ) -> None:
        record = self._records.get(message.id)
        if record is not None and message.mode is Mode.FROM_RELAY and message.peer_address is not None:
            record.incoming.on_holepunch(message.payload, message.peer_address, source, to, role, respond)

    def on_relays(
        self, relays: Sequence[RelayInfo], addresses: Sequence[Address], is_relay: Callable[[Address], bool]
    ) -> None:
        self._listening.relays = tuple(relays)
        self._listening.relay_addresses = tuple(addresses)
        self._listening.is_relay = is_relay

    # -- letting in

    def _admit(self, noise_hash: bytes, arrival: Arrival) -> Record | None:
        by_own = self._listening.is_relay(arrival.source)
        if not self._has_room(arrival.client, by_own):
            self.dropped += 1
            return None
        incoming = Incoming(
            self._listening,
            next(id for id in count() if id not in self._records),
            arrival,
            on_connected=self._on_connected,
            on_finished=lambda: self._on_finished(record),
        )
        record = Record(incoming, noise_hash, by_own)
        self._half_open += 1
        self._records[incoming.id] = self._by_noise[noise_hash] = record
        return record

    def _has_room(self, client: Address, by_own: bool) -> bool:
        records = self._records.values()
        return (
            len(records) < MAX_REMEMBERED
            and len(self._questions) < MAX_QUESTIONS
            and self._half_open < MAX_HALF_OPEN
            and (by_own or sum(not record.by_own for record in records) < MAX_STRANGERS)
            # a whole test network may share one private host
            and (
                is_private(client.host)
                or sum(record.incoming.arrival.client.host == client.host for record in records) < MAX_PER_HOST
            )
        )

    def _begin(self, record: Record, noise: bytes) -> None:
        incoming = record.incoming
        if not incoming.read(noise):
            incoming.refuse()
        elif self._ask is None:
            incoming.accept()
        else:
            id = self._next_question
            self._next_question += 1
            stop_timeout = self._scope.after(ANSWER_TIMEOUT, partial(self.answer, id, False))
            self._questions[id] = (record, stop_timeout)
            self._ask(
                Question(id, incoming.remote_public_key, incoming.payload, incoming.ephemeral, incoming.arrival.client)
            )

    def answer(self, question: int, allowed: bool) -> None:
        """The application's yes or no. One that comes too late, or a second one, means nothing."""
        asked = self._questions.pop(question, None)
        if asked is None:
            return
        record, stop_timeout = asked
        stop_timeout()
        if allowed:
            record.incoming.accept()
        else:
            record.incoming.refuse()

    # -- forgetting

    def _on_finished(self, record: Record) -> None:
        self._half_open -= 1
        self._scope.after(CLEAR_WAIT, partial(self._clear, record), shared=True)

    def _clear(self, record: Record) -> None:
        del self._records[record.incoming.id]
        del self._by_noise[record.noise_hash]

    def suspend(self) -> None:
        """Drop every handshake, and be silent until `resume`. Connections that were made stay. Closed: does nothing."""
        self.suspended = True
        if not self._scope.closed:
            self._drop_all()
            self._scope = Scope(self._environment.schedule)

    def resume(self) -> None:
        self.suspended = False

    def close(self) -> None:
        """Drop every handshake, for good. Closing again does nothing."""
        self._drop_all()

    def _drop_all(self) -> None:
        self._scope.close()
        for record in self._records.values():
            record.incoming.close()
        self._records.clear()
        self._by_noise.clear()
        self._questions.clear()
        self._half_open = 0
