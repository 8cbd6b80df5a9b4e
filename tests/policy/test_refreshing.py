"""When a topic is announced and looked up, and how peers that join at the same instant meet."""

from itertools import pairwise

import pytest

from swarm.policy import Backoffs, RefreshFailed, TopicRefreshed
from swarm.policy.rendezvous import REFRESH_INTERVAL, REFRESH_JITTER
from swarm.topic import Topic
from tests.policy.world import NODES, TOPIC, Host, World

OTHER = Topic.from_name("elsewhere")


def kinds(host: Host) -> list[str]:
    return [kind for _, kind in host.searches]


@pytest.mark.parametrize("count", range(2, 11))
@pytest.mark.parametrize("seed", range(3))
def test_peers_that_join_at_the_same_instant_are_all_connected_once_within_two_seconds(count: int, seed: int) -> None:
    world = World(seed, jitter=0.03)
    hosts = [world.host(number) for number in range(1, count + 1)]
    for host in hosts:
        host.policy.join(TOPIC)
    world.run(2)
    for host in hosts:
        assert host.remotes == [other for other in hosts if other is not host]
    world.check()
    for host in hosts:
        for other in hosts:
            if other.public_key < host.public_key:
                assert sum(end.other is not None and end.remote is other for end in host.delivered) == 1


def test_a_look_up_follows_the_first_announce_at_once_and_others_while_nobody_is_found() -> None:
    world = World()
    host = world.host(1)
    host.policy.join(TOPIC)
    world.run(30)
    assert kinds(host) == ["clear", "lookup", "lookup", "lookup", "lookup"]
    start = host.searches[1][0]
    early = [at - start for at, _ in host.searches[2:]]
    assert all(0.74 * delay <= at <= 1.27 * delay for at, delay in zip(early, (0.5, 2, 8), strict=True))
    world.run(REFRESH_INTERVAL + REFRESH_JITTER)
    assert kinds(host)[5:] == ["announce"]


def test_two_further_look_ups_for_who_was_missed_once_somebody_was_found() -> None:
    world = World()
    first, second = world.host(1), world.host(2)
    first.policy.join(TOPIC)
    world.run(60)
    second.policy.join(TOPIC)
    world.run(60)
    assert kinds(second) == ["clear", *["lookup"] * 3]


def test_a_client_that_comes_before_the_server_finds_it_with_an_early_look_up() -> None:
    world = World()
    client, server = world.host(1), world.host(2)
    client.policy.join(TOPIC, server=False)
    world.run(0.2)
    server.policy.join(TOPIC, client=False)
    world.run(2)
    assert client.remotes == [server]
    assert kinds(server) == ["clear"]


def test_a_topic_is_refreshed_every_ten_to_twelve_minutes() -> None:
    world = World()
    host = world.host(1)
    host.policy.join(TOPIC, client=False)
    world.run(4 * 3600)
    times = [at for at, _ in host.searches]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert all(REFRESH_INTERVAL <= gap <= REFRESH_INTERVAL + REFRESH_JITTER + 1 for gap in gaps)
    assert max(gaps) - min(gaps) > 30


def test_a_failed_refresh_is_tried_again_after_seconds_and_then_less_often() -> None:
    world = World()
    world.offline = True
    host = world.host(1)
    results: list[bool] = []
    host.policy.join(TOPIC).flushed(results.append)
    world.run(1)
    assert results == [False]
    world.run(59)
    delays = [event.retry_in for event in host.seen(RefreshFailed)]
    assert len(delays) >= 4
    assert all(2 * 2**n <= delay <= 3 * 2**n for n, delay in enumerate(delays))
    world.run(3600)
    assert host.seen(RefreshFailed)[-1].retry_in <= 450
    world.offline = False
    world.run(450)
    assert kinds(host)[-1] == "lookup"
    assert host.public_key in world.records[TOPIC]


def test_a_refresh_reports_what_it_did() -> None:
    world = World()
    a, b = world.host(1), world.host(2)
    a.policy.join(TOPIC, client=False)
    world.flush(a)
    b.policy.join(TOPIC, server=False)
    world.flush(b)
    assert a.seen(TopicRefreshed) == [TopicRefreshed(TOPIC, True, 0)]
    assert b.seen(TopicRefreshed) == [TopicRefreshed(TOPIC, False, 1)]


def test_refreshing_a_session_finds_a_new_server() -> None:
    world = World()
    servers = [world.host(1), world.host(2)]
    client = world.host(3)
    servers[0].policy.join(TOPIC, client=False)
    world.flush(servers[0])
    session = client.policy.join(TOPIC, server=False)
    world.run(20)
    servers[1].policy.join(TOPIC, client=False)
    world.flush(servers[1])
    assert client.remotes == servers[:1]
    session.refresh()
    assert world.flush(client) == [True]
    assert client.remotes == servers


def test_a_remembered_peer_is_dialled_before_the_first_look_up_ends() -> None:
    world = World()
    server, client = world.host(1), world.host(2)
    client.policy.join(TOPIC, server=False)
    client.policy.remember(TOPIC, server.public_key, NODES)
    client.policy.remember(TOPIC, client.public_key, NODES)
    client.policy.remember(OTHER, world.host(3).public_key, NODES)
    assert client.policy.connecting == 1
    assert client.info(server).relay_addresses == NODES
    world.run(20)
    assert client.remotes == [server]
    assert kinds(client) == ["lookup"] * 4  # it does not count as found


def test_the_limit_of_a_topic_holds_for_remembered_peers_and_found_ones_together() -> None:
    world = World()
    servers = [world.host(number) for number in range(2, 8)]
    for server in servers:
        server.policy.join(TOPIC, client=False)
    world.run(1)
    client = world.host(1)
    client.policy.join(TOPIC, server=False, limit=2)
    for server in servers:
        client.policy.remember(TOPIC, server.public_key, NODES)
    world.run(60)
    assert len(client.open) == 2


def test_remembered_peers_that_are_gone_keep_those_that_are_there_waiting_for_seconds_only() -> None:
    world = World()
    server = world.host(2)
    server.policy.join(TOPIC, client=False)
    world.run(1)
    client = world.host(1)
    client.policy.join(TOPIC, server=False, limit=2)
    for number in (8, 9):
        client.policy.remember(TOPIC, number.to_bytes(32, "big"), NODES)
    world.run(12)
    assert client.remotes == [server]


def test_a_network_change_probes_connections_and_announces_anew() -> None:
    world = World()
    a, b = world.host(1), world.host(2)
    for host in (a, b):
        host.policy.join(TOPIC)
        world.run(1)
    a.searches.clear()
    a.policy.network_changed()
    assert a.pinged == [end.link for end in a.open]
    assert kinds(a) == ["clear"]
    world.run(30)
    assert kinds(a) == ["clear", *["lookup"] * 3]


def test_a_network_change_cuts_a_search_that_may_never_end() -> None:
    world = World()
    host = world.host(1)
    session = host.policy.join(TOPIC)
    results: list[bool] = []
    session.flushed(results.append)
    host.policy.network_changed()
    world.run(0.2)
    assert kinds(host) == ["clear", "clear", "lookup"]
    assert results == [True]


def test_waking_up_refreshes_within_two_seconds_but_not_at_once() -> None:
    world = World()
    a, b = world.host(1), world.host(2)
    for host in (a, b):
        host.policy.join(TOPIC)
        world.run(5)
    a.searches.clear()
    a.policy.woke_up()
    assert a.pinged == [end.link for end in a.open]
    assert a.searches == []
    world.run(2.5)
    assert kinds(a)[:2] == ["clear", "lookup"]


def test_the_same_instant_needs_the_look_up_after_the_announce() -> None:
    # without jitter each of the two looks before the other is stored: what Node leaves unconnected for ten minutes
    world = World()
    a, b = world.host(1, backoffs=Backoffs(1, 5, 15, 600)), world.host(2)
    for host in (a, b):
        host.policy.join(TOPIC)
    world.run(0.2)
    assert a.remotes == [b]
    world.check()
