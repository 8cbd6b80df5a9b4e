"""What a persistent node keeps for others: announcements, forwards, values. Bounded; no wire, no I/O.

Callers have verified signatures and tokens. Node: hyperdht lib/persistent.js, lib/router.js (forwards).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from holepunch.keys import hash32
from swarm.hyperdht.generations import Generations, TopicRecords
from swarm.hyperdht.messages import MutableValue, PeerRecord, PutError, encode_lookup_reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from holepunch.address import Address
    from holepunch.core import Random, Schedule

__all__ = ["MAX_VALUE_SIZE", "Forward", "Storage", "check_value"]

MAX_RECORDS = 65536
"""Of each kind, in each generation, as in Node: at most 80 MB of topic records, 40 MB of forwards."""
MAX_VALUES = 32768
"""Mutable and immutable values each, in each generation."""
MAX_VALUE_BYTES = 32 << 20
"""Of one kind, in one generation: `MAX_VALUES` of the largest."""
MAX_VALUE_SIZE = 1000
"""What Node's users are told to stay near; Node itself takes all that a datagram holds. A value is sent in one packet,
each way. The one with the most besides is the MUTABLE_PUT of a persistent node, with 218 bytes: 10 of head, 32 each of
id, token, target and public key, 64 of signature, 1 of command, and at most 15 of sequence number and lengths. That
makes 1218, where `swarm.kademlia.packets.MAX_PACKET` are allowed. An answer has 154 besides, and as many closer nodes
as there is room for. It is read with one small request that proves nothing about its source: a forged one makes a node
send no more than that packet."""

RECORD_AGE = 20 * 60.0
VALUE_AGE = 48 * 3600.0

MAX_STORED_RELAYS = 3
"""Of an announced record; the signature covers all that were sent."""
MAX_LOOKUP_RECORDS = 20
"""In one reply, chosen at random: what a datagram has room for."""
MAX_BUMP_DRIFT_MS = 60_000
"""How far a bump may be ahead of the own clock. One from a wrong clock would outlive all that follow."""


def check_value(value: bytes) -> None:
    """Raises ``ValueError`` for a value that nodes do not store: they could not send it to those who ask for it."""
    if not 0 < len(value) <= MAX_VALUE_SIZE:
        raise ValueError(f"a stored value has 1 to {MAX_VALUE_SIZE} bytes, which fit into one packet; got {len(value)}")


class Forward(NamedTuple):
    """A server that announced itself here."""

    relay: Address
    """Where its announcement came from, and connection requests for it are sent to."""
    record: bytes


class _Refresh(NamedTuple):
    """What the next element of a refresh chain announces again."""

    target: bytes
    record: bytes
    is_self: bool


class Storage:
    """The stores of one node. ``unix_time`` gives the seconds since 1970."""

    def __init__(self, schedule: Schedule, rng: Random, unix_time: Callable[[], float]) -> None:
        self._rng = rng
        self._unix_time = unix_time
        self.forwards: Generations[bytes, Forward] = Generations(schedule, limit=MAX_RECORDS, age=RECORD_AGE)
        self._records = TopicRecords(schedule, limit=MAX_RECORDS, age=RECORD_AGE)
        self._bumps: Generations[bytes, int] = Generations(schedule, limit=MAX_RECORDS, age=RECORD_AGE)
        self._refreshes: Generations[bytes, _Refresh] = Generations(schedule, limit=MAX_RECORDS, age=RECORD_AGE)
        self._mutable: Generations[bytes, bytes] = Generations(
            schedule, limit=MAX_VALUES, age=VALUE_AGE, max_weight=MAX_VALUE_BYTES, weigh=len
        )
        self._immutable: Generations[bytes, bytes] = Generations(
            schedule, limit=MAX_VALUES, age=VALUE_AGE, max_weight=MAX_VALUE_BYTES, weigh=len
        )

    # announcements

    def announce(self, target: bytes, peer: PeerRecord, source: Address, refresh: bytes | None, bump: int) -> None:
        """``source`` announces ``peer`` under ``target``. Under the hash of its own key it becomes a forward."""
        record = PeerRecord(peer.public_key, peer.relay_addresses[:MAX_STORED_RELAYS]).encode()
        entry = _Refresh(target, record, is_self=hash32(peer.public_key) == target)
        if not entry.is_self and (self._bumps.get(target) or 0) < bump <= self._unix_time() * 1000 + MAX_BUMP_DRIFT_MS:
            self._bumps.set(target, bump)
        self._add(entry, source)
        if refresh is not None:
            self._refreshes.set(refresh, entry)

    def refresh(self, element: bytes, source: Address) -> bool:
        """Announce again what was announced with ``H(element)``, and expect the element before ``element`` next."""
        key = hash32(element)
        entry = self._refreshes.get(key)
        if entry is None:
            return False
        self._add(entry, source)
        self._refreshes.discard(key)
        self._refreshes.set(element, entry)
        return True

    def _add(self, entry: _Refresh, source: Address) -> None:
        target, record, is_self = entry
        if is_self:
            self.forwards.set(target, Forward(source, record))
            self._records.remove(target, record[:32])
        else:
            self._records.add(target, record)

    def unannounce(self, target: bytes, public_key: bytes) -> None:
        if hash32(public_key) == target:
            self.forwards.discard(target)
        self._records.remove(target, public_key)

    def lookup(self, target: bytes, own_record: bytes | None) -> bytes | None:
        """An encoded lookup reply, None when nobody is known. ``own_record``: of a server on this node itself."""
        records = self._records.sample(target, MAX_LOOKUP_RECORDS, self._rng)
        forward = self.find_peer(target, own_record)
        if forward is not None and len(records) < MAX_LOOKUP_RECORDS:
            records.append(forward)
        return encode_lookup_reply(records, self._bumps.get(target) or 0) if records else None

    def find_peer(self, target: bytes, own_record: bytes | None) -> bytes | None:
        if own_record is not None:
            return own_record
        forward = self.forwards.get(target)
        return None if forward is None else forward.record

    # values

    def put_mutable(self, target: bytes, content: MutableValue) -> PutError | None:
        """Store a newer version; the same one again is fine, and renews it."""
        stored = self._mutable.get(target)
        if stored is not None:
            known = MutableValue.decode(stored)
            if content.seq == known.seq and content.value != known.value:
                return PutError.SEQ_REUSED
            if content.seq < known.seq:
                return PutError.SEQ_TOO_LOW
        self._mutable.set(target, content.encode())
        return None

    def get_mutable(self, target: bytes, minimum_seq: int) -> bytes | None:
        """An encoded `MutableValue` of at least that version."""
        stored = self._mutable.get(target)
        return stored if stored is not None and MutableValue.decode(stored).seq >= minimum_seq else None

    def put_immutable(self, target: bytes, value: bytes) -> None:
        self._immutable.set(target, value)

    def get_immutable(self, target: bytes) -> bytes | None:
        return self._immutable.get(target)

    def close(self) -> None:
        """Forget everything, and stop the timers."""
        for store in (
            self.forwards,
            self._records,
            self._bumps,
            self._refreshes,
            self._mutable,
            self._immutable,
        ):
            store.close()
