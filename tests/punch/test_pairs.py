"""Every kind of NAT against every other: who connects, how fast, and that nothing is left over."""

from __future__ import annotations

import statistics

import pytest

from holepunch.errors import Reason
from tests.punch.explained import check_explanation
from tests.punch.internet import Data, Nat
from tests.punch.world import Peer, World, pair, peer_behind

PLAIN = ("open", "fullcone", "restricted", "home", "kept")
RANDOM = ("symmetric", "sequential")
CLEARED = 25.0
"""Seconds after which the server has forgotten the handshake."""


def dial(world: World, server: Peer, client: Peer) -> float:
    """How long it takes until both sides are connected, or the client gives up."""
    started = world.now
    client.dial(server.key_pair.public_key)
    world.run(60, until=lambda: bool(client.failed) or bool(client.connected and server.connected))
    return world.now - started


def assert_one_path(server: Peer, client: Peer) -> None:
    """Both ends agree on one session, and what each sends arrives at the other."""
    (here,), (there,) = client.connected, server.connected
    assert (here.session.tx, here.session.rx) == (there.session.rx, there.session.tx)
    assert here.session.remote_public_key == server.key_pair.public_key
    assert there.session.remote_public_key == client.key_pair.public_key
    assert client.streams.streams[here.local_id].heard
    assert server.streams.streams[there.local_id].heard


@pytest.mark.parametrize("client", PLAIN)
@pytest.mark.parametrize("server", PLAIN)
def test_two_nats_that_keep_their_port_connect_within_the_messages_it_takes(server: str, client: str) -> None:
    world, listening, dialling = pair(server, client)
    # 120 ms to find a relay, and two exchanges through it, are 300 ms at these distances
    assert dial(world, listening, dialling) < 0.4
    world.run(CLEARED)
    assert_one_path(listening, dialling)
    assert not dialling.leaks()
    assert not listening.leaks()


def test_the_server_speaks_first_when_both_nats_are_known_to_keep_their_port() -> None:
    world, server, client = pair("home", "home")
    started = world.now
    dial(world, server, client)
    world.run(1)
    (stream,) = client.streams.streams.values()
    # the server's first packet comes in with its first probe, not a round trip after the client's answer to that
    assert stream.heard_at - client.connected_at < 0.001
    assert stream.heard_at - started < 0.3


def test_a_client_that_the_server_speaks_to_in_vain_is_still_punched() -> None:
    """Its opening probe was lost, so the server's first packets, and its probe, do not get in."""
    world, server, client = pair("home", "home")
    nat = client.nat
    assert nat is not None
    client.dial(server.key_pair.public_key)
    world.run(5, until=lambda: client.dials[0].answer is not None)
    nat.swallows = lambda packet: isinstance(packet, bytes | Data)
    world.run(5, until=lambda: bool(server.connected))
    world.run(0.1)
    nat.swallows = lambda packet: False
    world.run(5)
    assert_one_path(server, client)
    world.run(CLEARED)
    assert not client.leaks()
    assert not server.leaks()


@pytest.mark.parametrize("plain", PLAIN)
@pytest.mark.parametrize("random", RANDOM)
@pytest.mark.parametrize("listens", ["plain", "random"])
def test_one_random_nat_is_searched(plain: str, random: str, listens: str) -> None:
    server, client = (plain, random) if listens == "plain" else (random, plain)
    world, listening, dialling = pair(server, client)
    dial(world, listening, dialling)
    world.run(CLEARED)
    assert_one_path(listening, dialling)
    assert not dialling.leaks()
    assert not listening.leaks()


@pytest.mark.parametrize(("server", "client"), [("symmetric", "home"), ("home", "symmetric")])
def test_a_random_nat_is_mostly_found_within_seconds(server: str, client: str) -> None:
    times = sorted(dial(*pair(server, client, seed)) for seed in range(60))
    assert statistics.median(times) < 3.0
    assert times[int(0.9 * len(times))] < 8.0
    assert times[-1] < 15.0


@pytest.mark.parametrize(("server", "client"), [("sequential", "home"), ("home", "sequential")])
def test_ports_in_sequence_are_predicted(server: str, client: str) -> None:
    assert max(dial(*pair(server, client, seed)) for seed in range(10)) < 1.0


def test_ports_in_sequence_on_both_sides_meet_in_the_middle() -> None:
    assert max(dial(*pair("sequential", "sequential", seed)) for seed in range(10)) < 1.5


@pytest.mark.parametrize(
    ("server", "client"), [("symmetric", "symmetric"), ("symmetric", "sequential"), ("sequential", "symmetric")]
)
@pytest.mark.parametrize("loss", [0.0, 0.05])
def test_two_random_nats_fail_early_and_say_why(server: str, client: str, loss: float) -> None:
    world, listening, dialling = pair(server, client, loss=loss)
    assert dial(world, listening, dialling) < 15.0
    (error,) = dialling.failed
    assert error.reason is Reason.HOLEPUNCH_DOUBLE_RANDOMIZED_NATS
    assert (error.attempt.local_nat, error.attempt.remote_nat) == ("random", "random")
    check_explanation(error)
    world.run(CLEARED)
    assert not dialling.leaks()
    assert not listening.leaks()


@pytest.mark.parametrize("client", ["open", "home", "symmetric"])
@pytest.mark.parametrize("server", ["open", "home"])
def test_lost_packets_delay_but_do_not_prevent(server: str, client: str) -> None:
    for seed in range(15):
        world, listening, dialling = pair(server, client, seed, loss=0.05)
        assert dial(world, listening, dialling) < 15.0
        world.run(CLEARED + 40)
        assert len(dialling.connected) == 1
        assert not dialling.leaks()
        assert not listening.leaks()


def test_a_nat_in_a_nat_is_a_nat() -> None:
    world = World()
    carrier = Nat(world.internet, "50.0.0.9")
    home = Nat(carrier.inside, "100.64.0.7")
    server = Peer(home.inside, "192.168.1.10")
    server.listen()
    client = Peer(Nat(world.internet, "50.0.0.2").inside, "192.168.2.10")
    assert dial(world, server, client) < 0.5
    world.run(1)
    assert_one_path(server, client)


def test_a_client_that_turns_out_to_be_open_in_mid_dial_is_still_punched_at() -> None:
    """A fresh node takes itself for firewalled until strangers have reached it."""
    world = World()
    server, client = peer_behind(world, "symmetric", 1), peer_behind(world, "open", 2)
    server.listen()
    client.signaller.firewalled = True
    client.dial(server.key_pair.public_key)
    world.run(5, until=lambda: client.dials[0].answer is not None)
    client.signaller.firewalled = False
    world.run(5)
    assert client.connected
    assert server.connected
