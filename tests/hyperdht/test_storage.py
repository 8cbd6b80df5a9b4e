"""What a persistent node keeps, and for how long."""

from __future__ import annotations

import random

import pytest

from holepunch.address import Address
from holepunch.core import Schedule
from holepunch.keys import PublicKey, hash32
from swarm.hyperdht.messages import LookupReply, MutableValue, PeerRecord, PutError
from swarm.hyperdht.signatures import refresh_chain
from swarm.hyperdht.storage import MAX_LOOKUP_RECORDS, Storage

TOPIC = hash32(b"topic")
SOURCE = Address("1.2.3.4", 5)
RELAYS = tuple(Address("10.0.0.1", n) for n in range(1, 6))
TURN = 20 * 60 * 2 / 3
NOW_MS = 1_800_000_000_000


class Fixture:
    def __init__(self) -> None:
        self.schedule = Schedule()
        self.storage = Storage(self.schedule, random.Random(1), lambda: NOW_MS / 1000 + self.schedule.now)

    def announce(
        self,
        key: int,
        target: bytes = TOPIC,
        relays: tuple[Address, ...] = (),
        source: Address = SOURCE,
        refresh: bytes | None = None,
        bump: int = 0,
    ) -> None:
        self.storage.announce(target, PeerRecord(public_key(key), relays), source, refresh, bump)

    def found(self, target: bytes = TOPIC) -> LookupReply:
        reply = self.storage.lookup(target, None)
        return LookupReply(()) if reply is None else LookupReply.decode(reply)

    def keys(self, target: bytes = TOPIC) -> set[bytes]:
        return {bytes(peer.public_key) for peer in self.found(target).peers}


def public_key(number: int) -> PublicKey:
    return PublicKey(number.to_bytes(32, "big"))


@pytest.fixture
def fixture() -> Fixture:
    return Fixture()


def test_announced_peer_is_found_until_it_expires(fixture: Fixture) -> None:
    fixture.announce(1)
    fixture.schedule.advance(TURN - 1)
    assert fixture.keys() == {public_key(1)}
    fixture.schedule.advance(2 * TURN + 1)
    assert fixture.storage.lookup(TOPIC, None) is None


def test_three_relay_addresses_are_kept(fixture: Fixture) -> None:
    fixture.announce(1, relays=RELAYS)
    assert fixture.found().peers[0].relay_addresses == RELAYS[:3]


def test_at_most_twenty_of_many_are_told(fixture: Fixture) -> None:
    for n in range(50):
        fixture.announce(n)
    replies = [fixture.found() for _ in range(20)]
    assert all(len(reply.peers) == MAX_LOOKUP_RECORDS for reply in replies)
    assert len({peer.public_key for reply in replies for peer in reply.peers}) > 40


def test_unannounced_peer_is_not_found(fixture: Fixture) -> None:
    fixture.announce(1)
    fixture.announce(2)
    fixture.storage.unannounce(TOPIC, public_key(1))
    assert fixture.keys() == {public_key(2)}


def test_peer_announced_under_its_own_key_becomes_a_forward(fixture: Fixture) -> None:
    own = hash32(public_key(1))
    fixture.announce(1, target=own)
    forward = fixture.storage.forwards.get(own)
    assert forward is not None
    assert forward.relay == SOURCE
    assert fixture.storage.find_peer(own, None) == PeerRecord(public_key(1)).encode()
    assert fixture.keys(own) == {public_key(1)}
    fixture.storage.unannounce(own, public_key(1))
    assert fixture.storage.find_peer(own, None) is None


def test_forward_follows_the_latest_announcement_at_once(fixture: Fixture) -> None:
    own = hash32(public_key(1))
    fixture.announce(1, target=own)
    fixture.announce(1, target=own, source=RELAYS[0])
    forward = fixture.storage.forwards.get(own)
    assert forward is not None
    assert forward.relay == RELAYS[0]


def test_forward_in_use_does_not_expire(fixture: Fixture) -> None:
    own = hash32(public_key(1))
    fixture.announce(1, target=own)
    for turn in range(1, 6):
        fixture.schedule.advance(turn * TURN + 1)
        assert fixture.storage.find_peer(own, None) is not None
    fixture.schedule.advance(10 * TURN)
    assert fixture.storage.find_peer(own, None) is None


def test_server_of_the_node_itself_is_found_without_being_stored(fixture: Fixture) -> None:
    record = PeerRecord(public_key(7)).encode()
    assert fixture.storage.find_peer(TOPIC, record) == record
    reply = fixture.storage.lookup(TOPIC, record)
    assert reply is not None
    assert LookupReply.decode(reply).peers == (PeerRecord(public_key(7)),)


@pytest.mark.parametrize(("ahead_ms", "kept"), [(-1, True), (60_000, True), (60_001, False)])
def test_bump_may_be_a_minute_ahead(fixture: Fixture, ahead_ms: int, kept: bool) -> None:
    fixture.announce(1, bump=NOW_MS + ahead_ms)
    assert fixture.found().bump == (NOW_MS + ahead_ms if kept else 0)


def test_bump_only_grows(fixture: Fixture) -> None:
    for bump in (5, 9, 7, 0):
        fixture.announce(1, bump=bump)
    assert fixture.found().bump == 9


def test_refresh_chain_renews_an_announcement_element_by_element(fixture: Fixture) -> None:
    chain = refresh_chain(bytes(32), 3)
    fixture.announce(1, refresh=chain[0])
    for turn, element in enumerate(chain[1:], start=1):
        fixture.schedule.advance(turn * TURN + 1)
        assert fixture.storage.refresh(element, SOURCE)
    fixture.schedule.advance(3 * TURN - 1)
    assert fixture.keys() == {public_key(1)}


def test_refresh_element_is_good_once(fixture: Fixture) -> None:
    chain = refresh_chain(bytes(32), 2)
    fixture.announce(1, refresh=chain[0])
    assert not fixture.storage.refresh(chain[0], SOURCE)
    assert fixture.storage.refresh(chain[1], SOURCE)
    assert not fixture.storage.refresh(chain[1], SOURCE)


def test_refreshed_forward_moves_to_where_the_refresh_came_from(fixture: Fixture) -> None:
    chain = refresh_chain(bytes(32), 2)
    own = hash32(public_key(1))
    fixture.announce(1, target=own, refresh=chain[0])
    assert fixture.storage.refresh(chain[1], RELAYS[0])
    forward = fixture.storage.forwards.get(own)
    assert forward is not None
    assert forward.relay == RELAYS[0]


def mutable(seq: int, value: bytes = b"value") -> MutableValue:
    return MutableValue(seq, value, bytes(64))


def test_newer_version_replaces_an_older_one(fixture: Fixture) -> None:
    assert fixture.storage.put_mutable(TOPIC, mutable(1)) is None
    assert fixture.storage.put_mutable(TOPIC, mutable(3, b"new")) is None
    assert fixture.storage.get_mutable(TOPIC, 0) == mutable(3, b"new").encode()


def test_same_version_again_is_fine_but_not_with_another_value(fixture: Fixture) -> None:
    assert fixture.storage.put_mutable(TOPIC, mutable(1)) is None
    assert fixture.storage.put_mutable(TOPIC, mutable(1)) is None
    assert fixture.storage.put_mutable(TOPIC, mutable(1, b"other")) is PutError.SEQ_REUSED
    assert fixture.storage.put_mutable(TOPIC, mutable(0)) is PutError.SEQ_TOO_LOW
    assert fixture.storage.get_mutable(TOPIC, 0) == mutable(1).encode()


def test_version_below_the_wanted_one_is_not_told(fixture: Fixture) -> None:
    fixture.storage.put_mutable(TOPIC, mutable(4))
    assert fixture.storage.get_mutable(TOPIC, 4) == mutable(4).encode()
    assert fixture.storage.get_mutable(TOPIC, 5) is None


def test_values_live_for_days_and_reading_renews_them(fixture: Fixture) -> None:
    day = 86400.0
    fixture.storage.put_immutable(TOPIC, b"read")
    fixture.storage.put_mutable(TOPIC, mutable(1))
    for n in range(1, 6):
        fixture.schedule.advance(n * day)
        assert fixture.storage.get_immutable(TOPIC) == b"read"
    assert fixture.storage.get_mutable(TOPIC, 0) is None


def test_closed_storage_is_empty(fixture: Fixture) -> None:
    fixture.announce(1)
    fixture.storage.put_immutable(TOPIC, b"value")
    fixture.storage.close()
    assert fixture.storage.lookup(TOPIC, None) is None
    assert fixture.storage.get_immutable(TOPIC) is None
    assert fixture.schedule.deadline() > 1e9
