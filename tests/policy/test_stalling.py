"""A connection through which nothing gets any more: its peer is dialled before the old path is given up."""

from __future__ import annotations

from swarm.policy import ConnectionClosed, ConnectionOpened, DialFailed, DialStarted
from tests.policy.world import TOPIC, Bug, Host, World


def connected() -> tuple[World, Host, Host]:
    """A server and its client, over whose connection messages went both ways."""
    world = World()
    server, client = world.host(1), world.host(2)
    server.policy.join(TOPIC, client=False)
    world.flush(server)
    client.policy.join(TOPIC, server=False)
    world.flush(client)
    client.talk(server)
    return world, server, client


def test_a_dial_that_comes_through_takes_the_place_of_the_stalled_connection() -> None:
    world, server, client = connected()
    client.policy.stalled(client.open[0].link)
    world.run(5)
    assert len(client.delivered) == len(server.delivered) == 2
    assert len(client.open) == len(server.open) == 1
    assert len(client.seen(ConnectionClosed)) == 1
    assert client.policy.stats().dialled.opened == 2
    world.check()


def test_a_connection_that_comes_back_first_stays_and_the_dial_is_taken_back() -> None:
    world, server, client = connected()
    server.reachable = False
    kept = client.open[0]
    client.policy.stalled(kept.link)
    world.run(0.2)
    client.policy.revived(kept.link)
    world.run(30)
    assert client.open == [kept]
    assert not client.seen(DialFailed)
    assert len(client.dials) == 2
    world.check()


def test_dials_go_on_as_long_as_the_connection_is_stalled() -> None:
    world, server, client = connected()
    server.reachable = False
    client.policy.stalled(client.open[0].link)
    world.run(5)
    assert len(client.dials) > 3
    assert all(event.will_retry for event in client.seen(DialFailed))
    server.reachable = True
    world.run(3)
    assert len(client.delivered) == 2
    assert len(client.open) == 1
    world.check()


def test_when_the_stalled_connection_ends_the_dial_for_it_goes_on() -> None:
    world, _, client = connected()
    client.policy.stalled(client.open[0].link)
    client.end(client.open[0], Bug())
    world.run(1)
    assert len(client.dials) == 2
    assert len(client.open) == 1
    world.check()


def test_only_the_side_that_dialled_dials_again() -> None:
    world, server, _ = connected()
    server.policy.stalled(server.open[0].link)
    world.run(5)
    assert not server.seen(DialStarted)
    world.check()


def test_a_peer_that_nobody_wants_any_more_is_not_dialled_for_its_stalled_connection() -> None:
    world, server, client = connected()
    server.reachable = False
    client.policy.stalled(client.open[0].link)
    client.policy.leave(TOPIC, lambda: None)
    server.reachable = True
    world.run(10)
    assert len(client.seen(ConnectionOpened)) == 1
    assert len(client.open) == 1
    world.check()


def test_a_swarm_that_is_suspended_takes_its_dials_back() -> None:
    world, server, client = connected()
    server.reachable = False
    client.policy.stalled(client.open[0].link)
    client.policy.suspend(lambda: None)
    world.run(30)
    assert not client.ends
    assert client.policy.stats().connections == client.policy.connecting == 0


def test_a_peer_that_dials_although_it_is_connected_has_its_old_connection_tried() -> None:
    """If only this side's NAT forgot the old path, that brings it back before the new one is there."""
    world, server, client = connected()
    client.policy.stalled(client.open[0].link)
    world.until(lambda: bool(server.pinged))
    assert len(server.delivered) == 1
