import pytest

from holepunch.address import Address
from holepunch.core import Schedule
from swarm.policy import PeerInfo
from swarm.policy.peers import MAX_REFUSED, MAX_RELAY_ADDRESSES, PeerBook, Priority
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
