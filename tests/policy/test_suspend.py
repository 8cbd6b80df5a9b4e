"""Suspending, resuming, and closing for good."""

import pytest

from holepunch.errors import ConnectError, Reason
from swarm.policy import ConnectionClosed
from tests.policy.world import TOPIC, World


def test_after_suspend_and_resume_both_sides_have_a_new_connection() -> None:
    world = World()
    a, b = world.host(1), world.host(2)
    for host in (a, b):
        host.policy.join(TOPIC)
        world.run(1)
    done: list[None] = []
    a.policy.suspend(lambda: done.append(None))
    assert a.policy.suspended
    world.run(2)
    assert done == [None]
    assert a.open == b.open == []
    assert a.public_key not in world.records[TOPIC]
    assert len(a.seen(ConnectionClosed)) == 1
    a.policy.resume()
    world.run(5)
    assert len(a.delivered) == len(b.delivered) == 2
    assert a.public_key in world.records[TOPIC]
    world.check()


def test_a_suspended_swarm_does_nothing() -> None:
    world = World()
    a, b = world.host(1), world.host(2)
    for host in (a, b):
        host.policy.join(TOPIC)
        world.run(1)
    a.policy.suspend(lambda: None)
    world.run(1)
    a.searches.clear()
    results: list[int | ConnectError] = []
    decided: list[bool] = []
    a.policy.connect(b.public_key, results.append)
    a.policy.admit(b.public_key, decided.append)
    a.policy.join_peer(b.public_key)
    a.policy.network_changed()
    a.policy.woke_up()
    dials = len(a.dials)
    world.run(3600)
    assert isinstance(results[0], ConnectError)
    assert results[0].reason is Reason.SUSPENDED
    assert decided == [False]
    assert a.searches == []
    assert len(a.dials) == dials
    assert a.open == []


def test_a_connection_that_verifies_while_suspended_is_refused() -> None:
    world = World()
    a, b = world.host(1), world.host(2)
    a.policy.suspend(lambda: None)
    a.policy.accepted(a.policy.new_link(), b.public_key, lambda: (0, 0))
    assert a.policy.stats().connections == 0
    assert a.policy.stats().accepted.refused == 1


def test_a_peer_that_was_queued_at_suspend_is_dialled_after_resume() -> None:
    # Node keeps it marked as queued in a queue that is gone, and never dials it again
    world = World()
    world.silence = 20.0
    client = world.host(1)
    servers = [world.host(number) for number in range(2, 14)]
    for server in servers:
        server.policy.join(TOPIC, client=False)
    world.run(1)
    for server in servers:
        server.reachable = False
    client.policy.join(TOPIC, server=False)
    world.run(1)
    assert client.policy.stats().queued == 4
    client.policy.suspend(lambda: None)
    stats = client.policy.stats()
    assert (stats.queued, stats.connecting, stats.waiting, stats.peers) == (0, 0, 0, 0)
    for server in servers:
        server.reachable = True
    client.policy.resume()
    world.run(2)
    assert client.remotes == servers


def test_a_peer_that_waited_for_a_retry_at_suspend_is_dialled_after_resume() -> None:
    world = World()
    server, client = world.host(1), world.host(2)
    server.reachable = False
    client.policy.join_peer(server.public_key)
    world.until(lambda: len(client.dials) == 3)
    world.until(lambda: client.policy.stats().waiting == 1)
    client.policy.suspend(lambda: None)
    server.reachable = True
    client.policy.resume()
    world.run(0.1)
    assert client.remotes == [server]


def test_a_topic_joined_while_suspended_is_announced_on_resume() -> None:
    world = World()
    host = world.host(1)
    host.policy.suspend(lambda: None)
    session = host.policy.join(TOPIC)
    results: list[bool] = []
    session.flushed(results.append)
    world.run(10)
    assert results == [False]
    assert host.searches == []
    host.policy.resume()
    world.run(1)
    assert host.public_key in world.records[TOPIC]


def test_resuming_before_the_suspend_is_over_announces_again_afterwards() -> None:
    world = World()
    host = world.host(1)
    host.policy.join(TOPIC)
    world.flush(host)
    done: list[None] = []
    host.policy.suspend(lambda: done.append(None))
    host.policy.resume()
    world.run(0.3)
    assert done == [None]
    assert host.public_key in world.records[TOPIC]
    assert [kind for _, kind in host.searches] == ["clear", "lookup", "unannounce", "clear", "lookup"]


def test_suspending_twice_ends_twice() -> None:
    world = World()
    host = world.host(1)
    host.policy.join(TOPIC)
    world.flush(host)
    done: list[None] = []
    for _ in range(2):
        host.policy.suspend(lambda: done.append(None))
    world.run(1)
    assert len(done) == 2


def test_resuming_a_running_swarm_does_nothing() -> None:
    world = World()
    host = world.host(1)
    host.policy.join(TOPIC)
    world.run(20)
    count = len(host.searches)
    host.policy.resume()
    world.run(1)
    assert len(host.searches) == count


def test_who_waits_for_a_connection_hears_of_the_suspend() -> None:
    world = World()
    server, client = world.host(1), world.host(2)
    results: list[int | ConnectError] = []
    client.policy.connect(server.public_key, results.append)
    client.policy.suspend(lambda: None)
    (error,) = results
    assert isinstance(error, ConnectError)
    assert error.reason is Reason.SUSPENDED


def test_closing_leaves_every_topic_and_leaves_connections_to_the_driver() -> None:
    world = World()
    a, b = world.host(1), world.host(2)
    for host in (a, b):
        host.policy.join(TOPIC)
        world.run(1)
    done: list[None] = []
    a.policy.close(lambda: done.append(None))
    world.run(1)
    assert done == [None]
    assert a.public_key not in world.records[TOPIC]
    assert a.remotes == [b]
    a.end(a.open[0])
    searches, dials = len(a.searches), len(a.dials)
    a.policy.resume()
    world.run(3600)
    assert (len(a.searches), len(a.dials)) == (searches, dials)
    with pytest.raises(RuntimeError, match="closed"):
        a.policy.join(TOPIC)


def test_questions_that_are_open_at_suspend_are_answered_with_silence() -> None:
    world = World()
    server, client = world.host(1, asks=True), world.host(2)
    decided: list[bool] = []
    results: list[int | ConnectError] = []
    server.policy.admit(client.public_key, decided.append)
    server.policy.connect(world.host(3).public_key, results.append)
    server.policy.suspend(lambda: None)
    assert decided == [False]
    assert len(results) == 1
    assert server.policy.stats().bans == 0
    assert server.policy.stats().dialled.attempted == 0
