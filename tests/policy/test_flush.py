"""Flush: every peer known at this moment was tried once."""

from swarm.policy import Limits
from swarm.topic import Topic
from tests.policy.world import TOPIC, World


def test_a_flush_with_nothing_to_do_is_done() -> None:
    world = World()
    results: list[bool] = []
    world.host(1).policy.flush(results.append)
    assert results == []
    world.run()
    assert results == [True]


def test_after_a_flush_the_peers_of_a_topic_are_connected() -> None:
    world = World()
    servers = [world.host(number) for number in range(2, 20)]
    client = world.host(1)
    for server in servers:
        server.policy.join(TOPIC, client=False)
    world.run(1)
    client.policy.join(TOPIC, server=False)
    assert world.flush(client) == [True]
    assert client.remotes == servers


def test_a_flush_ends_although_peers_are_unreachable() -> None:
    world = World()
    servers = [world.host(number) for number in range(2, 20)]
    client = world.host(1)
    for server in servers:
        server.policy.join(TOPIC, client=False)
    world.run(1)
    for server in servers:
        server.reachable = False
    client.policy.join(TOPIC, server=False)
    assert world.flush(client) == [True]
    assert {target for _, target in client.dials} == set(servers)


def test_a_flush_right_after_join_peer_ends_with_the_connection() -> None:
    # Node's never ends: it counts this dial as pending and never as done
    world = World()
    server, client = world.host(1), world.host(2)
    client.policy.join_peer(server.public_key)
    assert world.flush(client) == [True]
    assert client.remotes == [server]


def test_a_flush_counts_every_explicit_peer_even_those_that_wait_for_a_place() -> None:
    world = World()
    client = world.host(1, limits=Limits(max_parallel=2, max_peers=1))
    servers = [world.host(number) for number in range(2, 9)]
    for server in servers:
        client.policy.join_peer(server.public_key)
    assert world.flush(client) == [True]
    assert client.remotes == servers


def test_a_flush_ends_when_max_peers_is_reached() -> None:
    world = World()
    servers = [world.host(number) for number in range(2, 6)]
    client = world.host(1, limits=Limits(max_peers=1))
    for server in servers:
        server.policy.join(TOPIC, client=False)
    world.run(1)
    client.policy.join(TOPIC, server=False)
    assert world.flush(client) == [True]
    assert len(client.open) == 1
    assert world.flush(client) == [True]


def test_a_flush_does_not_wait_for_peers_found_later_or_waiting_for_a_retry() -> None:
    world = World()
    world.silence = 100.0
    live, dead = world.host(2), world.host(3)
    client = world.host(1)
    client.policy.join_peer(live.public_key)
    results: list[bool] = []
    client.policy.flush(results.append)
    world.run()
    dead.reachable = False
    client.policy.join_peer(dead.public_key)
    world.run(1)
    assert results == [True]
    world.run(100)
    assert client.policy.stats().waiting == 1
    client.policy.flush(results.append)
    world.run(0.1)
    assert results == [True, True]


def test_a_peer_that_is_dropped_from_the_queue_counts_as_tried() -> None:
    world = World()
    world.silence = 100.0
    client = world.host(1, limits=Limits(max_parallel=1))
    busy, left, banned = world.host(2), world.host(3), world.host(4)
    for server in (busy, left, banned):
        server.reachable = False
        client.policy.join_peer(server.public_key)
    results: list[bool] = []
    client.policy.flush(results.append)
    world.run()
    client.policy.leave_peer(left.public_key)
    client.info(banned).ban()
    assert results == []
    client.policy.leave_peer(busy.public_key)
    assert results == [True]
    assert client.policy.connecting == 0


def test_a_flush_is_false_when_the_swarm_is_suspended_or_closed_meanwhile() -> None:
    for stop in ("suspend", "close"):
        world = World()
        world.silence = 100.0
        server, client = world.host(1), world.host(2)
        server.reachable = False
        client.policy.join_peer(server.public_key)
        results: list[bool] = []
        client.policy.flush(results.append)
        world.run(1)
        getattr(client.policy, stop)(lambda: None)
        assert results == [False]
        client.policy.flush(results.append)
        world.run(1)
        assert results == [False, False]


def test_a_flush_is_false_when_a_topic_could_not_be_refreshed() -> None:
    world = World()
    server, client = world.host(2), world.host(1)
    client.policy.join_peer(server.public_key)
    client.policy.join(TOPIC)
    world.offline = True
    assert world.flush(client) == [False]
    assert client.remotes == [server], "what could be tried was tried"
    world.offline = False
    world.run(10)
    assert world.flush(client) == [True]


def test_a_topic_that_is_left_meanwhile_spoils_no_flush() -> None:
    world = World()
    client = world.host(1)
    client.policy.join(TOPIC)
    client.policy.join(Topic.from_name("another"))
    results: list[bool] = []
    client.policy.flush(results.append)
    client.policy.leave(TOPIC, lambda: None)
    world.run(5)
    assert results == [True]
