"""Clients and a relay over muxes: who is paired with whom, in which order, and what a client cannot use up."""

from __future__ import annotations

import json
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holepunch.address import Address
from holepunch.core import Schedule
from holepunch.errors import DecodeError
from holepunch.punch.messages import NoisePayload, RelayThrough
from holepunch.relay.client import RelayClient
from holepunch.relay.messages import Pair, Unpair
from holepunch.relay.protomux import Protomux
from holepunch.relay.server import IDLE_TIMEOUT, PAIRING_TIMEOUT, Limits, RelayServer, RelaySession
from holepunch.udp import Received
from holepunch.udx.packet import DESTROY, header
from tests.recorded import recorded

if TYPE_CHECKING:
    from collections.abc import Callable

    from holepunch.relay.forwarding import Leg
    from holepunch.udx.values import Transmit

TOKEN = b"\xaa" * 32
OTHER = b"\xbb" * 32


class Table:
    """Implements `holepunch.relay.server.Legs`."""

    def __init__(self) -> None:
        self.legs: dict[int, Leg] = {}
        self.sent: list[Transmit] = []
        self.ids = count(1000)

    def add_leg(self, make: Callable[[int], Leg]) -> Leg:
        leg = make(next(self.ids))
        self.legs[leg.local_id] = leg
        return leg

    def remove_leg(self, local_id: int) -> None:
        del self.legs[local_id]

    def transmit(self, transmit: Transmit) -> None:
        self.sent.append(transmit)


class Peer:
    """A client, its mux, and the relay's mux at the other end of its connection."""

    def __init__(self, relay: Relay, number: int) -> None:
        self.relay = relay
        self.key = bytes((number,)) * 32
        self.address = Address(f"10.0.0.{number}", 5000)
        self.mux = Protomux()
        self.closed = 0
        self.frames: list[tuple[str, str]] = []
        self.remote = Protomux()
        self.session: RelaySession | None = relay.server.accept(self.remote, self.key, lambda: (0, self.address))
        self.client = RelayClient(self.mux, self.key, self._on_closed)
        relay.peers.append(self)
        relay.carry()

    def _on_closed(self) -> None:
        self.closed += 1

    def pair(self, is_initiator: bool, token: bytes = TOKEN, stream_id: int = 77) -> list[int]:
        """The answers, as they come."""
        answers: list[int] = []
        self.client.pair(is_initiator, token, stream_id, answers.append)
        self.relay.carry()
        return answers

    def unpair(self, is_initiator: bool, token: bytes = TOKEN) -> None:
        self.client.unpair(token, is_initiator)
        self.relay.carry()

    def send(self, leg: int, flags: int = 1) -> None:
        data = header(flags, leg, 0, 5, 0)
        self.relay.table.legs[leg].forward(Received(memoryview(data), len(data), self.address), 0, 0)


class Relay:
    def __init__(self, limits: Limits | None = None) -> None:
        self.schedule = Schedule()
        self.table = Table()
        self.server = RelayServer(self.table, self.schedule, limits)
        self.peers: list[Peer] = []

    def carry(self) -> None:
        while any(peer.mux.outgoing or peer.remote.outgoing for peer in self.peers):
            for peer in self.peers:
                for name, mux, other in (("client", peer.mux, peer.remote), ("relay", peer.remote, peer.mux)):
                    sent = mux.outgoing[:]
                    mux.outgoing.clear()
                    for frame in sent:
                        peer.frames.append((name, frame.hex()))
                        other.receive(frame)

    def lose(self, peer: Peer, *, lost: bool) -> None:
        assert peer.session is not None
        self.server.end(peer.session, lost=lost)
        peer.remote.close()


@pytest.fixture
def relay() -> Relay:
    return Relay()


@pytest.mark.parametrize(
    "case",
    recorded("blind_relay.json", "encoding") + recorded("hyperdht_messages.json", "blindRelayPair", "blindRelayUnpair"),
)
def test_messages_are_encoded_as_in_node(case: dict[str, Any]) -> None:
    value = case["value"] if "value" in case else case["decoded"]
    token = bytes.fromhex(value["token"])
    message: Pair | Unpair = (
        Unpair(token)
        if "isInitiator" not in value
        else Pair(value["isInitiator"], token, value["id"], value.get("seq", 0))
    )
    assert message.encode().hex() == case["hex"]
    assert type(message).decode(bytes.fromhex(case["hex"])) == message


@pytest.mark.parametrize("case", recorded("blind_relay.json", "flow"))
def test_control_traffic_is_that_of_node(case: dict[str, Any]) -> None:
    """Two clients with the keys, roles, tokens and stream ids of the record; the relay's stream ids as there."""
    recorded = case["frames_on_relay_sockets"]
    relay = Relay()
    ids = [f["decoded"]["id"] for f in recorded if f["who"].startswith("relay") and "token" in f["decoded"]]
    relay.table.ids = iter(ids)  # type: ignore[assignment]
    for who in ("first", "second"):
        own = [f["decoded"] for f in recorded if f["who"] == who]
        opened, request = (own[0], own[1])
        peer = Peer(relay, len(relay.peers) + 1)
        relay.peers.remove(peer)
        relay.lose(peer, lost=False)
        peer.key = bytes.fromhex(opened["channel_id"])
        peer.mux, peer.remote, peer.frames = Protomux(), Protomux(), []
        peer.session = relay.server.accept(peer.remote, peer.key, lambda: (0, Address("1.1.1.1", 1)))
        peer.client = RelayClient(peer.mux, peer.key, lambda: None)
        relay.peers.append(peer)
        peer.pair(request["isInitiator"], bytes.fromhex(request["token"]), request["id"])
    for who, peer in zip(("first", "second"), relay.peers, strict=True):
        for name, label in (("client", who), ("relay", f"relay to {who}")):
            sent = [frame for side, frame in peer.frames if side == name]
            assert sent == [f["hex"] for f in recorded if f["who"] == label]


@pytest.mark.parametrize("case", recorded("blind_relay.json", "flow"))
def test_handshakes_of_node_name_the_relay_and_the_token_of_the_control_traffic(case: dict[str, Any]) -> None:
    named = set()
    for handshake in case["noise_payloads_with_relay_through"]:
        value, payload = handshake["value"], NoisePayload.decode(bytes.fromhex(handshake["hex"]))
        through = RelayThrough(*(bytes.fromhex(value["relayThrough"][name]) for name in ("publicKey", "token")))
        assert payload.relay_through == through
        named.add(through.token.hex())
        assert payload.udx is not None
        assert payload.udx.id == value["udx"]["id"]
        assert (payload.holepunch is not None) == value["hasHolepunch"]
        assert payload.encode().hex() == handshake["hex"]
    decoded = [frame["decoded"] for frame in case["frames_on_relay_sockets"]]
    assert {message["token"] for message in decoded if "token" in message} <= named


def test_two_that_know_a_token_are_paired(relay: Relay) -> None:
    alice, bob = Peer(relay, 1), Peer(relay, 2)
    a = alice.pair(True, stream_id=11)
    assert a == []
    b = bob.pair(False, stream_id=22)
    assert (a, b) == ([1001], [1000])
    assert relay.table.legs[1001].remote_id == 11
    assert relay.table.legs[1001].other is relay.table.legs[1000]
    stats = relay.server.stats()
    assert (stats.pairings_requested, stats.pairings_matched, stats.pairings_pending, stats.links) == (2, 1, 0, 1)


def test_second_of_one_role_is_ignored(relay: Relay) -> None:
    alice, eve, bob = Peer(relay, 1), Peer(relay, 3), Peer(relay, 2)
    a, e = alice.pair(True), eve.pair(True)
    b = bob.pair(False)
    assert len(a) == len(b) == 1
    assert e == []
    assert relay.server.stats().pairings_refused == 1


def test_request_without_a_counterpart_expires(relay: Relay) -> None:
    alice, bob = Peer(relay, 1), Peer(relay, 2)
    a = alice.pair(True)
    relay.schedule.advance(PAIRING_TIMEOUT)
    assert relay.server.stats().pairings_expired == 1
    assert bob.pair(False) == a == []
    assert relay.server.stats().pairings_pending == 1


def test_withdrawn_request_pairs_nobody(relay: Relay) -> None:
    alice, bob = Peer(relay, 1), Peer(relay, 2)
    a = alice.pair(True)
    alice.unpair(True)
    assert bob.pair(False) == a == []


def test_stranger_cannot_withdraw_what_another_requested(relay: Relay) -> None:
    alice, eve, bob = Peer(relay, 1), Peer(relay, 3), Peer(relay, 2)
    alice.pair(True)
    eve.unpair(True)
    assert bob.pair(False)


def test_unpair_ends_the_link_silently(relay: Relay) -> None:
    alice, bob = Peer(relay, 1), Peer(relay, 2)
    a, b = alice.pair(True), bob.pair(False)
    alice.send(a[0])
    bob.send(b[0])
    alice.unpair(True)
    assert relay.table.legs == {}
    assert relay.table.sent == []
    assert relay.server.stats().links_closed == 1
    assert relay.server.stats().packets == 2


def test_client_that_leaves_in_order_disturbs_nobody(relay: Relay) -> None:
    alice, bob = Peer(relay, 1), Peer(relay, 2)
    a, b = alice.pair(True), bob.pair(False)
    alice.send(a[0])
    bob.send(b[0])
    relay.lose(alice, lost=False)
    assert relay.table.legs == {}
    assert relay.table.sent == []


def test_client_that_is_lost_costs_its_peer_no_time(relay: Relay) -> None:
    alice, bob = Peer(relay, 1), Peer(relay, 2)
    a, b = alice.pair(True), bob.pair(False)
    alice.send(a[0])
    bob.send(b[0])
    relay.lose(alice, lost=True)
    assert bob.address in {transmit.to for transmit in relay.table.sent}


def test_relay_that_ends_tells_both_and_closes_every_channel(relay: Relay) -> None:
    alice, bob = Peer(relay, 1), Peer(relay, 2)
    a, b = alice.pair(True), bob.pair(False)
    alice.send(a[0])
    bob.send(b[0])
    relay.server.close()
    relay.carry()
    assert {transmit.to for transmit in relay.table.sent} == {alice.address, bob.address}
    assert (alice.closed, bob.closed) == (1, 1)
    assert relay.server.stats().sessions == 0


def test_destroy_of_a_peer_ends_the_link(relay: Relay) -> None:
    alice, bob = Peer(relay, 1), Peer(relay, 2)
    a = alice.pair(True)
    bob.pair(False)
    alice.send(a[0], DESTROY)
    relay.schedule.advance(0)
    assert relay.table.legs == {}


def test_link_that_nobody_uses_is_dropped(relay: Relay) -> None:
    alice, bob = Peer(relay, 1), Peer(relay, 2)
    a = alice.pair(True)
    bob.pair(False)
    alice.send(a[0])
    relay.schedule.advance(IDLE_TIMEOUT)
    assert len(relay.table.legs) == 2
    relay.schedule.advance(2 * IDLE_TIMEOUT)
    assert relay.table.legs == {}


def test_one_node_may_be_both_sides(relay: Relay) -> None:
    alice = Peer(relay, 1)
    a, b = alice.pair(True), alice.pair(False)
    assert (a, b) == ([1001], [1000])
    alice.unpair(True)
    assert relay.table.legs == {}


def test_client_has_a_number_of_requests_and_no_more() -> None:
    relay = Relay(Limits(pending=2))
    alice, bob = Peer(relay, 1), Peer(relay, 2)
    for n in range(3):
        alice.pair(True, bytes((n,)) * 32)
    assert [len(bob.pair(False, bytes((n,)) * 32)) for n in range(3)] == [1, 1, 0]


def test_client_has_a_number_of_links_and_no_more() -> None:
    relay = Relay(Limits(links=1))
    alice, bob, carol = Peer(relay, 1), Peer(relay, 2), Peer(relay, 3)
    assert alice.pair(True) == []
    assert bob.pair(False)
    alice.pair(True, OTHER)
    assert carol.pair(False, OTHER) == []
    alice.unpair(True)
    assert relay.server.stats().links == 0
    alice.unpair(True, OTHER)
    assert alice.pair(True, OTHER)


def test_connections_of_one_client_and_clients_are_limited() -> None:
    relay = Relay(Limits(sessions=2, clients=2))
    assert [Peer(relay, 1).session is not None for _ in range(3)] == [True, True, False]
    assert Peer(relay, 2).session is not None
    assert Peer(relay, 3).session is None
    assert relay.server.stats().sessions_refused == 2
    relay.lose(relay.peers[3], lost=True)
    assert Peer(relay, 3).session is not None


def test_rate_is_per_client_not_per_connection() -> None:
    relay = Relay(Limits(rate=50))
    alice, bob = Peer(relay, 1), Peer(relay, 2)
    again = Peer(relay, 1)
    alice.pair(True)
    bob.pair(False)
    again.pair(True, OTHER)
    bob.pair(False, OTHER)
    legs = [leg for leg in relay.table.legs.values() if leg.route == (0, alice.address)]
    assert len(legs) == 2
    data = header(1, 0, 0, 0, 0) + bytes(20)
    sent = [leg.forward(Received(memoryview(data), len(data), alice.address), 0, 0) for leg in legs]
    assert [transmit is not None for transmit in sent] == [True, False]


def test_stats_are_plain_data(relay: Relay) -> None:
    stats = relay.server.stats()
    assert json.loads(json.dumps(stats.to_dict())) == stats.to_dict()


@given(st.binary(max_size=80))
def test_no_bytes_make_a_decoder_raise_anything_else(data: bytes) -> None:
    for message in (Pair, Unpair):
        try:
            message.decode(data)
        except DecodeError:
            continue


@given(st.lists(st.tuples(st.sampled_from([0, 1]), st.binary(max_size=70)), max_size=10))
def test_no_message_makes_a_relay_raise(messages: list[tuple[int, bytes]]) -> None:
    relay = Relay()
    peer = Peer(relay, 1)
    for type, body in messages:
        peer.remote.receive(bytes((1, type)) + body)
    assert len(relay.server.stats().to_dict()) > 0
