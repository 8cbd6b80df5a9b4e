"""Joining, sessions and leaving."""

from functools import partial

import pytest

from swarm.policy import TopicRefreshed
from swarm.topic import Topic
from tests.policy.world import TOPIC, Host, World, established

OTHER = Topic.from_name("elsewhere")


def kinds(host: Host) -> list[str]:
    return [kind for _, kind in host.searches]


def test_flushed_waits_for_the_announce_and_for_the_look_up_after_it() -> None:
    world = World()
    host = world.host(1)
    session = host.policy.join(TOPIC)
    results: list[bool] = []
    session.flushed(results.append)
    world.until(lambda: bool(results))
    assert results == [True]
    assert len(host.seen(TopicRefreshed)) == 2
    session.flushed(results.append)
    assert results == [True]
    world.run()
    assert results == [True, True]


def test_a_client_that_joins_again_as_server_too_announces_the_topic() -> None:
    world = World()
    host = world.host(1)
    host.policy.join(TOPIC, server=False)
    world.flush(host)
    assert host.public_key not in world.records[TOPIC]
    host.policy.join(TOPIC)
    world.flush(host)
    assert host.public_key in world.records[TOPIC]
    assert len(host.policy.topics) == 1


def test_topics_are_listed_in_the_order_of_joining() -> None:
    world = World()
    host = world.host(1)
    topics = [Topic.from_name(str(number)) for number in range(5)]
    for topic in topics:
        host.policy.join(topic)
    assert host.policy.topics == topics
    host.policy.leave(topics[0], lambda: None)
    assert host.policy.topics == topics[1:]
    host.policy.join(topics[0])
    assert host.policy.topics == [*topics[1:], topics[0]]


def test_leaving_the_client_session_does_not_stop_the_server_session() -> None:
    world = World()
    host = world.host(1)
    client = host.policy.join(TOPIC, server=False)
    server = host.policy.join(TOPIC, client=False)
    world.flush(host)
    left: list[None] = []
    client.leave(lambda: left.append(None))
    world.run(1)
    assert left == [None]
    assert host.public_key in world.records[TOPIC]
    assert host.policy.topics == [TOPIC]
    host.searches.clear()
    server.refresh()
    world.run(60)
    assert kinds(host) == ["announce"]


def test_leaving_the_server_session_unannounces_with_a_look_up() -> None:
    world = World()
    host = world.host(1)
    client = host.policy.join(TOPIC, server=False)
    server = host.policy.join(TOPIC, client=False)
    world.flush(host)
    left: list[None] = []
    server.leave(lambda: left.append(None))
    world.run(5)
    assert left == [None]
    assert host.public_key not in world.records[TOPIC]
    assert "withdraw" in kinds(host)
    client.refresh()
    world.run(30)
    assert kinds(host)[-1] == "lookup"


def test_leaving_every_session_leaves_the_topic() -> None:
    world = World()
    host = world.host(1)
    sessions = [host.policy.join(topic) for topic in (TOPIC, TOPIC, OTHER)]
    world.flush(host)
    left: list[int] = []
    assert host.policy.stats().topics == 2
    for number, session in enumerate(sessions):
        session.leave(partial(left.append, number))
    world.run(1)
    assert sorted(left) == [0, 1, 2]
    assert host.policy.topics == []
    assert all(host.public_key not in keys for keys in world.records.values())
    count = len(host.searches)
    world.run(3600)
    assert len(host.searches) == count


def test_leaving_twice_is_no_error_and_leaves_nobody_elses_session() -> None:
    world = World()
    host = world.host(1)
    session, other = host.policy.join(TOPIC), host.policy.join(TOPIC)
    left: list[None] = []
    for _ in range(2):
        session.leave(lambda: left.append(None))
    host.policy.leave(OTHER, lambda: left.append(None))
    world.run(1)
    assert len(left) == 3
    assert not other.ended
    assert host.policy.topics == [TOPIC]


def test_a_session_that_was_left_cannot_be_refreshed() -> None:
    world = World()
    session = world.host(1).policy.join(TOPIC)
    session.leave(lambda: None)
    with pytest.raises(RuntimeError, match="left"):
        session.refresh()


def test_a_peer_that_comes_after_the_server_left_does_not_find_it() -> None:
    world = World()
    server, early, late = world.host(1), world.host(2), world.host(3)
    established(world, early, server)
    server.policy.leave(TOPIC, lambda: None)
    world.run(1)
    late.policy.join(TOPIC, server=False)
    world.run(60)
    assert server.remotes == [early]
    assert late.open == []
    assert kinds(server)[-1] == "unannounce"


def test_leaving_while_announcing_still_unannounces() -> None:
    world = World()
    host = world.host(1)
    host.policy.join(TOPIC)
    world.run(0.015)
    left: list[None] = []
    host.policy.leave(TOPIC, lambda: left.append(None))
    world.run(1)
    assert left == [None]
    assert kinds(host) == ["clear", "unannounce"]


def test_a_topic_joined_while_it_is_being_left_is_announced_again() -> None:
    world = World()
    host = world.host(1)
    host.policy.join(TOPIC)
    world.flush(host)
    left: list[None] = []
    host.policy.leave(TOPIC, lambda: left.append(None))
    again = host.policy.join(TOPIC)
    results: list[bool] = []
    again.flushed(results.append)
    world.run(0.3)
    assert left == [None]
    assert results == [True]
    assert host.public_key in world.records[TOPIC]
    assert host.policy.topics == [TOPIC]
    assert kinds(host) == ["clear", "lookup", "unannounce", "clear", "lookup"]


def test_the_peers_of_a_topic_that_was_left_are_not_dialled_any_more() -> None:
    world = World()
    world.silence = 5.0
    servers = [world.host(number) for number in range(2, 14)]
    client = world.host(1)
    for server in servers:
        server.policy.join(TOPIC, client=False)
    world.run(1)
    for server in servers:
        server.reachable = False
    client.policy.join(TOPIC, server=False)
    world.run(1)
    assert client.policy.stats().queued == 4
    client.policy.leave(TOPIC, lambda: None)
    world.run(100)
    assert len(client.dials) == 8
    assert client.policy.peers == {}


def test_a_connection_outlives_its_topic_but_is_not_dialled_again() -> None:
    world = World()
    server, client = world.host(1), world.host(2)
    established(world, client, server)
    client.policy.leave(TOPIC, lambda: None)
    assert client.info(server).topics == ()
    world.run(10)
    assert client.remotes == [server]
    client.end(client.open[0])
    world.run(100)
    assert client.open == []
    assert client.policy.peers == {}


def test_a_limit_bounds_the_connections_of_one_topic() -> None:
    # swarm-policy section 9, observed with Node: limit 2 of 4 announcers gave 2 connections
    world = World()
    servers = [world.host(number) for number in range(2, 6)]
    client = world.host(1)
    for server in servers:
        server.policy.join(TOPIC, client=False)
    world.run(1)
    session = client.policy.join(TOPIC, server=False, limit=2)
    world.run(60)
    assert len(client.open) == 2
    session.refresh(limit=2)
    world.run(60)
    assert len(client.open) == 2
    session.refresh(limit=3)
    world.run(60)
    assert len(client.open) == 3
    session.refresh()
    world.run(60)
    assert len(client.open) == 4


@pytest.mark.parametrize(("server", "client", "limit"), [(False, False, None), (True, True, 0), (True, True, -1)])
def test_a_join_that_makes_no_sense_is_an_error_and_joins_nothing(server: bool, client: bool, limit: int) -> None:
    world = World()
    host = world.host(1)
    with pytest.raises(ValueError, match=r"neither|limit must be at least 1"):
        host.policy.join(TOPIC, server=server, client=client, limit=limit)
    assert host.policy.topics == []
    assert host.searches == []


def test_a_peer_can_show_over_its_connection_that_it_shares_a_topic() -> None:
    world = World()
    server, client = world.host(1), world.host(2)
    established(world, client, server)
    assert server.info(client).topics == ()
    server.policy.shares(client.public_key, TOPIC)
    server.policy.shares(client.public_key, OTHER)
    assert server.info(client).topics == (TOPIC,)
