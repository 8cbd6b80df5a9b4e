"""Peers that the application names by key: `join_peer` and `connect`."""

import pytest

from holepunch.errors import ConnectError, Reason
from swarm.policy import Backoffs, Limits
from tests.policy.world import Host, World, established

QUICK = Backoffs(0.1, 0.2, 0.3, 0.4)


def test_a_peer_that_only_listens_is_connected_by_its_key_and_again_after_the_end() -> None:
    world = World()
    server, client = world.host(1), world.host(2)
    client.policy.join_peer(server.public_key)
    world.run(1)
    assert client.remotes == [server]
    client.end(client.open[0])
    world.run(5)
    assert client.remotes == [server]
    assert len(client.delivered) + len(server.delivered) == 4


def test_joining_oneself_does_nothing() -> None:
    world = World()
    host = world.host(1)
    host.policy.join_peer(host.public_key)
    assert host.policy.explicit_peers == []
    assert host.policy.stats().queued == host.policy.connecting == 0


def test_leaving_a_peer_keeps_the_connection_but_stops_reconnecting() -> None:
    world = World()
    server, client = world.host(1), world.host(2)
    client.policy.join_peer(server.public_key)
    world.run(1)
    client.policy.leave_peer(server.public_key)
    assert client.policy.explicit_peers == []
    world.run(1)
    assert (len(client.open), len(server.open)) == (1, 1)
    client.end(client.open[0])
    world.run(100)
    assert (len(client.open), len(server.open)) == (0, 0)
    assert len(client.delivered) == 1


def test_leaving_a_peer_after_the_other_side_closed_leaves_nothing_behind() -> None:
    world = World()
    server, client = world.host(1), world.host(2)
    client.policy.join_peer(server.public_key)
    world.run(1)
    world.kill(server)
    world.run(4)
    client.policy.leave_peer(server.public_key)
    world.run(100)
    assert client.policy.explicit_peers == []
    assert client.policy.peers == {}


def test_an_unreachable_explicit_peer_is_retried_for_ever() -> None:
    world = World()
    world.silence = 0.0
    server, client = world.host(1), world.host(2, backoffs=QUICK, jitter=0.0)
    server.reachable = False
    client.policy.join_peer(server.public_key)
    world.run(60)
    gaps = [later[0] - earlier[0] for earlier, later in zip(client.dials[4:], client.dials[5:], strict=False)]
    assert len(gaps) > 90
    # swarm-policy section 5: about every 530 ms with a last backoff of 400
    assert all(0.26 <= gap <= 0.56 for gap in gaps)


def test_an_explicit_peer_is_dialled_although_max_peers_is_reached() -> None:
    world = World()
    a, b = world.host(2), world.host(3)
    full = world.host(1, limits=Limits(max_peers=1))
    established(world, full, a)
    full.policy.join_peer(b.public_key)
    world.run(1)
    assert full.remotes == [a, b]
    full.end(next(end for end in full.open if end.remote is b))
    world.run(30)
    assert full.remotes == [a, b]


def test_no_more_dials_at_a_time_than_max_parallel() -> None:
    world = World()
    world.silence = 10.0
    client = world.host(1, limits=Limits(max_parallel=2))
    servers = [world.host(number) for number in range(2, 8)]
    for server in servers:
        server.reachable = False
        client.policy.join_peer(server.public_key)
    world.run(5)
    assert client.policy.connecting == 2
    client.policy.connect(servers[-1].public_key, lambda result: None)
    assert client.policy.connecting == 3  # what the application asks for does not wait


def test_dials_of_the_application_take_no_place_from_others() -> None:
    world = World()
    world.silence = 100.0
    client = world.host(1, limits=Limits(max_parallel=1))
    dead, live = world.host(2), world.host(3)
    dead.reachable = False
    client.policy.connect(dead.public_key, lambda result: None)
    client.policy.join_peer(live.public_key)
    world.run(1)
    assert client.remotes == [live]


def test_an_explicit_peer_with_reconnect_switched_off_is_not_dialled_again() -> None:
    world = World()
    client, server, other = world.host(1), world.host(2), world.host(3)
    client.policy.join_peer(server.public_key)
    world.run(1)
    client.info(server).reconnect = False
    client.end(client.open[0])
    world.run(100)
    client.policy.join_peer(other.public_key)
    world.run(1)
    assert client.remotes == [other]


def test_an_explicit_peer_that_never_answers_is_not_dialled_each_time_a_place_is_free() -> None:
    world = World()
    world.silence = 0.0
    client, server = world.host(1), world.host(2)
    server.reachable = False
    client.policy.join_peer(server.public_key)
    for number in range(40):  # each of these frees a place when its dial fails
        world.run(10)
        client.policy.connect(number.to_bytes(2, "big") * 16, lambda result: None)
    dials = [at for at, target in client.dials if target is server]
    assert 5 <= len(dials) <= 7
    assert client.info(server).attempts == 5


def test_connect_gives_the_connection_to_the_caller_only() -> None:
    world = World()
    server, client = world.host(1), world.host(2)
    results: list[int | ConnectError] = []
    client.policy.connect(server.public_key, results.append)
    assert results == []
    world.run(1)
    assert results == [client.open[0].link]
    assert client.delivered == []
    assert len(server.delivered) == 1


def test_connect_shares_an_open_connection() -> None:
    world = World()
    server, client = world.host(1), world.host(2)
    client.policy.join_peer(server.public_key)
    world.run(1)
    results: list[int | ConnectError] = []
    client.policy.connect(server.public_key, results.append)
    assert results == []
    world.run()
    assert results == [client.open[0].link]
    assert len(client.dials) == 1


def test_connect_shares_a_dial_in_progress_and_its_end() -> None:
    world = World()
    server, client = world.host(1), world.host(2)
    results: list[int | ConnectError] = []
    client.policy.join_peer(server.public_key)
    for _ in range(3):
        client.policy.connect(server.public_key, results.append)
    world.run(1)
    assert len(client.dials) == 1
    assert results == [client.open[0].link] * 3
    assert client.delivered == []


def test_connect_reports_why_it_failed_and_is_not_retried() -> None:
    world = World()
    server, client = world.host(1), world.host(2)
    server.reachable = False
    results: list[int | ConnectError] = []
    client.policy.connect(server.public_key, results.append)
    world.run(60)
    (error,) = results
    assert isinstance(error, ConnectError)
    assert error.reason is Reason.PEER_NOT_FOUND
    assert len(client.dials) == 1
    assert client.policy.peers == {}


def test_a_connection_that_the_peer_began_meanwhile_will_do() -> None:
    for seed in range(20):
        world = World(seed, jitter=0.03)
        small, big = world.host(1), world.host(2)
        results: dict[Host, list[int | ConnectError]] = {small: [], big: []}
        for host, other in ((small, big), (big, small)):
            host.policy.connect(other.public_key, results[host].append)
        world.run(1)
        assert all(len(given) == 1 and isinstance(given[0], int) for given in results.values())
        assert results[big] == [big.open[0].link]
        world.check()


def test_a_cancelled_connect_ends_the_dial_that_nobody_else_wants() -> None:
    world = World()
    server, client = world.host(1), world.host(2)
    cancel = client.policy.connect(server.public_key, lambda result: pytest.fail("cancelled"))
    cancel()
    cancel()
    assert client.policy.connecting == 0
    world.run(10)
    assert client.open == server.open == []
    assert client.policy.peers == {}


def test_a_cancelled_connect_leaves_alone_what_others_want() -> None:
    world = World()
    server, client = world.host(1), world.host(2)
    results: list[int | ConnectError] = []
    cancel = client.policy.connect(server.public_key, lambda result: pytest.fail("cancelled"))
    client.policy.connect(server.public_key, results.append)
    cancel()
    world.run(1)
    assert len(results) == 1

    third = world.host(3)
    cancel = third.policy.connect(server.public_key, lambda result: pytest.fail("cancelled"))
    third.policy.join_peer(server.public_key)
    cancel()
    world.run(1)
    assert third.remotes == [server]
    assert len(third.delivered) == 1


def test_a_connect_cancelled_before_it_is_answered_is_not_answered() -> None:
    world = World()
    server, client = world.host(1), world.host(2)
    client.policy.join_peer(server.public_key)
    world.run(1)
    cancel = client.policy.connect(server.public_key, lambda result: pytest.fail("cancelled"))
    cancel()
    world.run(1)
    assert client.remotes == [server]


def test_a_shared_connection_that_ends_in_the_same_instant_is_an_error() -> None:
    world = World()
    server, client = world.host(1), world.host(2)
    client.policy.join_peer(server.public_key)
    world.run(1)
    results: list[int | ConnectError] = []
    client.policy.connect(server.public_key, results.append)
    client.end(client.open[0])
    world.run()
    (error,) = results
    assert isinstance(error, ConnectError)
    assert error.reason is Reason.PEER_CONNECTION_FAILED


def test_connecting_to_oneself_is_an_error() -> None:
    world = World()
    host = world.host(1)
    with pytest.raises(ValueError, match="own public key"):
        host.policy.connect(host.public_key, lambda result: None)


def test_connecting_to_a_banned_peer_is_refused() -> None:
    world = World()
    server, client = world.host(1), world.host(2)
    client.policy.ban(server.public_key, "misbehaved")
    results: list[int | ConnectError] = []
    client.policy.connect(server.public_key, results.append)
    world.run()
    (error,) = results
    assert isinstance(error, ConnectError)
    assert error.reason is Reason.REFUSED
    assert server.public_key in client.policy.peers


def test_connecting_to_a_banned_peer_gives_the_connection_there_is_and_makes_no_other() -> None:
    world = World()
    server, client = world.host(1), world.host(2)
    client.policy.join_peer(server.public_key)
    world.run(1)
    client.info(server).ban()
    results: list[int | ConnectError] = []
    client.policy.connect(server.public_key, results.append)
    world.run(1)
    assert results == [client.open[0].link]
    client.end(client.open[0])
    world.run(5)
    client.policy.connect(server.public_key, results.append)
    world.run(1)
    assert isinstance(results[1], ConnectError)
    assert results[1].reason is Reason.REFUSED


def test_what_is_decided_without_a_dial_says_so() -> None:
    world = World()
    client, server = world.host(1), world.host(2)
    results: list[int | ConnectError] = []
    client.policy.ban(server.public_key, "a test")
    client.policy.connect(server.public_key, results.append)
    world.run(1)
    client.policy.suspend(lambda: None)
    client.policy.connect(world.host(3).public_key, results.append)
    world.run(1)
    for result, reason in zip(results, (Reason.REFUSED, Reason.SUSPENDED), strict=True):
        assert isinstance(result, ConnectError)
        assert result.reason is reason
        assert [stage.name for stage in result.attempt.stages] == ["decided here"]


def test_why_a_peer_that_is_given_up_failed_can_be_read() -> None:
    world = World()
    world.silence = 0.1
    client, dead, guest = world.host(1), world.host(2), world.host(3)
    dead.reachable = False
    results: list[int | ConnectError] = []
    client.policy.connect(dead.public_key, results.append)
    world.run(1)
    assert client.policy.peers == {}
    assert client.policy.seen_peers[dead.public_key].last_error is results[0]
    client.policy.connect(guest.public_key, results.append)
    world.run(1)
    error = LookupError("it broke")
    client.end(client.open[0], error)
    world.run(1)
    assert client.policy.seen_peers[guest.public_key].last_error is error
    assert client.public_key in guest.policy.seen_peers
