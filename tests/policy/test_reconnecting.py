"""After a connection ended, or a dial failed: who dials again, when, and how often."""

from swarm.policy import Backoffs, DialFailed, DialStarted
from swarm.policy.peers import MAX_ATTEMPTS, MAX_HUNG_UP
from swarm.topic import Topic
from tests.policy.world import TOPIC, Bug, Host, World, established

OTHER = Topic.from_name("elsewhere")

QUICK = Backoffs(0.1, 0.2, 0.3, 0.4)


def test_the_client_dials_again_when_the_server_ends_the_connection() -> None:
    world = World()
    server, client = world.host(1), world.host(2)
    established(world, client, server)
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


def dialled_by_one_that_restarted() -> tuple[World, Host, Host]:
    """The server holds an older connection of the client's for alive, and ends what that dials."""
    world = World()
    server, client = world.host(1), world.host(2)
    server.policy.join(TOPIC, client=False)
    world.flush(server)
    server.hangs_up = True
    client.policy.join(TOPIC, server=False)
    world.run(1)
    return world, server, client


def test_a_peer_that_hangs_up_is_dialled_every_few_seconds_and_again_as_if_for_the_first_time() -> None:
    world, server, client = dialled_by_one_that_restarted()
    world.run(14)
    assert 3 <= len(client.dials) <= 5
    assert client.info(server).attempts == 0
    server.hangs_up = False
    world.run(8)
    assert client.remotes == [server]
    world.check()


def test_a_peer_that_always_hangs_up_is_given_up() -> None:
    world, server, client = dialled_by_one_that_restarted()
    world.run(300)
    assert len(client.dials) == MAX_HUNG_UP + MAX_ATTEMPTS + 1
    assert client.policy.peers == {}
    assert [event.will_retry for event in client.seen(DialFailed)] == [True] * (len(client.dials) - 1) + [False]
    assert server.delivered == []


def test_a_connection_starts_the_count_of_hanging_up_anew() -> None:
    world, server, client = dialled_by_one_that_restarted()
    server.hangs_up = False
    world.run(10)
    assert client.info(server).hung_up == 0
    world.check()


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
    established(world, client, server)
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
    established(world, client, server)
    client.info(server).reconnect = False
    client.end(client.open[0])
    world.run(300)
    assert len(client.delivered) == 1
