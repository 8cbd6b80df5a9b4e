"""The connection of a peer that is gone makes room for the one of its next life, or of its next dial; no other does."""

import pytest

from swarm.policy import ConnectionClosed, ConnectionOpened, Limits
from tests.policy.world import PATIENCE, TOPIC, Bug, End, Host, World, established

SMALL_KEY = World().host(1).public_key


def restart(world: World, host: Host, number: int) -> Host:
    world.kill(host)
    again = world.host(number)
    return again


@pytest.mark.parametrize("talked", [False, True])
def test_a_restarted_peer_with_the_bigger_key_replaces_its_old_connection(talked: bool) -> None:
    world = World()
    server, dialler = world.host(1), world.host(2)
    established(world, dialler, server)
    if talked:
        server.talk(dialler)
    again = restart(world, dialler, 2)
    again.policy.connect(server.public_key, lambda result: None)
    world.run(0.5)
    assert [end.remote for end in server.open] == [again]
    assert len(server.delivered) == 2


def test_a_restarted_peer_with_the_smaller_key_replaces_a_connection_that_carried_messages() -> None:
    world = World()
    server, dialler = world.host(2), world.host(1)
    established(world, dialler, server)
    server.talk(dialler)
    again = restart(world, dialler, 1)
    again.policy.connect(server.public_key, lambda result: None)
    world.run(0.5)
    assert [end.remote for end in server.open] == [again]


def test_a_restarted_peer_with_the_smaller_key_replaces_an_idle_connection_that_gives_no_sign_of_life() -> None:
    world, server, _ = idle()
    (old,) = server.open
    again = restart(world, old.remote, 1)
    again.policy.connect(server.public_key, lambda result: None)
    world.run(PATIENCE)
    assert server.pinged == [old.link]
    assert server.delivered == [old]
    world.run(0.05)
    assert [end.remote for end in server.open] == [again]
    assert len(server.delivered) == 2
    assert len(again.seen(ConnectionOpened)) == 1
    assert not again.seen(ConnectionClosed)
    world.check()


@pytest.mark.parametrize("pong", [0.02, 0.3])
def test_an_idle_connection_whose_peer_is_there_stays_whoever_comes_with_the_same_key(pong: float) -> None:
    world, server, dialler = idle()
    world.pong = pong
    (old,) = server.open
    twin = world.host(1)
    twin.policy.join(TOPIC, server=False)
    world.run(120)
    assert server.delivered == [old]
    assert dialler.remotes == [server]
    assert not server.seen(ConnectionClosed)
    assert not twin.open
    assert len(twin.dials) <= 10


def idle() -> tuple[World, Host, Host]:
    """A server, and its client of the smaller key over whose connection nothing was said."""
    world = World()
    server, dialler = world.host(2), world.host(1)
    established(world, dialler, server)
    return world, server, dialler


def waiting() -> tuple[World, Host, End, End]:
    """The client restarted, and its new connection waits for a sign of life on the old one."""
    world, server, dialler = idle()
    (old,) = server.open
    again = restart(world, dialler, 1)
    again.policy.join(TOPIC, server=False)
    world.run(0.1)
    (dialled,) = again.open
    assert dialled.other is not None
    return world, server, old, dialled.other


def test_a_connection_that_waits_takes_the_place_of_the_old_one_as_soon_as_that_ends() -> None:
    world, server, old, new = waiting()
    server.end(old, Bug())
    assert server.policy.connection(SMALL_KEY) == new.link
    world.run(60)
    assert server.delivered == [old, new]
    assert server.dials == []
    world.check()


def test_a_connection_that_ends_while_it_waits_replaces_nothing() -> None:
    world, server, old, new = waiting()
    server.end(new)
    world.run(1)
    assert server.delivered == [old]
    assert server.policy.connection(SMALL_KEY) == old.link


@pytest.mark.parametrize("how", ["banned", "suspended"])
def test_a_connection_that_waits_is_closed_when_its_peer_is(how: str) -> None:
    world, server, old, new = waiting()
    closed: list[int] = []
    server.on_close = lambda link, reason: closed.append(link)
    if how == "banned":
        server.policy.peers[SMALL_KEY].ban()
    else:
        server.policy.suspend(lambda: None)
    assert closed == ([new.link] if how == "banned" else [new.link, old.link])
    world.run(1)
    assert server.delivered == [old]


def test_of_two_connections_that_wait_the_last_is_used() -> None:
    world, server, old, first = waiting()
    second = End(first.remote, 99, True)
    server.world.dial(second, server.public_key)
    world.run(1)
    assert first.gone
    assert server.delivered == [old, second.other]


def dialled_and_restarted(server: Host, peer: Host) -> tuple[End, Host]:
    """A connection that the server dialled, and its peer, which has come back and knows nothing of it."""
    server.policy.join_peer(peer.public_key)
    server.world.run(1)
    (old,) = server.open
    return old, restart(server.world, peer, 1)


@pytest.mark.parametrize("comes", ["from the peer", "by the own dial"])
def test_a_connection_that_waits_is_closed_when_another_takes_the_place(comes: str) -> None:
    world = World()
    server, peer = world.host(2), world.host(1)
    old, again = dialled_and_restarted(server, peer)
    again.policy.connect(server.public_key, lambda result: None)
    world.run(0.1)
    (waits,) = again.open
    again.reachable = comes == "by the own dial"
    server.policy.stalled(old.link)
    if comes == "from the peer":
        world.dial(End(again, 99, True), server.public_key)
    world.run(0.1)
    assert waits.gone
    assert len(server.delivered) == 2
    assert server.policy.stats().connections == len(server.open) == 1


def test_who_repeats_an_old_handshake_puts_off_nothing() -> None:
    world, server, old, new = waiting()
    for _ in range(5):
        server.policy.admit(SMALL_KEY, lambda allowed: None)
        world.run(0.1)
    assert server.delivered == [old, new]


def test_a_connection_that_waits_while_the_last_place_is_taken_replaces_none_that_this_side_dialled() -> None:
    world = World()
    server, other, peer = world.host(2, limits=Limits(max_server_connections=1)), world.host(3), world.host(1)
    old, again = dialled_and_restarted(server, peer)
    again.policy.connect(server.public_key, lambda result: None)
    world.run(0.1)
    other.policy.connect(server.public_key, lambda result: None)
    world.run(0.5)
    assert [end.remote for end in server.open] == [peer, other]
    assert server.open[0] is old
    assert server.policy.stats().accepted.refused == 1


def test_the_dial_for_a_stalled_connection_is_taken_back_when_the_peer_comes_by_itself() -> None:
    world = World()
    server, peer = world.host(2), world.host(1)
    old, again = dialled_and_restarted(server, peer)
    again.reachable = False
    again.policy.connect(server.public_key, lambda result: None)
    world.run(0.1)
    server.policy.stalled(old.link)
    server.end(old, Bug())
    world.run(1)
    assert [end.remote for end in server.open] == [again]
    dialled = server.policy.stats().dialled
    assert (dialled.attempted, dialled.opened, dialled.failed) == (2, 1, 1)
    world.check()


def test_a_restarted_peer_with_the_smaller_key_replaces_a_connection_through_which_nothing_gets() -> None:
    world = World()
    server, dialler = world.host(2), world.host(1)
    established(world, dialler, server)
    again = restart(world, dialler, 1)
    server.policy.stalled(server.open[0].link)
    again.policy.connect(server.public_key, lambda result: None)
    world.run(0.5)
    assert [end.remote for end in server.open] == [again]
    assert server.remotes == [again]
    assert again.remotes == [server]


def test_an_unverified_handshake_replaces_nothing() -> None:
    world = World()
    server, dialler = world.host(1), world.host(2)
    established(world, dialler, server)
    (old,) = server.open
    decided: list[bool] = []
    server.policy.admit(dialler.public_key, decided.append)
    world.run(10)
    assert decided == [True]
    assert server.open == [old]
