"""Who is let in, who is dialled at all: the application's own rule, bans, and limits."""

import pytest

from holepunch.errors import ConnectError, Reason
from swarm.policy import BanLifted, DialFailed, Limits, PeerBanned
from swarm.policy.gate import ANSWER_TIMEOUT, MAX_INCOMING_QUESTIONS
from tests.policy.world import TOPIC, Host, World, established


def meet(world: World, server: Host, client: Host, seconds: float = 120.0) -> None:
    server.policy.join(TOPIC, client=False)
    world.flush(server)
    client.policy.join(TOPIC, server=False)
    world.run(seconds)


def test_a_server_that_refuses_a_peer_bans_it() -> None:
    world = World()
    server, client = world.host(1, asks=True), world.host(2)
    server.allow = lambda key: False
    meet(world, server, client)
    assert server.open == client.open == []
    assert server.policy.stats().bans == 1
    server.allow = lambda key: True
    server.policy.connect(client.public_key, lambda result: None)
    client.policy.connect(server.public_key, lambda result: None)
    world.run(60)
    assert server.open == client.open == []


def test_a_refused_peer_that_keeps_dialling_is_asked_about_once() -> None:
    world = World()
    server, client = world.host(1, asks=True), world.host(2)
    server.allow = lambda key: False
    meet(world, server, client, 600)
    assert len(client.dials) > 1
    assert server.asked == [client.public_key]
    assert len(client.seen(DialFailed)) == len(client.dials)


def test_the_ban_is_reported_with_the_peer_and_the_reason() -> None:
    world = World()
    server, client = world.host(1, asks=True), world.host(2)
    server.allow = lambda key: False
    meet(world, server, client)
    (event,) = server.seen(PeerBanned)
    assert event == PeerBanned(client.public_key, "Peer is firewalled", None)
    assert server.info(client).banned


def test_a_client_that_refuses_a_peer_never_dials_it() -> None:
    world = World()
    server, client = world.host(1), world.host(2, asks=True)
    client.allow = lambda key: False
    meet(world, server, client, 1000)
    assert client.dials == []
    assert client.policy.stats().bans == 1
    assert client.policy.stats().dialled.attempted == 0


def test_an_allowed_peer_is_connected_and_the_question_names_the_topics_known() -> None:
    world = World()
    server, client = world.host(1), world.host(2, asks=True)
    client.allow = lambda key: True
    meet(world, server, client, 1)
    assert client.remotes == [server]
    assert client.asked_topics == [(TOPIC,)]


def test_no_answer_is_silence_without_a_ban() -> None:
    world = World()
    server, client = world.host(1, asks=True), world.host(2)
    decided: list[bool] = []
    server.policy.admit(client.public_key, decided.append)
    world.run(ANSWER_TIMEOUT - 0.1)
    assert decided == []
    world.run(0.2)
    assert decided == [False]
    assert not server.policy.peers


def test_a_failing_answer_is_silence_without_a_ban() -> None:
    world = World()
    server, client = world.host(1, asks=True), world.host(2)
    server.allow = lambda key: None
    meet(world, server, client, 10)
    assert server.open == []
    assert server.policy.stats().bans == 0


def test_a_dial_without_an_answer_fails_and_is_tried_again() -> None:
    world = World()
    server, client = world.host(1), world.host(2, asks=True)
    meet(world, server, client, 5)
    (failed,) = client.seen(DialFailed)
    assert failed.error.reason is Reason.REFUSED
    assert failed.will_retry
    client.allow = lambda key: True
    world.run(10)
    assert client.remotes == [server]


def test_questions_about_one_key_at_one_time_are_one_question() -> None:
    world = World()
    server = world.host(1, asks=True)
    decided: list[bool] = []
    for _ in range(3):
        server.policy.admit(b"\x07" * 32, decided.append)
    assert len(server.asked) == 1
    server.policy.answer(1, True)
    world.run()
    assert decided == [True] * 3


def test_strangers_beyond_the_limit_are_not_even_asked_about() -> None:
    world = World()
    server = world.host(1, asks=True)
    decided: list[bool] = []
    for number in range(MAX_INCOMING_QUESTIONS + 5):
        server.policy.admit(number.to_bytes(2, "big") * 16, decided.append)
    world.run()
    assert len(server.asked) == MAX_INCOMING_QUESTIONS
    assert decided == [False] * 5
    world.run(ANSWER_TIMEOUT)
    assert decided == [False] * (MAX_INCOMING_QUESTIONS + 5)
    server.policy.admit(b"\x07" * 32, decided.append)
    assert len(server.asked) == MAX_INCOMING_QUESTIONS + 1


def test_late_and_unknown_answers_are_ignored() -> None:
    world = World()
    server = world.host(1, asks=True)
    decided: list[bool] = []
    server.policy.admit(b"\x07" * 32, decided.append)
    world.run(ANSWER_TIMEOUT + 1)
    server.policy.answer(1, True)
    server.policy.answer(99, False)
    assert decided == [False]
    assert not server.policy.peers


def test_a_peer_that_comes_while_our_own_dial_waits_for_leave_is_taken_at_once() -> None:
    world = World()
    big, small = world.host(2, asks=True), world.host(1)
    results: list[int | ConnectError] = []
    big.policy.connect(small.public_key, results.append)
    link = big.policy.new_link()
    big.policy.accepted(link, small.public_key, lambda: (0, 0))
    assert results == [link]
    big.policy.answer(1, True)
    assert big.dials == []


def test_a_ban_expires_and_the_peer_is_dialled_again() -> None:
    world = World()
    server, client = world.host(1), world.host(2)
    meet(world, server, client, 1)
    client.info(server).ban(seconds=50)
    client.end(client.open[0])
    world.run(49)
    assert client.open == []
    world.run(3)
    assert client.remotes == [server]
    assert client.seen(BanLifted) == [BanLifted(server.public_key)]


def test_a_banned_peer_is_refused_when_it_dials() -> None:
    world = World()
    server, client = world.host(1), world.host(2)
    meet(world, server, client, 1)
    server.info(client).ban()
    client.end(client.open[0])
    world.run(300)
    assert server.open == []
    server.info(client).unban()
    assert client.public_key not in server.policy.peers
    client.policy.connect(server.public_key, lambda result: None)
    world.run(1)
    assert server.remotes == [client]


def test_who_is_banned_already_is_not_banned_again_and_stays_so_as_long_as_was_said() -> None:
    world = World()
    server, client = world.host(1), world.host(2)
    server.policy.ban(client.public_key, "not a member", 5)
    server.policy.ban(client.public_key, "not a member")
    assert len(server.seen(PeerBanned)) == server.policy.stats().bans == 1
    world.run(6)
    assert not server.policy.peers
    server.policy.ban(client.public_key, "still not one")
    assert len(server.seen(PeerBanned)) == 2


def test_a_ban_leaves_an_open_connection_open_but_ends_a_dial_in_progress() -> None:
    world = World()
    server, client = world.host(1), world.host(2)
    meet(world, server, client, 1)
    client.info(server).ban()
    world.run(10)
    assert client.remotes == [server]

    other = world.host(3)
    results: list[int | ConnectError] = []
    other.policy.connect(server.public_key, results.append)
    other.info(server).ban()
    assert isinstance(results[0], ConnectError)
    assert results[0].reason is Reason.REFUSED
    world.run(10)
    assert other.open == []


def test_a_peer_banned_between_its_handshake_and_its_header_is_refused() -> None:
    world = World()
    server = world.host(1)
    decided: list[bool] = []
    server.policy.admit(b"\x07" * 32, decided.append)
    world.run()
    assert decided == [True]
    server.policy.ban(b"\x07" * 32, "wrong secret", 60)
    server.policy.accepted(server.policy.new_link(), b"\x07" * 32, lambda: (0, 0))
    assert server.policy.stats().connections == 0
    assert server.policy.stats().accepted.refused == 1


def test_the_own_key_is_never_let_in() -> None:
    world = World()
    server = world.host(1)
    decided: list[bool] = []
    server.policy.admit(server.public_key, decided.append)
    server.policy.accepted(server.policy.new_link(), server.public_key, lambda: (0, 0))
    world.run()
    assert decided == [False]
    assert server.policy.stats().connections == 0


def test_incoming_connections_beyond_max_peers_are_refused() -> None:
    world = World()
    server = world.host(1, limits=Limits(max_peers=2))
    clients = [world.host(number) for number in range(2, 6)]
    server.policy.join(TOPIC, client=False)
    world.flush(server)
    for client in clients:
        client.policy.join(TOPIC, server=False)
        world.run(1)
    world.run(60)
    assert server.remotes == clients[:2]
    assert server.policy.stats().accepted.refused == len(server.refusals) > 0
    assert {why for _, why in server.refusals} == {"max_peers"}
    world.kill(clients[0])
    for client in clients[2:]:
        client.policy.network_changed()
    world.run(60)
    assert len(server.remotes) == 2
    world.check()


def test_incoming_connections_beyond_the_server_limit_are_refused() -> None:
    world = World()
    server = world.host(1, limits=Limits(max_server_connections=1))
    clients = [world.host(number) for number in (2, 3)]
    server.policy.join(TOPIC, client=False)
    world.flush(server)
    for client in clients:
        client.policy.join(TOPIC, server=False)
    world.run(30)
    assert len(server.open) == 1
    assert {why for _, why in server.refusals} == {"max_server_connections"}


def test_a_full_swarm_lets_in_explicit_peers_and_those_it_has_already() -> None:
    world = World()
    server = world.host(1, limits=Limits(max_peers=1))
    one, two = world.host(2), world.host(3)
    established(world, one, server)
    two.reachable = False
    server.policy.join_peer(two.public_key)
    two.policy.connect(server.public_key, lambda result: None)
    world.run(5)
    assert server.remotes == [one, two]
    server.talk(one)
    world.kill(one)
    again = world.host(2)
    again.policy.connect(server.public_key, lambda result: None)
    world.run(0.5)
    assert server.remotes == [again, two]


def test_a_connection_that_is_there_is_worth_more_than_a_dial_in_progress() -> None:
    world = World()
    world.silence = 30.0
    dead, live = world.host(2), world.host(3)
    dead.policy.join(TOPIC, client=False)
    world.flush(dead)
    dead.reachable = False
    full = world.host(1, limits=Limits(max_peers=1))
    full.policy.join(TOPIC)
    world.run(1)
    assert full.policy.connecting == 1
    live.policy.connect(full.public_key, lambda result: None)
    world.run(1)
    assert full.remotes == [live]
    assert full.policy.connecting == 0
    assert full.info(dead).attempts == 0
    assert full.policy.stats().queued == 1
    world.check()


def test_one_dial_that_is_given_up_makes_room_for_one_connection_only() -> None:
    world = World()
    world.silence = 100.0
    host = world.host(1, limits=Limits(max_peers=1))
    first, dialled, second = world.host(2), world.host(3), world.host(4)
    first.policy.connect(host.public_key, lambda result: None)
    world.run(1)
    dialled.reachable = False
    host.policy.join(TOPIC)
    host.policy.join_peer(dialled.public_key)
    host.policy.shares(dialled.public_key, TOPIC)
    host.policy.leave_peer(dialled.public_key)
    assert host.policy.connecting == 1
    second.policy.connect(host.public_key, lambda result: None)
    world.run(1)
    assert host.remotes == [first]


@pytest.mark.parametrize("name", ["max_peers", "max_parallel", "max_client_connections", "max_server_connections"])
def test_a_limit_below_one_is_an_error_that_names_it(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
        Limits(**{name: 0})


def test_explicit_peers_lower_the_budget_of_the_others() -> None:
    # swarm-policy section 4: with 64 and 16 connections, others are dialled with up to 3 explicit peers, not with 4
    limits = Limits()
    assert [limits.room_to_dial(16, 0, explicit) for explicit in range(6)] == [True, True, True, True, False, False]
    assert limits.room_to_dial(63, 0, 0)
    assert not limits.room_to_dial(64, 0, 0)
    assert not Limits(max_client_connections=3).room_to_dial(3, 3, 0)
