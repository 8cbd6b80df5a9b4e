"""One connection for each pair of peers, whoever dials, and when."""

import pytest

from holepunch.errors import ConnectError, Reason
from swarm.policy import ConnectionClosed, Limits
from swarm.policy.duplicates import keeps_new
from tests.policy.world import Bug, Host, World

SMALL, BIG = b"\x01" * 32, b"\x02" * 32
SMALL_KEY = World().host(1).public_key


@pytest.mark.parametrize(
    ("own", "remote", "read", "written", "kept"),
    [
        (SMALL, BIG, 0, 0, True),
        (BIG, SMALL, 0, 0, False),
        (BIG, SMALL, 1, 0, False),
        (BIG, SMALL, 0, 1, False),
        (BIG, SMALL, 1, 1, True),
        (SMALL, BIG, 1, 1, True),
    ],
)
def test_the_bigger_key_wins_unless_the_old_connection_is_outdated(
    own: bytes, remote: bytes, read: int, written: int, kept: bool
) -> None:
    assert keeps_new(own, remote, read, written) is kept


def crossing(world: World) -> tuple[Host, Host]:
    small, big = world.host(1), world.host(2)
    small.policy.join_peer(big.public_key)
    big.policy.join_peer(small.public_key)
    return small, big


@pytest.mark.parametrize("seed", range(20))
def test_of_two_crossing_dials_the_one_of_the_bigger_key_stays(seed: int) -> None:
    world = World(seed, jitter=0.02)
    small, big = crossing(world)
    world.run(1)
    world.check()
    assert [end.is_initiator for end in big.open] == [True]
    assert [end.is_initiator for end in small.open] == [False]
    # as between two Node swarms: one connection here, and there perhaps one before it that died at once
    assert len(big.delivered) == 1
    assert 1 <= len(small.delivered) <= 2


def test_nobody_sees_the_loser_of_a_crossing() -> None:
    for seed in range(40):
        world = World(seed, jitter=0.02)
        small, big = crossing(world)
        world.run(5)
        assert len(small.delivered) == len(big.delivered) == 1
        assert small.seen(ConnectionClosed) == big.seen(ConnectionClosed) == []
        assert small.policy.stats().connections == 1


@pytest.mark.parametrize(("first", "second"), [(1, 2), (2, 1)])
def test_a_peer_whose_dial_is_on_its_way_is_not_dialled(first: int, second: int) -> None:
    world = World()
    dialler, other = world.host(first), world.host(second)
    dialler.policy.join_peer(other.public_key)
    world.run(0.015)
    other.policy.join_peer(dialler.public_key)
    world.run(5)
    assert other.dials == []
    assert [end.is_initiator for end in other.delivered] == [False]
    assert [end.is_initiator for end in dialler.delivered] == [True]
    assert other.policy.stats().dialled.failed == 0


def test_a_peer_that_does_not_come_is_dialled_after_a_second() -> None:
    world = World()
    silent, host = world.host(1), world.host(2)
    host.policy.admit(silent.public_key, lambda allowed: None)
    world.run(0.1)
    host.policy.join_peer(silent.public_key)
    world.run(0.8)
    assert host.dials == []
    world.run(0.2)
    assert [dialled for _, dialled in host.dials] == [silent]


def test_losing_a_crossing_costs_the_peer_no_attempt() -> None:
    world = World()
    small, big = crossing(world)
    world.run(1)
    assert small.info(big).attempts == big.info(small).attempts == 0
    assert small.policy.stats().waiting == 0


def test_when_only_the_losing_dial_gets_through_it_is_used() -> None:
    # Node closes it at once; with both retrying, neither side may ever get through.
    world = World()
    world.silence = 10.0
    small, big = world.host(1), world.host(2)
    small.reachable = False
    small.policy.join_peer(big.public_key)
    big.policy.join_peer(small.public_key)
    world.run(9)
    assert big.delivered == []
    world.run(3)
    assert [end.is_initiator for end in big.open] == [False]
    assert small.remotes == [big]
    world.check()


def test_of_several_connections_parked_behind_a_dial_the_last_is_kept() -> None:
    world = World()
    big = world.host(2)
    results: list[int | ConnectError] = []
    big.policy.connect(SMALL_KEY, results.append)
    first, second = big.policy.new_link(), big.policy.new_link()
    for link in (first, second):
        big.policy.accepted(link, SMALL_KEY, lambda: (0, 0))
    (dial,) = (link for link in range(1, first) if link in big.ends)
    big.policy.closed(second, None)
    big.policy.closed(first, None)
    assert results == []
    big.policy.accepted(third := big.policy.new_link(), SMALL_KEY, lambda: (0, 0))
    big.ends[third] = big.ends[dial]
    big.policy.dial_failed(dial, Bug())
    assert results == [third]
    assert big.policy.connection(SMALL_KEY) == third


@pytest.mark.parametrize("how", ["the dial opens", "the peer is banned", "the swarm is suspended"])
def test_a_parked_connection_is_closed_when(how: str) -> None:
    world = World()
    big = world.host(2)
    closed: list[tuple[int, Reason]] = []
    big.policy.connect(SMALL_KEY, lambda result: None)
    (dial,) = big.ends
    parked = big.policy.new_link()
    big.policy.accepted(parked, SMALL_KEY, lambda: (0, 0))
    big.on_close = lambda link, reason: closed.append((link, reason))
    if how == "the dial opens":
        big.policy.dial_opened(dial, lambda: (0, 0))
        assert closed == [(parked, Reason.DUPLICATE_CONNECTION)]
        assert big.policy.connection(SMALL_KEY) == dial
    elif how == "the peer is banned":
        big.policy.peers[SMALL_KEY].ban()
        assert set(closed) == {(parked, Reason.REFUSED), (dial, Reason.REFUSED)}
    else:
        big.policy.suspend(lambda: None)
        assert set(closed) == {(parked, Reason.SUSPENDED), (dial, Reason.SUSPENDED)}


def test_a_parked_connection_that_ends_before_the_dial_fails_is_no_connection() -> None:
    world = World()
    big = world.host(2)
    results: list[int | ConnectError] = []
    big.policy.connect(SMALL_KEY, results.append)
    (dial,) = big.ends
    parked = big.policy.new_link()
    big.policy.accepted(parked, SMALL_KEY, lambda: (0, 0))
    assert big.policy.connection(SMALL_KEY) is None
    big.policy.closed(parked, None)
    big.policy.dial_failed(dial, Bug())
    (error,) = results
    assert isinstance(error, ConnectError)
    assert big.policy.stats().connections == 0


def test_a_connection_that_would_exceed_the_server_limit_replaces_nothing() -> None:
    world = World()
    host = world.host(2, limits=Limits(max_server_connections=1))
    other, big = world.host(1), world.host(3)
    other.policy.connect(host.public_key, lambda result: None)
    host.policy.join_peer(big.public_key)
    world.run(1)
    assert host.remotes == [other, big]
    host.policy.accepted(host.policy.new_link(), big.public_key, lambda: (0, 0))
    assert host.remotes == [other, big]
    assert host.policy.stats().accepted.refused == 1


def test_a_peer_that_dialled_last_starts_over_when_it_is_found() -> None:
    world = World()
    small, big = crossing(world)
    world.run(1)
    assert not small.info(big).client
    assert small.info(big).connected_at is None
    assert big.info(small).client
