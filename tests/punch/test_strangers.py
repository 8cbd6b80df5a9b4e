"""Bytes from strangers on the sockets of a punch, and peers whose packets come from hosts that nobody expects."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from holepunch.address import Address
from holepunch.nat.classifier import Firewall
from holepunch.punch.puncher import PROBE, STRANGE_WAIT, STRANGE_WAIT_RANDOM
from tests.punch.internet import Ask, Nat, Packet
from tests.punch.punchers import PEER, RANDOM_PEER, puncher_of, told
from tests.punch.world import Peer, World, pair, peer_behind

STRANGER = Address("66.0.0.6", 6)


def spray(world: World, client: Peer) -> None:
    """A byte from a stranger to each port that the client's router has open."""
    assert client.nat is not None
    for port in client.nat.owners:
        world.internet.send(STRANGER, Address(client.nat.host, port), PROBE)


@pytest.mark.parametrize("server_kind", ["home", "symmetric"])
def test_a_stranger_that_sends_bytes_all_the_time_is_not_taken_for_the_peer(server_kind: str) -> None:
    for seed in range(5):
        world, server, client = pair(server_kind, "fullcone", seed)
        client.dial(server.key_pair.public_key)
        started = world.now
        while not (client.connected and server.connected) and world.now < started + 10:
            spray(world, client)
            world.run(0.005)
        (established,) = client.connected
        assert established.address.host == "50.0.0.1"
        world.run(25)
        assert not client.leaks()
        assert not server.leaks()


@dataclass
class Pool(Nat):
    """A carrier's: what asks nodes comes from one of its hosts, and what goes to peers from another."""

    other_host: str = "50.0.9.9"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.outside.routers[self.other_host] = self

    def outbound(self, source: Address, to: Address, packet: Packet, ttl: int) -> None:
        own = self.host
        if not isinstance(packet, Ask):
            self.host = self.other_host
        super().outbound(source, to, packet, ttl)
        self.host = own


def test_a_peer_whose_probes_come_from_an_unexpected_host_is_found_a_little_later() -> None:
    world = World()
    nat = Pool(world.internet, "50.0.0.1")
    server = Peer(nat.inside, "192.168.1.10", nat=nat)
    client = peer_behind(world, "fullcone", 2)
    server.listen()
    client.dial(server.key_pair.public_key)
    world.run(STRANGE_WAIT + 1, until=lambda: bool(client.connected and server.connected))
    (established,) = client.connected
    assert established.address.host == nat.other_host


# -- one puncher


@pytest.mark.parametrize(
    ("firewall", "wait"), [(Firewall.CONSISTENT, STRANGE_WAIT), (Firewall.RANDOM, STRANGE_WAIT_RANDOM)]
)
def test_a_probe_from_a_host_that_nobody_named_waits_for_a_better_one(firewall: Firewall, wait: float) -> None:
    world = World()
    peer = peer_behind(world, "home", 1)
    puncher, ends = puncher_of(peer)
    peer.probes.on_probe(puncher.role, STRANGER)
    world.run(5)
    assert not ends.hits  # it is not punching yet
    puncher.update_remote(told(firewall, PEER), PEER.host)
    puncher.punch()
    world.run(wait - 0.01)
    assert not ends.hits
    world.run(0.02)
    assert ends.hits == [STRANGER]
    puncher.close()
    assert not peer.leaks()


def test_a_probe_of_the_peer_goes_before_one_that_came_from_elsewhere() -> None:
    world = World()
    peer = peer_behind(world, "home", 1)
    puncher, ends = puncher_of(peer)
    puncher.update_remote(told(Firewall.CONSISTENT, PEER), PEER.host)
    puncher.punch()
    for source in (STRANGER, PEER):
        peer.probes.on_probe(puncher.role, source)
    world.run(5)
    assert ends.hits == [PEER]
    puncher.close()


def test_a_stranger_that_was_taken_for_the_peer_does_not_shut_the_peer_out() -> None:
    """As matters to a connection that goes through a relay meanwhile."""
    world = World()
    peer = peer_behind(world, "home", 1)
    puncher, ends = puncher_of(peer)
    puncher.update_remote(told(Firewall.CONSISTENT, PEER), PEER.host)
    puncher.punch()
    peer.probes.on_probe(puncher.role, STRANGER)
    world.run(STRANGE_WAIT)
    for source in (STRANGER, PEER, PEER):
        peer.probes.on_probe(puncher.role, source)
    assert ends.hits == [STRANGER, PEER]
    puncher.close()


def test_a_host_that_the_peer_names_later_is_no_stranger() -> None:
    world = World()
    peer = peer_behind(world, "home", 1)
    puncher, ends = puncher_of(peer)
    peer.probes.on_probe(puncher.role, STRANGER)
    puncher.update_remote(told(Firewall.CONSISTENT, PEER, STRANGER), None)
    world.run(0)
    assert ends.hits == [STRANGER]
    puncher.close()


def test_a_stranger_on_a_socket_that_was_given_up_is_forgotten() -> None:
    world = World()
    peer = peer_behind(world, "symmetric", 1)
    puncher, ends = puncher_of(peer)
    peer.probes.on_probe(puncher.role, STRANGER)
    puncher.update_remote(told(Firewall.RANDOM, RANDOM_PEER), None)
    puncher.scope.run(puncher.analyze(reopen=True), lambda _: None)
    world.run(5)
    puncher.update_remote(told(Firewall.CONSISTENT, STRANGER), None)
    world.run(5)
    assert not ends.hits
    puncher.close()
