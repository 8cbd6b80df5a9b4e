"""Connections through a blind relay: how soon data flows, whatever the relay drops and the routers forget."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from holepunch.relay.forwarding import Leg
from tests.sim.scene import DELAY, scene

if TYPE_CHECKING:
    from holepunch.udp import Received
    from holepunch.udx.values import Transmit

pytestmark = pytest.mark.virtual_time

RANDOM = ("symmetric", "addrdep", "cgnat-symmetric")


class NodeLeg(Leg):
    """As at Node's relay: until a peer has sent something, nobody knows where it is, and what is for it is dropped."""

    drops = 0

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.route = None

    def forward(self, received: Received, role: int, now: float) -> Transmit | None:
        self._is_peer((role, received[2]))
        transmit = super().forward(received, role, now)
        NodeLeg.drops += transmit is None
        return transmit


@pytest.fixture
def node_relay(monkeypatch: pytest.MonkeyPatch) -> type[NodeLeg]:
    monkeypatch.setattr("holepunch.relay.server.Leg", NodeLeg)
    monkeypatch.setattr(NodeLeg, "drops", 0)
    return NodeLeg


async def first_data(server: str, client: str, *, delay: float = DELAY, client_delay: float = DELAY) -> float:
    async with scene(server, client, 0, delay=delay, client_delay=client_delay, relay="prefer-direct") as made:
        with trio.fail_after(15):
            seconds = await made.decided()
        assert not made.errors, str(made.errors[0])
    return seconds


@pytest.mark.parametrize("client", RANDOM)
@pytest.mark.parametrize("server", ["home", "cgnat", "symmetric"])
async def test_relay_that_drops_the_earlier_sides_first_packets_costs_a_random_client_little(
    node_relay: type[NodeLeg], server: str, client: str
) -> None:
    assert await first_data(server, client) <= 1.3
    assert node_relay.drops


@pytest.mark.parametrize(("delay", "client_delay"), [(0.015, 0.04), (0.04, 0.015)])
async def test_first_flight_that_a_relay_dropped_is_repeated_after_a_tenth_of_a_second(
    monkeypatch: pytest.MonkeyPatch, delay: float, client_delay: float
) -> None:
    kept = await first_data("home", "symmetric", delay=delay, client_delay=client_delay)
    monkeypatch.setattr(NodeLeg, "drops", 0)
    monkeypatch.setattr("holepunch.relay.server.Leg", NodeLeg)
    dropped = await first_data("home", "symmetric", delay=delay, client_delay=client_delay)
    assert NodeLeg.drops
    assert dropped - kept < 0.11


async def test_two_random_nats_talk_through_their_relay_within_the_messages_it_takes() -> None:
    # neither waits for the other's handshake before it asks for the relay, nor for the relay's header before it asks to
    # be paired
    assert await first_data("symmetric", "symmetric") <= 0.41


async def test_homes_of_a_carrier_that_does_not_turn_packets_back_meet_at_the_relay() -> None:
    async with scene("cgnat", "home", 0, relay="prefer-direct", one_carrier=True) as made:
        with trio.fail_after(15):
            assert await made.decided() <= 3
        assert made.opened, str(made.errors[0])
        assert made.opened[0].path.kind == "relayed"


async def echo_again(kind: str, side: str, how: str, within: float) -> None:
    """Data goes both ways again, over the same connection, after the router of one side has forgotten or moved."""
    async with scene(kind, kind, 0, relay="require") as made:
        await made.decided()
        await trio.sleep(8)
        assert made.opened[0].path.kind == "relayed"
        host = made.server_host if side == "server" else made.client_host
        getattr(host.boxes[-1], how)()
        with trio.fail_after(within):
            await made.echo_of_now()
        assert len(made.opened) == 1
        assert made.opened[0].path.kind == "relayed"


@pytest.mark.parametrize(("side", "within"), [("client", 0.25), ("server", 5.3)])
async def test_router_that_forgets_breaks_no_relayed_connection(side: str, within: float) -> None:
    await echo_again("home", side, "flush", within)


@pytest.mark.parametrize("how", ["rebind", "change_address"])
@pytest.mark.parametrize(("side", "within"), [("client", 6), ("server", 10)])
@pytest.mark.parametrize("kind", ["home", "symmetric"])
async def test_peer_that_moves_keeps_its_relayed_connection(kind: str, side: str, within: float, how: str) -> None:
    await echo_again(kind, side, how, within)
