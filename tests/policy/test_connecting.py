"""Two or three swarms on a topic: who gets connected, once, and again."""

from swarm.policy import Backoffs, ConnectionClosed, ConnectionOpened, DialFailed, DialStarted, PeerFound, PeerInfo
from swarm.policy.peers import MAX_FOUND_PEERS
from swarm.topic import Topic
from tests.policy.world import TOPIC, Bug, End, Host, World

QUICK = Backoffs(0.1, 0.2, 0.3, 0.4)
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


def test_the_client_dials_again_when_the_server_ends_the_connection() -> None:
    world = World()
    server, client = world.host(1), world.host(2)
    server.policy.join(TOPIC, client=False)
    world.flush(server)
    client.policy.join(TOPIC, server=False)
    world.run(1)
    server.end(server.open[0])
    world.run(5)
    assert len(server.delivered) == len(client.delivered) == 2
    world.check()


def accepted_by_one_that_looks_too() -> tuple[World, Host, Host]:
    """A connection that the second began. It does not dial again, as Node does not after four dials."""
    world = World()
    server, dialler = world.host(1), world.host(2)
    dialler.policy.join(TOPIC)
    world.flush(dialler)
    dialler.policy.connect(server.public_key, lambda result: None)
    world.run(1)
    server.policy.join(TOPIC)
    world.run(15)  # nobody looks any more
    assert [end.is_initiator for end in dialler.open] == [True]
    dialler.info(server).reconnect = False
    return world, server, dialler


def test_a_peer_that_dialled_and_does_not_come_back_is_dialled_once_after_its_connection_broke() -> None:
    world, server, dialler = accepted_by_one_that_looks_too()
    dialler.end(dialler.open[0], Bug())
    server.policy.closed(server.open[0].link, Bug())
    world.run(5)
    assert server.dials == []
    world.run(25)
    assert server.remotes == [dialler]
    assert len(server.dials) == 1
    world.check()


def test_a_peer_that_is_gone_for_good_is_dialled_once_by_the_side_that_it_dialled() -> None:
    world, server, dialler = accepted_by_one_that_looks_too()
    world.kill(dialler)
    world.run(300)
    assert len(server.dials) == 1
    assert server.policy.peers == {}


def test_a_peer_that_dialled_and_ended_in_order_is_left_alone() -> None:
    world, server, dialler = accepted_by_one_that_looks_too()
    dialler.end(dialler.open[0])
    world.run(300)
    assert server.dials == []
    assert not server.open


def test_a_connection_that_always_ends_at_once_is_retried_a_few_times_then_given_up() -> None:
    world = World()
    server = world.host(1)
    client = world.host(2, backoffs=QUICK, jitter=0.0)
    client.on_connection = lambda end, peer: client.end(end)
    server.policy.join(TOPIC, client=False)
    world.flush(server)
    client.policy.join(TOPIC, server=False)
    world.run(60)
    assert 1 < len(client.delivered) < 5
    assert client.policy.peers == {}


def test_the_dial_times_of_an_unreachable_peer_are_those_of_node() -> None:
    # swarm-policy section 5, measured: 0, 274, 673, 1069 ms, then forgotten
    world = World()
    world.silence = 0.0
    server = world.host(1)
    client = world.host(2, backoffs=QUICK, jitter=0.0)
    server.policy.join(TOPIC, client=False)
    world.flush(server)
    server.reachable = False
    client.policy.join(TOPIC, server=False)
    world.run(30)
    start = client.dials[0][0]
    times = [at - start for at, _ in client.dials]
    assert len(times) == 4
    assert all(abs(time - node) < 0.02 for time, node in zip(times, (0, 0.274, 0.673, 1.069), strict=True))
    assert client.policy.peers == {}
    assert [event.will_retry for event in client.seen(DialFailed)] == [True, True, True, False]
    assert [event.attempt for event in client.seen(DialStarted)] == [0, 1, 2, 3]


def test_a_peer_that_was_given_up_is_dialled_again_when_it_is_found_again() -> None:
    world = World()
    server = world.host(1)
    client = world.host(2, backoffs=QUICK, jitter=0.0)
    server.policy.join(TOPIC, client=False)
    world.flush(server)
    server.reachable = False
    session = client.policy.join(TOPIC, server=False)
    world.run(30)
    server.reachable = True
    session.refresh()
    world.run(1)
    assert client.remotes == [server]


def test_a_peer_that_waits_for_a_late_retry_starts_over_when_it_is_found_again() -> None:
    world = World()
    server, client = world.host(1), world.host(2)
    server.policy.join(TOPIC, client=False)
    world.flush(server)
    server.reachable = False
    session = client.policy.join(TOPIC, server=False)
    world.until(lambda: len(client.seen(DialFailed)) == 3)
    assert client.policy.stats().waiting == 1
    session.refresh()
    world.run(1)
    assert client.policy.stats().waiting == 0
    assert [event.attempt for event in client.seen(DialStarted)] == [0, 1, 2, 0]


def test_a_proven_peer_keeps_its_attempts_when_it_is_found_again() -> None:
    world = World()
    server, client = world.host(1), world.host(2)
    server.policy.join(TOPIC, client=False)
    world.flush(server)
    session = client.policy.join(TOPIC, server=False)
    world.run(1)
    client.end(client.open[0])
    session.refresh()
    world.run(0.5)
    assert [event.attempt for event in client.seen(DialStarted)] == [0, 1]
    assert client.remotes == [server]


def test_a_peer_that_one_search_reports_again_after_its_dial_failed_is_not_dialled_at_once() -> None:
    world = World()
    world.silence = 0.0
    client = world.host(2)
    client.policy.join(TOPIC, server=False)
    for _ in range(3):
        assert client.find is not None
        client.find(world.host(1).public_key, [])
        for link in list(client.ends):
            client.ends.pop(link).gone = True
            client.policy.dial_failed(link, Bug())
    assert client.policy.stats().dialled.attempted == 1
    assert client.policy.stats().waiting == 1


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


def test_a_connection_that_the_client_ends_comes_back_and_carries_data() -> None:
    world = World()
    a, b = world.host(1), world.host(2)
    a.policy.join(TOPIC)
    world.flush(a)
    b.policy.join(TOPIC)
    world.run(0.5)
    initiator = next(host for host in (a, b) if host.open[0].is_initiator)
    initiator.end(initiator.open[0])
    world.run(5)
    assert len(a.delivered) == len(b.delivered) == 2
    a.talk(b)
    assert (b.open[0].read, b.open[0].written) == (10, 10)
    world.check()


def test_a_killed_peer_that_restarts_with_its_key_is_connected_again() -> None:
    for number in (1, 3):
        world = World()
        stays, dies = world.host(2), world.host(number)
        for host in (stays, dies):
            host.policy.join(TOPIC)
        world.run(1)
        stays.talk(dies)
        world.kill(dies)
        world.run(0.2)
        again = world.host(number)
        again.policy.join(TOPIC)
        world.run(10)
        assert stays.remotes == [again]
        assert again.remotes == [stays]
        world.check()


def test_a_peer_is_forgotten_when_the_other_side_is_gone() -> None:
    world = World()
    server = world.host(1)
    client = world.host(2, backoffs=QUICK, jitter=0.0)
    server.policy.join(TOPIC, client=False)
    world.flush(server)
    client.policy.join(TOPIC, server=False)
    world.run(1)
    assert len(server.policy.peers) == len(client.policy.peers) == 1
    world.kill(server)
    world.run(60)
    assert client.policy.peers == {}

    server = world.host(3)
    client = world.host(4)
    server.policy.join(OTHER, client=False)
    world.flush(server)
    client.policy.join(OTHER, server=False)
    world.run(1)
    assert len(server.policy.peers) == 1
    world.kill(client)
    world.run(5)
    assert server.policy.peers == {}


def test_a_peer_with_reconnect_switched_off_is_not_dialled_again() -> None:
    world = World()
    server, client = world.host(1), world.host(2)
    server.policy.join(TOPIC, client=False)
    world.flush(server)
    client.policy.join(TOPIC, server=False)
    world.run(1)
    client.info(server).reconnect = False
    client.end(client.open[0])
    world.run(300)
    assert len(client.delivered) == 1


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
    server.policy.join(TOPIC, client=False)
    world.flush(server)
    client.policy.join(TOPIC, server=False)
    world.run(1)
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
