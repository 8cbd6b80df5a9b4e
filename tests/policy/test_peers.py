from typing import Any

import pytest

from holepunch.address import Address
from holepunch.core import Schedule
from swarm.policy import PeerInfo
from swarm.policy.peers import MAX_RECENT, MAX_REFUSED, MAX_RELAY_ADDRESSES, PeerBook, Priority
from swarm.topic import Topic


def book() -> PeerBook:
    return PeerBook(Schedule(), lambda peer: None, lambda peer: None)


def a_peer() -> PeerInfo:
    return book().add(bytes(32))


@pytest.mark.parametrize(
    ("attempts", "priority"), [(0, Priority.NORMAL), (1, Priority.VERY_HIGH), (2, Priority.HIGH), (3, Priority.LOW)]
)
def test_the_priority_follows_from_the_attempts(attempts: int, priority: Priority) -> None:
    peer = a_peer()
    peer.attempts = attempts
    assert peer.prioritise()
    assert peer.priority is priority


def test_after_four_attempts_only_an_explicit_peer_gets_another() -> None:
    peer = a_peer()
    peer.attempts = 4
    assert not peer.prioritise()
    peer.explicit = True
    assert peer.prioritise()
    assert peer.attempts == 3


def test_a_connection_of_fifteen_seconds_makes_the_next_dial_a_first_one() -> None:
    peer = a_peer()
    for lived, attempts in ((14.9, 1), (14.9, 2), (15.0, 1)):
        peer.connected(100.0)
        peer.disconnected(100.0 + lived)
        assert peer.attempts == attempts


def test_a_failed_dial_counts_whatever_came_before() -> None:
    peer = a_peer()
    peer.connected(0.0)
    peer.disconnected(50.0)
    peer.disconnected(100.0)
    assert peer.attempts == 2


def test_relay_addresses_are_replaced_by_newer_ones_but_not_by_none() -> None:
    peer = a_peer()
    many = [Address("10.0.0.1", port) for port in range(1, 20)]
    peer.found(many)
    assert peer.relay_addresses == tuple(many[:MAX_RELAY_ADDRESSES])
    peer.found([])
    assert peer.relay_addresses == tuple(many[:MAX_RELAY_ADDRESSES])
    peer.found(many[:1])
    assert peer.relay_addresses == tuple(many[:1])


def test_topics_keep_the_order_in_which_they_were_found() -> None:
    peer = a_peer()
    a, b = Topic.from_name("a"), Topic.from_name("b")
    assert peer.add_topic(b)
    assert peer.add_topic(a)
    assert not peer.add_topic(b)
    assert list(peer.topics) == [b, a]
    assert peer.drop_topic(b)
    assert not peer.drop_topic(b)
    assert list(peer.topics) == [a]


def test_a_banned_peer_is_never_forgotten() -> None:
    peers = book()
    peer = peers.add(bytes(32))
    peer.ban()
    peers.forget(peer)
    assert peers.get(bytes(32)) is peer
    peer.unban()
    peers.forget(peer)
    assert peers.get(bytes(32)) is None


def test_banning_a_forgotten_peer_remembers_it() -> None:
    peers = book()
    peer = peers.add(bytes(32))
    peers.forget(peer)
    peer.ban()
    assert peers.get(bytes(32)) is peer


def test_banning_through_a_replaced_entry_bans_the_peer() -> None:
    peers = book()
    old = peers.add(bytes(32))
    peers.forget(old)
    new = peers.add(bytes(32))
    old.ban()
    assert new.banned
    old.unban()
    assert not new.banned


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_a_ban_lasts_more_than_no_time(seconds: float) -> None:
    with pytest.raises(ValueError, match=r"more than 0 seconds"):
        a_peer().ban(seconds)


@pytest.mark.parametrize("seconds", ["x", "5", [5]])
def test_a_ban_lasts_a_number_of_seconds(seconds: Any) -> None:
    with pytest.raises(TypeError, match="a number of seconds"):
        a_peer().ban(seconds)


def test_a_later_ban_replaces_the_term_of_an_earlier_one() -> None:
    schedule = Schedule()
    lifted: list[PeerInfo] = []
    peers = PeerBook(schedule, lambda peer: None, lifted.append)
    peer = peers.add(bytes(32))
    peer.ban(5)
    peer.ban(20)
    schedule.advance(10)
    assert peer.banned
    schedule.advance(20)
    assert not peer.banned
    peer.ban(5)
    peer.ban()
    schedule.advance(1000)
    assert peer.banned
    assert lifted == [peer]


def test_a_flood_of_refused_keys_is_bounded_and_spares_what_the_application_banned() -> None:
    peers = book()
    own = peers.add(bytes(32))
    own.ban()
    for number in range(1, MAX_REFUSED + 10):
        peers.refuse(peers.add(number.to_bytes(32, "big")), None)
    assert sum(peer.banned for peer in peers) == MAX_REFUSED + 1
    assert own.banned
    assert not peers.add((1).to_bytes(32, "big")).banned


def a_failed_peer(peers: PeerBook, number: int) -> PeerInfo:
    """One that was dialled in vain, and forgotten."""
    peer = peers.add(number.to_bytes(32, "big"))
    peer.last_error = LookupError(str(number))
    peer.disconnected(0.0)
    peers.forget(peer)
    return peer


def test_a_forgotten_peer_can_be_looked_at_for_a_while_if_there_is_anything_to_see() -> None:
    peers = book()
    peers.forget(peers.add(bytes(32)))
    assert peers.recent == {}
    peer = a_failed_peer(peers, 1)
    assert peers.recent == {peer.public_key: peer}
    assert peers.get(peer.public_key) is None


def test_a_peer_that_comes_back_keeps_its_last_error_and_nothing_else() -> None:
    peers = book()
    old = a_failed_peer(peers, 1)
    new = peers.add(old.public_key)
    assert new is not old
    assert new.last_error is old.last_error
    assert new.attempts == 0
    assert peers.recent == {}
    peers.forget(new)
    assert peers.recent == {new.public_key: new}


def test_only_so_many_forgotten_peers_can_be_looked_at() -> None:
    peers = book()
    keys = [a_failed_peer(peers, number).public_key for number in range(MAX_RECENT + 3)]
    assert list(peers.recent) == keys[3:]


def test_banning_a_peer_that_can_still_be_looked_at_remembers_it() -> None:
    peers = book()
    peer = a_failed_peer(peers, 1)
    peer.ban()
    assert peers.get(peer.public_key) is peer
    assert peers.recent == {}
