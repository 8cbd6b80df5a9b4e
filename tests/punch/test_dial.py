"""Dialling: how each failure comes about and what it says, and that no way out leaves anything behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holepunch.address import Address
from holepunch.core import SERVER
from holepunch.errors import ConnectError, Reason
from holepunch.keys import KeyPair
from holepunch.nat.classifier import Firewall
from holepunch.punch.dial import MAX_STAGES, Dial
from holepunch.punch.messages import VERSION, Abort, HolepunchPayload, NoisePayload, UdxInfo
from tests.punch.explained import check_explanation
from tests.punch.internet import Data
from tests.punch.scripted import ScriptedServer
from tests.punch.world import Peer, World, pair, peer_behind

if TYPE_CHECKING:
    from collections.abc import Callable

NOBODY = KeyPair.from_seed(bytes(32)).public_key


def fail(world: World, client: Peer, key: bytes) -> ConnectError:
    """Dial, see it fail once, and find nothing left over."""
    client.dial(key)
    world.run(60)
    assert not client.connected
    (error,) = client.failed
    assert not client.leaks()
    check_explanation(error)
    return error


def scripted(
    payload: Callable[[NoisePayload], NoisePayload] = lambda payload: payload,
    *,
    answer: HolepunchPayload | None = None,
    client: str = "home",
) -> tuple[World, ScriptedServer, Peer]:
    """A server at home that answers as told."""
    world = World()
    server = ScriptedServer(peer_behind(world, "home", 1), payload, answer=lambda _: answer)
    return world, server, peer_behind(world, client, 2)


# -- no handshake


def test_a_peer_that_nobody_knows_is_not_found() -> None:
    world = World()
    error = fail(world, peer_behind(world, "home", 1), NOBODY)
    assert error.reason is Reason.PEER_NOT_FOUND
    assert error.attempt.remote_public_key == NOBODY
    assert "searching" in [stage.name for stage in error.attempt.stages]


def test_a_search_that_nobody_answers_says_nothing_about_the_peer() -> None:
    world = World()
    client = peer_behind(world, "home", 1)
    client.signaller.online = False
    assert fail(world, client, NOBODY).reason is Reason.OFFLINE


def test_a_dead_relay_known_before_does_not_make_a_peer_announced() -> None:
    world = World()
    world.dead.add(world.nodes[0].address)
    client = peer_behind(world, "home", 1)
    client.signaller.cache[NOBODY] = (world.nodes[0].address,)
    assert fail(world, client, NOBODY).reason is Reason.PEER_NOT_FOUND


def test_a_peer_that_went_away_fails_when_all_its_relays_were_asked() -> None:
    world, server, client = pair("home", "home")
    server.receptionist = None
    error = fail(world, client, server.key_pair.public_key)
    assert error.reason is Reason.PEER_CONNECTION_FAILED
    assert error.attempt.gave_up == "remote"
    # three relays, four tries of a second each; the third does not wait for the first two
    assert client.failed_at < 6.0


def test_a_key_that_is_no_point_fails_without_a_packet() -> None:
    world = World()
    error = fail(world, peer_behind(world, "home", 1), b"\x01" + bytes(31))
    assert error.reason is Reason.HANDSHAKE_INVALID


def test_an_answer_made_up_by_a_relay_is_passed_over() -> None:
    world, server, client = pair("home", "home")
    world.nodes[0].tamper = lambda packet: packet._replace(value=packet.value[:-7] + bytes(7))
    client.dial(server.key_pair.public_key)
    world.run(5)
    assert client.connected
    assert "invalid answer" in [stage.name for stage in client.dials[0].attempt.stages]


def test_answers_made_up_by_all_relays_are_an_invalid_handshake() -> None:
    world, server, client = pair("home", "home")
    for node in world.nodes:
        node.tamper = lambda packet: packet._replace(value=packet.value[:-7] + bytes(7))
    assert fail(world, client, server.key_pair.public_key).reason is Reason.HANDSHAKE_INVALID


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (NoisePayload(version=2), Reason.SERVER_INCOMPATIBLE),
        (NoisePayload(error=Abort.VERSION_MISMATCH), Reason.SERVER_INCOMPATIBLE),
        (NoisePayload(error=Abort.ABORTED, udx=UdxInfo(0)), Reason.SERVER_ERROR),
        (NoisePayload(error=77, udx=UdxInfo(0)), Reason.SERVER_ERROR),
        (NoisePayload(), Reason.SERVER_ERROR),
    ],
)
def test_a_server_that_cannot_or_will_not(payload: NoisePayload, reason: Reason) -> None:
    world, server, client = scripted(lambda _: payload)
    error = fail(world, client, server.peer.key_pair.public_key)
    assert error.reason is reason
    assert error.attempt.gave_up == "remote"


# -- no path


def test_probes_that_never_arrive_end_after_the_last() -> None:
    world, server, client = pair("home", "home")
    assert client.nat is not None
    client.nat.swallows = lambda packet: isinstance(packet, bytes)
    error = fail(world, client, server.key_pair.public_key)
    assert error.reason is Reason.HOLEPUNCH_ABORTED
    assert (error.attempt.local_nat, error.attempt.remote_nat) == ("consistent", "consistent")
    assert any(address.startswith("50.0.0.1:") for address in error.attempt.addresses)
    assert client.failed_at < 15.0
    assert not server.leaks()


def test_an_open_client_waits_ten_seconds_for_a_server_that_cannot_come() -> None:
    world, server, client = pair("home", "open")
    assert server.nat is not None
    server.nat.swallows = lambda packet: isinstance(packet, Data)
    started = world.now
    error = fail(world, client, server.key_pair.public_key)
    assert error.reason is Reason.HOLEPUNCH_ABORTED
    assert 10.0 <= client.failed_at - started < 11.0


def test_a_hole_punch_answer_that_does_not_decrypt_is_invalid() -> None:
    world, server, client = pair("home", "home")

    def tamper_with_probe(node: int) -> None:
        world.nodes[node].tamper = lambda packet: (
            packet._replace(value=packet.value[:-7] + bytes(7)) if packet.kind == "holepunch" else packet
        )

    for node in range(3):
        tamper_with_probe(node)
    assert client.nat is not None
    client.nat.swallows = lambda packet: isinstance(packet, bytes)
    error = fail(world, client, server.key_pair.public_key)
    assert error.reason is Reason.HOLEPUNCH_INVALID


def test_a_client_without_witnesses_cannot_be_judged() -> None:
    world, server, client = scripted(answer=HolepunchPayload(firewall=Firewall.CONSISTENT, token=bytes(32)))
    client.signaller.witness_limit = 0
    error = fail(world, client, server.peer.key_pair.public_key)
    assert error.reason is Reason.HOLEPUNCH_PROBE_TIMEOUT
    assert server.heard[-1].error == Abort.ABORTED


def test_a_server_that_never_learns_its_nat_is_asked_twice() -> None:
    world, server, client = scripted(answer=HolepunchPayload())
    error = fail(world, client, server.peer.key_pair.public_key)
    assert error.reason is Reason.HOLEPUNCH_PROBE_TIMEOUT
    assert [message.error for message in server.heard] == [Abort.NONE, Abort.NONE, Abort.ABORTED]
    assert [message.round for message in server.heard] == [0, 1, 2]


@pytest.mark.parametrize("error", [Abort.ABORTED, Abort.TRY_LATER, 99])
def test_a_server_that_gives_up_is_named(error: int) -> None:
    world, server, client = scripted(answer=HolepunchPayload(error=error))
    failure = fail(world, client, server.peer.key_pair.public_key)
    assert failure.reason is Reason.REMOTE_ABORTED
    assert failure.attempt.gave_up == "remote"


def test_a_server_that_does_not_punch_is_named() -> None:
    world, server, client = scripted(
        answer=HolepunchPayload(firewall=Firewall.CONSISTENT, token=bytes(32), addresses=(Address("50.0.0.1", 1234),))
    )
    error = fail(world, client, server.peer.key_pair.public_key)
    assert error.reason is Reason.REMOTE_NOT_HOLEPUNCHING


def test_a_random_server_that_does_not_prove_its_address_is_not_searched_for() -> None:
    world, server, client = scripted(
        answer=HolepunchPayload(
            firewall=Firewall.RANDOM, token=bytes(32), addresses=(Address("50.0.0.77", 0),), punching=True
        )
    )
    error = fail(world, client, server.peer.key_pair.public_key)
    assert error.reason is Reason.REMOTE_NOT_HOLEPUNCHABLE
    assert world.internet.probes["50.0.0.2"] == 0


def test_relays_that_fall_silent_after_the_handshake_end_the_dial() -> None:
    world, server, client = pair("home", "home")
    client.dial(server.key_pair.public_key)
    world.run(10, until=lambda: client.dials[0].answer is not None)
    world.dead |= {node.address for node in world.nodes[:3]}
    world.run(60)
    (error,) = client.failed
    assert error.reason is Reason.HOLEPUNCH_ABORTED
    assert not client.leaks()


def test_no_socket_to_punch_with_is_a_failure_not_an_exception() -> None:
    world, server, client = pair("home", "home")
    client.sockets.limit = 2
    error = fail(world, client, server.key_pair.public_key)
    assert error.reason is Reason.HOLEPUNCH_ABORTED
    assert "no socket" in str(error.attempt.stages[-1])


# -- how it finds its way


def test_relays_known_before_are_tried_while_the_search_runs() -> None:
    world, server, client = pair("home", "home")
    dead = [Address(f"52.9.9.{n}", 1) for n in range(5)]
    started = world.now
    client.dial(server.key_pair.public_key, relays=dead)
    world.run(5)
    assert client.connected_at - started < 0.5


def test_dead_relays_do_not_hold_up_a_good_one() -> None:
    world, server, client = pair("home", "home")
    world.dead |= {world.nodes[0].address, world.nodes[1].address}
    started = world.now
    client.dial(server.key_pair.public_key)
    world.run(5)
    assert client.connected_at - started < 1.0


def test_the_server_tells_which_relays_to_remember() -> None:
    world, server, client = pair("home", "home")
    client.dial(server.key_pair.public_key)
    world.run(5)
    assert client.signaller.cache[server.key_pair.public_key] == tuple(n.address for n in world.nodes[:3])


def test_a_server_that_is_asked_itself_is_connected_directly() -> None:
    world, server, client = pair("open", "home")
    address = server.sockets.by_role[SERVER]
    client.dial(server.key_pair.public_key, relays=[address])
    world.run(5)
    assert client.connected[0].address == address
    assert server.connected[0].address.host == "50.0.0.2"
    assert not client.leaks()


def test_a_server_that_names_no_relay_yet_is_punched_through_the_one_that_led_to_it() -> None:
    world, server, client = pair("home", "home")
    server.listener.on_relays((), (), lambda source: source in world.announced[server.target])
    client.dial(server.key_pair.public_key)
    world.run(5)
    assert client.connected
    assert server.connected


def test_traffic_before_the_answer_shows_the_way() -> None:
    """An open client's server speaks at once, and its packets may overtake the relay's."""
    world, server, client = pair("home", "open")
    dial = client.dial(server.key_pair.public_key)
    client.world.schedule.after(0.1, lambda: client.streams.receive(SERVER, Address("50.0.0.1", 4444), dial.local_id))
    world.run(1, until=lambda: bool(client.connected))
    assert client.connected[0].address == Address("50.0.0.1", 4444)


def test_traffic_from_port_zero_is_no_way() -> None:
    world, server, client = pair("home", "home")
    dial = client.dial(server.key_pair.public_key)
    world.run(5, until=lambda: dial.answer is not None)
    client.streams.receive(SERVER, Address("50.0.0.1", 0), dial.local_id)
    assert not client.connected


def test_last_step_of_a_dial_is_remembered_however_many_there_were() -> None:
    world = World()
    client = peer_behind(world, "home", 1)
    dial = client.dial(NOBODY)
    for number in range(100):
        dial._note("dead relay", str(number))
    world.run(60)
    (error,) = client.failed
    assert len(error.attempt.stages) == MAX_STAGES
    assert error.attempt.stages[0].name == "searching"
    assert error.attempt.stages[-1].name == "failed"


# -- giving up


def test_a_dial_closed_before_it_began_does_nothing() -> None:
    client = peer_behind(World(), "home", 1)
    dial = Dial(
        client.environment, client.key_pair, NOBODY, on_connected=client.on_connected, on_failed=client.on_failed
    )
    dial.close()
    assert dial.done
    assert not client.leaks()


@pytest.mark.parametrize("milliseconds", [*range(0, 400, 10), 500, 1000])
@pytest.mark.parametrize("kinds", [("home", "home"), ("symmetric", "home"), ("home", "symmetric")])
def test_closing_at_any_moment_leaves_nothing(kinds: tuple[str, str], milliseconds: int) -> None:
    world, server, client = pair(*kinds)
    dial = client.dial(server.key_pair.public_key)
    world.run(milliseconds / 1000)
    done = len(client.connected)
    dial.close()
    dial.close()
    assert not client.leaks()
    server.listener.close()
    assert not server.leaks()
    world.run(30)
    assert not client.failed
    assert len(client.connected) == done
    assert not client.leaks()
    assert not server.leaks()


# -- nonsense


@given(st.binary(max_size=120))
@settings(max_examples=30)
def test_random_bytes_instead_of_the_servers_answer(noise: bytes) -> None:
    world, server, client = scripted()
    server.reply = lambda _: noise
    error = fail(world, client, server.peer.key_pair.public_key)
    assert error.reason in (Reason.HANDSHAKE_INVALID, Reason.PEER_CONNECTION_FAILED)


addresses = st.lists(st.builds(Address, st.ip_addresses(v=4).map(str), st.integers(0, 65535)), max_size=6).map(tuple)


@given(
    st.builds(
        HolepunchPayload,
        error=st.sampled_from([0, 0, 0, 1, 3, 200]),
        firewall=st.sampled_from([0, 1, 2, 3, 4, 250]),
        round=st.integers(0, 252),
        connected=st.booleans(),
        punching=st.booleans(),
        addresses=st.none() | addresses,
        remote_address=st.none(),
        token=st.none() | st.just(bytes(32)),
        remote_token=st.none(),
    ),
    st.booleans(),
    st.sampled_from(["home", "symmetric", "sequential"]),
)
@settings(max_examples=60)
def test_any_answer_to_a_hole_punch_ends_in_a_reason(answer: HolepunchPayload, echo: bool, kind: str) -> None:
    world, server, client = scripted(client=kind)
    server.answer = lambda message: answer._replace(remote_token=message.token if echo else None)
    fail(world, client, server.peer.key_pair.public_key)


@given(
    st.builds(
        NoisePayload,
        version=st.just(VERSION),
        error=st.just(Abort.NONE),
        firewall=st.sampled_from([0, 1, 2, 3, 4, 250]),
        holepunch=st.none(),
        addresses4=addresses,
        addresses6=st.just(()),
        udx=st.none(),
        relay_through=st.none(),
        relay_addresses=st.none() | addresses,
        greeting=st.none(),
    )
)
@settings(max_examples=30)
def test_any_introduction_of_a_server_leads_somewhere_or_fails(payload: NoisePayload) -> None:
    world, server, client = scripted()
    server.payload = lambda plain: payload._replace(udx=plain.udx)
    client.dial(server.peer.key_pair.public_key)
    world.run(60)
    assert len(client.connected) + len(client.failed) == 1
    assert not client.leaks()
