"""Accepting: who is let in, who hears nothing, and what strangers can make a listener hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holepunch.address import Address
from holepunch.core import CLIENT, STEP
from holepunch.errors import Reason
from holepunch.nat.classifier import Firewall
from holepunch.punch.limits import (
    MAX_HALF_OPEN,
    MAX_PER_HOST,
    MAX_QUESTIONS,
    MAX_REMEMBERED,
    MAX_RESPONSES,
    MAX_STRANGERS,
)
from holepunch.punch.messages import (
    Abort,
    HolepunchPayload,
    Mode,
    NoisePayload,
    SecurePayload,
    UdxInfo,
    holepunch_secret,
)
from tests.punch.caller import HOME, Caller, home_server
from tests.punch.world import Peer, World, pair, peer_behind

if TYPE_CHECKING:
    from holepunch.punch.accept import Question

CLEAR = 10.0


# -- yes and no


def test_a_client_is_answered_from_the_socket_to_punch_at() -> None:
    server = home_server()
    caller = Caller(server)
    caller.call()
    ((_, role),) = caller.heard
    assert role > CLIENT
    payload, session = caller.answer()
    assert session.remote_public_key == server.key_pair.public_key
    assert payload.holepunch is not None
    assert [relay.relay_address for relay in payload.holepunch.relays] == server.world.announced[server.target]
    assert payload.relay_addresses == tuple(server.world.announced[server.target])
    assert payload.firewall == Firewall.UNKNOWN


def test_copies_of_one_message_get_the_same_reply_and_start_nothing_new() -> None:
    server = home_server()
    caller = Caller(server)
    for relay in (0, 0, 1, 2):
        caller.call(relay=server.world.nodes[relay].address)
    assert len(caller.heard) == 4
    assert len(set(caller.heard)) == 1
    assert server.listener.remembered == 1


def test_a_message_that_comes_again_after_it_was_forgotten_is_a_new_handshake() -> None:
    server = home_server()
    caller = Caller(server)
    caller.call()
    server.world.run(10 + CLEAR + 1)
    assert server.listener.remembered == 0
    assert not server.leaks()
    caller.call()
    assert caller.heard[0][0] != caller.heard[1][0]


def test_the_application_is_asked_and_its_yes_lets_in() -> None:
    world = World()
    server, client = peer_behind(world, "home", 1), peer_behind(world, "home", 2)
    questions: list[Question] = []
    listener = server.listen(ask=questions.append)
    client.dial(server.key_pair.public_key)
    world.run(1)
    (question,) = questions
    assert question.remote_public_key == client.key_pair.public_key
    assert question.client.host == "50.0.0.2"
    assert not client.connected
    listener.answer(question.id, True)
    world.run(5)
    assert client.connected
    assert server.connected


def test_the_application_may_answer_while_it_is_asked() -> None:
    world = World()
    server, client = peer_behind(world, "home", 1), peer_behind(world, "home", 2)
    listener = server.listen(ask=lambda question: listener.answer(question.id, True))
    client.dial(server.key_pair.public_key)
    world.run(5)
    assert client.connected


def test_refused_peer_hears_nothing() -> None:
    world = World()
    server, client = peer_behind(world, "home", 1), peer_behind(world, "home", 2)
    listener = server.listen(ask=lambda question: listener.answer(question.id, False))
    client.dial(server.key_pair.public_key)
    world.run(30)
    assert client.failed[0].reason is Reason.PEER_CONNECTION_FAILED
    assert not any(stage.name == "invalid answer" for stage in client.failed[0].attempt.stages)
    assert not server.connected
    assert not server.leaks()


def test_no_answer_in_three_seconds_is_silence_for_good() -> None:
    world = World()
    server = peer_behind(world, "home", 1)
    questions: list[Question] = []
    listener = server.listen(ask=questions.append)
    caller = Caller(server)
    caller.call()
    world.run(3.1)
    listener.answer(questions[0].id, True)
    caller.call()
    assert not caller.heard
    assert len(questions) == 1
    world.run(CLEAR + 1)
    assert not server.leaks()


def test_only_so_many_wait_for_the_application() -> None:
    world = World()
    server = peer_behind(world, "home", 1)
    questions: list[Question] = []
    listener = server.listen(ask=questions.append)
    callers = [Caller(server, seed=n) for n in range(MAX_QUESTIONS + 1)]
    for n, caller in enumerate(callers):
        caller.call(Address(f"50.1.0.{n}", 1))
    assert len(questions) == MAX_QUESTIONS
    assert listener.dropped == 1
    # the one without room was not remembered as refused
    listener.answer(questions[0].id, False)
    callers[-1].call(Address("50.1.1.1", 1))
    assert len(questions) == MAX_QUESTIONS + 1


def test_copies_that_wait_for_the_application_are_bounded() -> None:
    world = World()
    server = peer_behind(world, "home", 1)
    questions: list[Question] = []
    listener = server.listen(ask=questions.append)
    caller = Caller(server)
    for _ in range(MAX_RESPONSES + 5):
        caller.call()
    listener.answer(questions[0].id, True)
    assert len(caller.heard) == MAX_RESPONSES


# -- what is not answered, or only with an error


@given(st.binary(max_size=200))
@settings(max_examples=50)
def test_random_bytes_are_not_answered(noise: bytes) -> None:
    server = home_server()
    caller = Caller(server)
    caller.noise = noise
    caller.call()
    caller.call(mode=Mode.FROM_CLIENT)
    assert not caller.heard
    server.world.run(CLEAR + 1)
    assert not server.leaks()


def test_a_handshake_for_another_key_is_not_answered() -> None:
    server = home_server()
    other = peer_behind(server.world, "home", 3)
    caller = Caller(other)
    caller.server = server
    caller.call()
    assert not caller.heard


def test_a_relayed_message_without_the_clients_address_is_not_answered() -> None:
    server = home_server()
    caller = Caller(server)
    caller.call(client=None)
    assert not caller.heard
    assert server.listener.remembered == 0


@pytest.mark.parametrize(
    ("payload", "error"),
    [
        (NoisePayload(version=2), Abort.VERSION_MISMATCH),
        (NoisePayload(secret_stream=True), Abort.ABORTED),
    ],
)
def test_a_client_that_does_not_fit_is_told(payload: NoisePayload, error: Abort) -> None:
    server = home_server()
    caller = Caller(server, payload)
    caller.call()
    answer, _ = caller.answer()
    assert answer.error == error
    assert answer.udx == UdxInfo(0)
    server.world.run(CLEAR + 1)
    assert not server.leaks()
    assert not server.connected


def test_a_suspended_listener_is_silent_and_holds_nothing() -> None:
    server = home_server()
    caller = Caller(server)
    caller.call()
    server.listener.suspend()
    assert not server.leaks()
    caller.call()
    assert len(caller.heard) == 1
    server.listener.resume()
    caller.call()
    assert len(caller.heard) == 2


def test_a_closed_listener_is_silent_and_holds_nothing() -> None:
    server = home_server()
    caller = Caller(server)
    caller.call()
    server.listener.close()
    server.listener.close()
    caller.call()
    assert len(caller.heard) == 1
    server.listener.suspend()
    server.listener.resume()
    caller.call()
    assert len(caller.heard) == 1
    assert not server.leaks()


# -- ways in


def test_a_direct_client_is_connected_where_it_asked() -> None:
    server = home_server()
    caller = Caller(server)
    caller.call(client=None, mode=Mode.FROM_CLIENT, relay=HOME)
    assert caller.heard[0][1] == CLIENT
    (path,) = server.connected
    assert (path.role, path.address) == (CLIENT, HOME)
    assert path.remote_payload.udx == UdxInfo(77)


def test_an_open_client_is_connected_at_once() -> None:
    server = home_server()
    Caller(server, NoisePayload(firewall=Firewall.OPEN, udx=UdxInfo(77))).call()
    assert server.connected[0].address == HOME


def test_an_open_server_waits_ten_seconds_for_traffic() -> None:
    server = home_server("open")
    caller = Caller(server)
    caller.call()
    payload, _ = caller.answer()
    assert payload.firewall == Firewall.OPEN
    assert payload.holepunch is None
    assert len(server.streams.streams) == 1
    server.world.run(10.1)
    assert not server.streams.streams
    server.world.run(CLEAR + STEP)
    assert not server.leaks()


def test_a_neighbour_is_answered_from_the_socket_it_can_reach() -> None:
    server = home_server()
    neighbour = NoisePayload(udx=UdxInfo(77), addresses4=(Address("192.168.1.11", 5555),))
    caller = Caller(server, neighbour)
    caller.call(Address("50.0.0.1", 9999))
    assert caller.heard[0][1] == CLIENT
    server.world.run(10 + CLEAR + 1)
    assert not server.leaks()


@pytest.mark.parametrize(("local", "stays"), [("192.168.1.11", True), ("10.9.9.9", False)])
def test_a_neighbour_may_still_come_when_punching_was_given_up(local: str, stays: bool) -> None:
    server = home_server()
    caller = Caller(server, NoisePayload(udx=UdxInfo(77), addresses4=(Address(local, 5555),)))
    caller.call(Address("50.0.0.1", 9999))
    _, session = caller.answer()
    secure = SecurePayload(holepunch_secret(session.hash), bytes(32))
    caller.punch(secure, HolepunchPayload(error=Abort.ABORTED))
    assert bool(server.streams.streams) is stays
    server.world.run(CLEAR + 5)
    assert not server.streams.streams
    assert not server.leaks()


def test_no_socket_to_punch_with_leaves_the_normal_one() -> None:
    server = home_server()
    server.sockets.limit = 2
    caller = Caller(server)
    caller.call()
    assert caller.heard[0][1] == CLIENT
    server.world.run(10 + CLEAR + 1)
    assert not server.leaks()


def test_traffic_from_port_zero_is_no_way_in() -> None:
    server = home_server()
    Caller(server).call()
    (local_id,) = server.streams.streams
    server.streams.receive(CLIENT, Address("50.0.0.2", 0), local_id)
    assert not server.connected


# -- bounds


def test_one_host_gets_only_so_much_room() -> None:
    server = home_server()
    for n in range(MAX_PER_HOST + 3):
        Caller(server, seed=n).call()
    assert server.listener.remembered == MAX_PER_HOST
    assert server.listener.dropped == 3
    Caller(server, seed=1000).call(Address("50.0.0.3", 1))
    assert server.listener.remembered == MAX_PER_HOST + 1


def test_a_private_host_may_be_a_whole_test_network() -> None:
    server = home_server()
    for n in range(MAX_PER_HOST + 3):
        Caller(server, seed=n).call(Address("127.0.0.1", 1000 + n))
    assert server.listener.dropped == 0


def test_undecided_handshakes_are_bounded() -> None:
    server = home_server()
    for n in range(MAX_HALF_OPEN + 3):
        Caller(server, seed=n).call(Address(f"50.0.{n // 200}.{n % 200}", 1))
    assert server.listener.remembered == MAX_HALF_OPEN
    assert len(server.streams.streams) == MAX_HALF_OPEN
    server.world.run(10.1)
    assert not server.streams.streams
    Caller(server, seed=5000).call(Address("50.1.1.1", 1))
    assert server.listener.remembered == MAX_HALF_OPEN + 1


def test_strangers_leave_room_for_the_relays() -> None:
    server = home_server()
    caller = Caller(server)
    for n in range(MAX_REMEMBERED + 1):
        caller.noise = n.to_bytes(4)
        caller.call(Address(f"50.0.{n // 200}.{n % 200}", 1), relay=Address("52.7.7.7", 1))
    assert server.listener.remembered == MAX_STRANGERS
    Caller(server, seed=5000).call()
    assert server.listener.remembered == MAX_STRANGERS + 1


def test_a_number_is_used_again_when_its_handshake_is_forgotten() -> None:
    server = home_server()
    first, second = Caller(server, seed=1), Caller(server, seed=2)
    first.call()
    server.world.run(15)
    second.call(Address("50.0.0.3", 1))
    server.world.run(6)
    third = Caller(server, seed=3)
    third.call(Address("50.0.0.4", 1))
    ids = [caller.answer()[0].holepunch for caller in (first, second, third)]
    assert [info.id for info in ids if info is not None] == [0, 1, 0]


def test_many_peers_behind_one_router_connect_at_once() -> None:
    world = World()
    server = peer_behind(world, "home", 1)
    server.listen()
    crowd = peer_behind(world, "symmetric", 2)
    clients = [crowd, *(Peer(crowd.segment, f"192.168.2.{n}") for n in range(11, 20))]
    for client in clients:
        client.dial(server.key_pair.public_key)
    world.run(40)
    assert [len(client.connected) for client in clients] == [1] * 10
    assert len(server.connected) == 10
    for peer in (server, *clients):
        assert not peer.leaks()


def test_a_server_behind_a_random_nat_serves_one_after_the_other() -> None:
    world, server, first = pair("symmetric", "home")
    clients = [first, *(peer_behind(world, "home", n) for n in range(3, 6))]
    for client in clients:
        client.dial(server.key_pair.public_key)
    world.run(60)
    assert [len(client.connected) for client in clients] == [1] * 4
    for peer in (server, *clients):
        assert not peer.leaks()
