"""Two or three swarms on a topic: who gets connected, once. What comes after the end is in `test_reconnecting`."""

from swarm.policy import ConnectionClosed, ConnectionOpened, DialStarted, PeerFound, PeerInfo
from swarm.policy.peers import MAX_FOUND_PEERS
from swarm.topic import Topic
from tests.policy.world import TOPIC, Bug, End, World, established

OTHER = Topic.from_name("elsewhere")


def test_a_client_finds_a_server() -> None:
    world = World()
    server, client = world.host(1), world.host(2)
    server.policy.join(TOPIC, client=False)
    assert world.flush(server) == [True]
    client.policy.join(TOPIC, server=False)
    assert world.flush(client) == [True]
    assert server.remotes == [client]
    assert client.remotes == [server]
    assert client.delivered[0].is_initiator
    assert not server.delivered[0].is_initiator
    world.check()


def test_two_servers_that_look_find_each_other() -> None:
    world = World()
    a, b = world.host(1), world.host(2)
    for host in (a, b):
        host.policy.join(TOPIC)
        world.run(1)
    assert a.remotes == [b]
    assert b.remotes == [a]
    world.check()


def test_a_flood_of_keys_that_nobody_holds_is_bounded() -> None:
    world = World()
    client = world.host(1)
    client.policy.join(TOPIC, server=False)
    for number in range(MAX_FOUND_PEERS + 50):
        client.policy.remember(TOPIC, (number + 10).to_bytes(32, "big"), [])
    assert client.policy.stats().peers == MAX_FOUND_PEERS
    client.policy.join_peer(b"\x09" * 32)
    assert client.policy.stats().peers == MAX_FOUND_PEERS + 1


def test_a_banned_peer_is_not_connected_again() -> None:
    world = World()
    a, b = world.host(1), world.host(2)

    def ban(end: End, peer: PeerInfo) -> None:
        peer.ban()
        a.end(end)

    a.on_connection = ban
    b.policy.join(TOPIC)
    world.flush(b)
    a.policy.join(TOPIC)
    world.run(2000)
    assert len(a.delivered) == 1
    assert a.open == b.open == []


def test_each_of_two_that_announce_and_look_sees_one_connection() -> None:
    world = World()
    a, b = world.host(1), world.host(2)
    a.policy.join(TOPIC)
    world.flush(a)
    b.policy.join(TOPIC)
    world.run(700)
    assert len(a.delivered) == len(b.delivered) == 1


def test_two_topics_with_one_peer_are_one_connection() -> None:
    world = World()
    server, client = world.host(1), world.host(2)
    for topic in (TOPIC, OTHER):
        server.policy.join(topic, client=False)
    world.flush(server)
    for topic in (TOPIC, OTHER):
        client.policy.join(topic, server=False)
    world.flush(client)
    assert len(client.delivered) == 1
    assert set(client.info(server).topics) == {TOPIC, OTHER}
    assert {event.topic for event in client.seen(PeerFound)} == {TOPIC, OTHER}


def test_a_server_connects_to_both_clients_and_they_only_to_it() -> None:
    world = World()
    server, one, two = world.host(1), world.host(2), world.host(3)
    server.policy.join(TOPIC, client=False)
    world.flush(server)
    for client in (one, two):
        client.policy.join(TOPIC, server=False)
    world.run(1)
    assert server.remotes == [one, two]
    assert one.remotes == two.remotes == [server]
    assert one.info(server).public_key == server.public_key
    world.check()


def test_the_last_error_of_a_peer_is_kept_with_it() -> None:
    world = World()
    server, client = world.host(1), world.host(2)
    server.reachable = False
    server.policy.join(TOPIC, client=False)
    world.flush(server)
    client.policy.join(TOPIC, server=False)
    world.run(2)
    assert isinstance(client.info(server).last_error, Bug)
    server.reachable = True
    world.run(10)
    assert client.info(server).last_error is None
    error = Bug()
    client.end(client.open[0], error)
    assert client.info(server).last_error is error
    assert client.seen(ConnectionClosed)[-1].error is error


def test_counts_add_up_on_both_sides() -> None:
    world = World()
    server, client = world.host(1), world.host(2)
    established(world, client, server)
    assert client.policy.stats().to_dict()["dialled"] == {"attempted": 1, "opened": 1, "failed": 0, "closed": 0}
    assert server.policy.stats().to_dict()["accepted"] == {"opened": 1, "closed": 0, "refused": 0}
    client.end(client.open[0])
    world.run(0.1)
    stats = client.policy.stats()
    assert (stats.dialled.closed, stats.connections, stats.waiting, stats.topics) == (1, 0, 1, 1)
    assert server.policy.stats().accepted.closed == 1


def test_connecting_goes_from_none_to_one_and_back_and_each_step_is_reported() -> None:
    world = World()
    server, client = world.host(1), world.host(2)
    server.policy.join(TOPIC, client=False)
    world.flush(server)
    client.policy.join(TOPIC, server=False)
    seen = [client.policy.connecting]
    while not client.open:
        world.schedule.advance(world.schedule.deadline())
        if client.policy.connecting != seen[-1]:
            seen.append(client.policy.connecting)
    assert seen == [0, 1, 0]
    assert len(client.seen(DialStarted)) == len(client.seen(ConnectionOpened)) == 1
    assert client.policy.stats().updates == 2
