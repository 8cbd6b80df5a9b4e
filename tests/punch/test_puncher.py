"""Punching itself: which socket probes what, at which rate, and what the limits of a node mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from holepunch.address import Address
from holepunch.core import CLIENT
from holepunch.nat.classifier import Firewall
from holepunch.punch.limits import BIRTHDAY_PUNCHES, PROBES_PER_SECOND, SEARCHES, RandomPunchLimit
from holepunch.punch.puncher import PROBE, Puncher, firewall_of
from holepunch.punch.strategies import BIRTHDAY_SOCKETS, DEFAULT_TTL, OPENING_TTL
from tests.punch.internet import Nat, Packet
from tests.punch.punchers import PEER, RANDOM_PEER, Ends, puncher_of, told
from tests.punch.world import Peer, World, pair, peer_behind
from tests.recorded import Case, recorded

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    ("kind", "verdict"),
    [("open", Firewall.OPEN), ("home", Firewall.CONSISTENT), ("symmetric", Firewall.RANDOM)],
)
def test_the_own_nat_is_judged_within_one_round_trip(kind: str, verdict: Firewall) -> None:
    world = World()
    peer = peer_behind(world, kind, 1)
    puncher, _ = puncher_of(peer)
    assert puncher.nat.firewall is verdict
    puncher.close()
    assert not peer.leaks()


def test_nodes_that_do_not_answer_are_replaced_by_others() -> None:
    world = World()
    world.dead |= {node.address for node in world.nodes[5:]}
    puncher, _ = puncher_of(peer_behind(world, "home", 1))
    assert puncher.nat.firewall is Firewall.CONSISTENT


def test_a_random_nat_tells_its_last_port_only_when_ports_come_in_sequence() -> None:
    world = World()
    in_sequence, _ = puncher_of(peer_behind(world, "sequential", 1))
    scattered, _ = puncher_of(peer_behind(world, "symmetric", 2))
    assert in_sequence.nat.addresses is not None
    assert scattered.nat.addresses is not None
    assert in_sequence.nat.addresses[0].port > 20000
    assert scattered.nat.addresses == (Address("50.0.0.2", 0),)


@pytest.mark.parametrize(("value", "firewall"), [(0, 0), (1, 1), (2, 2), (3, 3), (4, 3), (250, 3)])
def test_an_unknown_class_of_nat_counts_as_random(value: int, firewall: int) -> None:
    assert firewall_of(value) == firewall


# -- what is sent


@pytest.mark.parametrize("case", recorded("dht_rpc.json", "byte to a peer"))
def test_recorded_probes_are_those_that_we_send(case: Case) -> None:
    peer = peer_behind(World(), "home", 1)
    puncher, _ = puncher_of(peer)
    sends = {OPENING_TTL: puncher.open_session, DEFAULT_TTL: puncher.probe}
    sends[case["ttl"]](PEER)
    assert peer.sockets.probes == {case["ttl"]: 1}
    assert PROBE.hex() == case["hex"]


def test_addresses_not_proven_are_probed_less_often() -> None:
    world = World()
    peer = peer_behind(world, "home", 1)
    counts = {}
    for host in ("50.0.0.77", None):
        puncher, ends = puncher_of(peer)
        puncher.update_remote(told(Firewall.CONSISTENT, PEER), host)
        peer.sockets.probes.clear()
        assert puncher.punch()
        world.run(20)
        assert ends.aborts == 1
        counts[host] = peer.sockets.probes[DEFAULT_TTL]
    assert counts == {"50.0.0.77": 13, None: 3}
    assert not peer.leaks()


def test_an_address_proven_once_stays_proven_while_it_is_named() -> None:
    puncher, _ = puncher_of(peer_behind(World(), "home", 1))
    other = Address("50.0.0.78", 1)
    puncher.update_remote(told(Firewall.CONSISTENT, PEER), PEER.host)
    puncher.update_remote(told(Firewall.CONSISTENT, PEER, other), None)
    assert puncher.remote_addresses == [(PEER, True), (other, False)]
    puncher.update_remote(told(Firewall.CONSISTENT, other), None)
    puncher.update_remote(told(Firewall.CONSISTENT, PEER), None)
    assert puncher.remote_addresses == [(PEER, False)]


def test_a_peer_cannot_have_many_addresses_probed() -> None:
    puncher, _ = puncher_of(peer_behind(World(), "home", 1))
    puncher.update_remote(told(Firewall.CONSISTENT, *(Address(f"50.0.1.{n}", 1) for n in range(100))), None)
    assert len(puncher.remote_addresses) == 4


def test_a_search_sends_its_probes_at_the_documented_rate_and_then_gives_up() -> None:
    world = World()
    peer = peer_behind(world, "home", 1)
    puncher, ends = puncher_of(peer)
    puncher.update_remote(told(Firewall.RANDOM, RANDOM_PEER), PEER.host)
    assert puncher.reserve()
    assert puncher.punch()
    world.run(1)
    assert 240 <= peer.sockets.probes[DEFAULT_TTL] <= 260
    world.run(60)
    assert peer.sockets.probes == {DEFAULT_TTL: 3000}
    assert ends.aborts == 1
    assert not peer.leaks()


def test_many_searches_share_one_rate() -> None:
    world = World()
    peer = peer_behind(world, "home", 1)
    punchers = [puncher_of(peer)[0] for _ in range(10)]
    for puncher in punchers:
        puncher.update_remote(told(Firewall.RANDOM, RANDOM_PEER), PEER.host)
        assert puncher.reserve()
        assert puncher.punch()
    world.run(1)
    peer.sockets.probes.clear()
    world.run(1)
    assert peer.sockets.probes[DEFAULT_TTL] <= PROBES_PER_SECOND + len(punchers)
    for puncher in punchers:
        puncher.close()
    assert not peer.leaks()


def test_a_random_nat_holds_many_ports_open_without_reaching_the_peer() -> None:
    world = World()
    peer = peer_behind(world, "symmetric", 1)
    puncher, _ = puncher_of(peer)
    puncher.update_remote(told(Firewall.CONSISTENT, PEER), PEER.host)
    assert puncher.reserve()
    assert puncher.punch()
    assert len(peer.sockets.by_role) == 2 + BIRTHDAY_SOCKETS
    world.run(1)
    assert peer.nat is not None
    assert sum(part == str(PEER) for _, part in peer.nat.mappings) == BIRTHDAY_SOCKETS
    assert peer.sockets.probes[OPENING_TTL] > 10 * peer.sockets.probes[DEFAULT_TTL]
    puncher.close()
    assert not peer.leaks()


def test_fewer_sockets_than_wanted_are_better_than_none() -> None:
    world = World()
    peer = peer_behind(world, "symmetric", 1)
    peer.sockets.limit = 50
    puncher, _ = puncher_of(peer)
    puncher.update_remote(told(Firewall.CONSISTENT, PEER), PEER.host)
    assert puncher.reserve()
    assert puncher.punch()
    world.run(10)
    assert len(peer.sockets.by_role) == 50
    puncher.close()
    assert not peer.leaks()


# -- hits


def test_the_initiator_takes_the_first_hit_and_only_that() -> None:
    peer = peer_behind(World(), "open", 1)
    puncher, ends = puncher_of(peer)
    for port in (1, 2):
        peer.probes.on_probe(puncher.role, Address("50.0.0.77", port))
    assert ends.hits == [Address("50.0.0.77", 1)]


def test_a_punch_that_a_hit_has_overtaken_has_succeeded_and_sends_nothing() -> None:
    world = World()
    peer = peer_behind(world, "open", 1)
    puncher, ends = puncher_of(peer)
    puncher.update_remote(told(Firewall.CONSISTENT, PEER), None)
    peer.environment.probes.on_probe(puncher.role, PEER)
    assert ends.hits == [PEER]
    assert puncher.punch()
    assert not puncher.punching
    world.run(60)
    assert not ends.aborts
    puncher.close()


def test_a_probe_before_the_peer_is_known_means_nothing() -> None:
    peer = peer_behind(World(), "open", 1)
    ends = Ends()
    puncher = Puncher(peer.environment, initiator=True, on_hit=ends.on_hit, on_abort=ends.on_abort)
    peer.probes.on_probe(puncher.role, PEER)
    assert not ends.hits
    puncher.meet(Firewall.UNKNOWN, [PEER.host])
    peer.probes.on_probe(puncher.role, PEER)
    assert ends.hits == [PEER]


def test_the_responder_answers_each_hit_with_one_probe_from_the_same_socket() -> None:
    world = World()
    peer = peer_behind(world, "open", 1)
    puncher, ends = puncher_of(peer, initiator=False)
    for _ in range(2):
        peer.probes.on_probe(puncher.role, PEER)
    assert peer.sockets.probes == {DEFAULT_TTL: 2}
    assert not ends.hits


def test_two_responders_do_not_answer_each_other_for_ever() -> None:
    world = World()
    peers = [peer_behind(world, "open", n) for n in (1, 2)]
    punchers = [puncher_of(peer, initiator=False)[0] for peer in peers]
    punchers[0].probe(peers[1].sockets.by_role[punchers[1].role])
    world.run(600)
    assert peers[0].sockets.probes[DEFAULT_TTL] < 2100


def test_a_probe_on_a_socket_that_nobody_punches_with_means_nothing() -> None:
    peer = peer_behind(World(), "open", 1)
    peer.probes.on_probe(0, PEER)
    assert not peer.sockets.probes


def test_the_socket_of_the_hit_is_left_open() -> None:
    peer = peer_behind(World(), "open", 1)
    puncher, _ = puncher_of(peer)
    role = puncher.role
    puncher.give_away(role)
    puncher.close()
    assert role in peer.sockets.by_role
    assert len(peer.probes) == 0


# -- another socket may be luckier


@dataclass
class Moody(Nat):
    """A carrier's NAT that treats the first sockets as random, and later ones well."""

    bad: int = 1

    def outbound(self, source: Address, to: Address, packet: Packet, ttl: int) -> None:
        sockets = list(dict.fromkeys([*self.owners.values(), source]))
        self.mapping = "port" if sockets.index(source) < self.bad else "any"
        super().outbound(source, to, packet, ttl)


def test_both_random_tries_other_sockets_first() -> None:
    world, server, _ = pair("symmetric", "home")
    # of a client that never listened, the first socket outside is the one of its handshake
    client = Peer(Moody(world.internet, "50.0.0.8", bad=2).inside, "192.168.8.10")
    client.dial(server.key_pair.public_key)
    world.run(60)
    (path,) = client.connected
    assert path.role > CLIENT + 1
    assert not client.leaks()


# -- the node's limit


def test_the_limit_counts_each_side_for_itself() -> None:
    limit = RandomPunchLimit()
    for _ in range(BIRTHDAY_PUNCHES):
        limit.begin(birthday=True)
    assert not limit.admits(birthday=True)
    for _ in range(SEARCHES):
        assert limit.admits(birthday=False)
        limit.begin(birthday=False)
    assert not limit.admits(birthday=False)
    assert limit.search_rate * SEARCHES <= PROBES_PER_SECOND
    limit.end(birthday=True)
    assert limit.admits(birthday=True)


def dials(server: str, client: str, occupy: Callable[[Peer, Peer], None]) -> tuple[Peer, Peer]:
    world, listening, dialling = pair(server, client)
    occupy(listening, dialling)
    dialling.dial(listening.key_pair.public_key)
    world.run(60)
    return listening, dialling


def test_a_dial_that_finds_no_place_waits_and_then_gives_up() -> None:
    _, client = dials("home", "symmetric", lambda server, client: client.limit.begin(birthday=True))
    (error,) = client.failed
    assert error.reason.name == "HOLEPUNCH_ABORTED"
    assert "other punches" in str(error.attempt.stages[-1])


def test_a_dial_that_finds_a_place_in_time_goes_on() -> None:
    def occupy(server: Peer, client: Peer) -> None:
        client.limit.begin(birthday=True)
        client.schedule.after(4.0, lambda: client.limit.end(birthday=True))

    _, client = dials("home", "symmetric", occupy)
    assert client.connected
    assert not client.leaks()


def test_a_server_that_finds_no_place_puts_off_and_keeps_the_handshake() -> None:
    def occupy(server: Peer, client: Peer) -> None:
        server.limit.begin(birthday=True)
        server.schedule.after(4.0, lambda: server.limit.end(birthday=True))

    server, client = dials("symmetric", "home", occupy)
    assert client.connected
    assert server.connected
    assert not client.leaks()
    assert not server.leaks()


def test_a_server_that_never_finds_a_place_is_named() -> None:
    _, client = dials("symmetric", "home", lambda server, client: server.limit.begin(birthday=True))
    (error,) = client.failed
    assert error.reason.name == "REMOTE_ABORTED"
    assert error.attempt.gave_up == "remote"
