"""Peers in one network, or on one machine: the short way wins, and a way that swallows packets costs nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from holepunch.address import Address
from holepunch.core import SERVER
from holepunch.punch.environment import Established
from holepunch.punch.messages import NoisePayload
from tests.punch.internet import NATS, Nat
from tests.punch.world import Peer, World

if TYPE_CHECKING:
    from holepunch.secure.noise import Session


def home(world: World, kind: str = "home", *, hairpin: bool = False) -> tuple[Peer, Peer]:
    """Two peers behind one router; the first one listens."""
    nat = NATS[kind](world.internet, "50.0.0.1")
    nat.hairpin = hairpin
    server, client = Peer(nat.inside, "192.168.1.10"), Peer(nat.inside, "192.168.1.11")
    server.listen()
    return server, client


def machine(*, nodes: int = 5) -> tuple[World, Peer, Peer]:
    """Two peers and their DHT on one machine; the first one listens."""
    world = World(loopback=True, nodes=nodes)
    server, client = Peer(world.internet, "127.0.0.1"), Peer(world.internet, "127.0.0.1")
    for peer in (server, client):
        peer.signaller.firewalled = True
    server.listen()
    return world, server, client


def dial(world: World, server: Peer, client: Peer) -> float:
    started = world.now
    client.dial(server.key_pair.public_key)
    world.run(60, until=lambda: bool(client.failed) or bool(client.connected and server.connected))
    elapsed = world.now - started
    world.run(25)
    assert not client.leaks()
    assert not server.leaks()
    return elapsed


@pytest.mark.parametrize("hairpin", [False, True])
@pytest.mark.parametrize("kind", ["home", "symmetric"])
def test_neighbours_meet_inside(kind: str, hairpin: bool) -> None:
    world = World()
    server, client = home(world, kind, hairpin=hairpin)
    assert dial(world, server, client) < 0.4
    (path,) = client.connected
    assert path.address == Address("192.168.1.10", server.sockets.by_role[SERVER].port)
    assert path.lan
    assert server.connected[0].lan


@pytest.mark.parametrize("hairpin", [False, True])
def test_neighbours_who_hide_their_local_addresses_need_the_router(hairpin: bool) -> None:
    world = World()
    server, client = home(world, hairpin=hairpin)
    client.dial(server.key_pair.public_key, local=False)
    world.run(60)
    assert bool(client.connected) is hairpin
    assert not any(path.lan for path in client.connected)


def test_a_private_address_is_local_only_if_it_is_the_peers_own_and_no_carriers() -> None:
    told = [Address("192.168.1.10", 1), Address("100.64.0.7", 1), Address("50.0.0.1", 1)]
    payload = NoisePayload(addresses4=tuple(told))

    def is_lan(host: str) -> bool:
        session = cast("Session", None)
        return Established(1, session, payload, SERVER, Address(host, 2)).lan

    assert [host for host in ("192.168.1.10", "192.168.1.11", "100.64.0.7", "50.0.0.1") if is_lan(host)] == [
        "192.168.1.10"
    ]


def test_a_local_address_that_swallows_packets_costs_nothing() -> None:
    world = World()
    server, client = home(world, hairpin=True)
    # only the way through the router is open, and it must not wait for the local pings
    server.signaller.local_hosts = ["192.168.1.77"]
    assert dial(world, server, client) < 1.5
    assert not client.connected[0].lan


def test_an_equal_private_address_behind_another_router_is_no_neighbour() -> None:
    world = World()
    peers = [Peer(Nat(world.internet, f"50.0.0.{n}").inside, "192.168.1.10") for n in (1, 2)]
    peers[0].listen()
    assert dial(world, peers[0], peers[1]) < 0.4
    assert peers[1].connected[0].address.host == "50.0.0.1"


def test_two_peers_on_one_machine_connect_at_once() -> None:
    world, server, client = machine()
    assert dial(world, server, client) < 0.2
    assert client.connected[0].address.host == "127.0.0.1"


def test_an_own_address_that_swallows_packets_does_not_slow_down_one_machine() -> None:
    world, server, client = machine()
    for peer in (server, client):
        peer.signaller.local_hosts = ["10.1.2.3"]
    assert dial(world, server, client) < 0.2
    assert client.connected[0].address.host == "127.0.0.1"


@pytest.mark.parametrize("nodes", [1, 2])
def test_a_dht_too_small_to_judge_nats_serves_one_machine(nodes: int) -> None:
    world, server, client = machine(nodes=nodes)
    assert dial(world, server, client) < 0.2


def test_one_machine_without_local_addresses_punches() -> None:
    world, server, client = machine()
    client.dial(server.key_pair.public_key, local=False)
    world.run(2)
    assert client.connected
    assert client.connected_at < 0.5


def test_an_open_server_that_its_own_network_cannot_reach_outside_is_reached_inside() -> None:
    world = World()
    nat = Nat(world.internet, "50.0.0.1", ports="kept")
    server, client = Peer(nat.inside, "192.168.1.10"), Peer(nat.inside, "192.168.1.11")
    # a port forwarded to the server, on a router that does not turn packets around
    public = Address("50.0.0.1", server.sockets.by_role[SERVER].port)
    server.signaller.firewalled = False
    server.signaller.public = public
    nat.filtering = "any"
    server.listen()
    assert dial(world, server, client) < 0.5
    assert client.connected[0].lan


def test_an_open_server_whose_local_addresses_are_dead_is_taken_at_its_word() -> None:
    world = World()
    server = Peer(world.internet, "51.0.0.1")
    client = Peer(world.internet, "51.0.0.1")
    client.signaller.firewalled = True
    server.signaller.local_hosts = ["192.168.1.10"]
    server.listen()
    assert dial(world, server, client) < 0.5
    assert client.connected[0].address == server.sockets.by_role[SERVER]
