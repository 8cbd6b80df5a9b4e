"""Two peers behind real NATs find each other and exchange data, directly, and where they cannot they hear why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from tests.nat.meeting import dht, meeting, peer, relay

if TYPE_CHECKING:
    from tests.nat.lab import Lab


@pytest.mark.parametrize(
    ("server", "client"),
    [
        ("home", "home"),
        ("open", "home"),
        ("firewall", "home-rand"),
        ("cgnat", "restricted"),
        ("symmetric", "home"),
        ("home", "symmetric"),
        ("symmetric-seq", "home-rand"),
        ("home", "symmetric-seq"),
        ("symmetric-seq", "symmetric-seq"),
        ("dmz", "symmetric"),
    ],
)
async def test_they_connect_directly(lab: Lab, server: str, client: str) -> None:
    listening, dialling = lab.place(server), lab.place(client)
    async with dht(lab) as bootstrap, meeting(bootstrap, listening.host, dialling.host) as met:
        assert met.connected, met.reason
        assert met.kind == "direct"


@pytest.mark.parametrize(("server", "client"), [("symmetric", "symmetric"), ("symmetric", "symmetric-seq")])
async def test_two_random_nats_are_told_so(lab: Lab, server: str, client: str) -> None:
    listening, dialling = lab.place(server), lab.place(client)
    async with dht(lab) as bootstrap, meeting(bootstrap, listening.host, dialling.host, patience=15) as met:
        assert met.reason.startswith("HOLEPUNCH_DOUBLE_RANDOMIZED_NATS")
        assert "relay" in met.reason


async def test_neighbours_connect_inside_their_network(lab: Lab) -> None:
    home = lab.place("symmetric")
    neighbour = lab.neighbour(home.routers[0])
    async with dht(lab) as bootstrap, meeting(bootstrap, home.host, neighbour) as met:
        assert met.address is not None
        assert met.address.startswith(home.host.address)


async def test_homes_of_a_carrier_that_does_not_turn_packets_back_meet_at_a_relay_in_three_seconds(lab: Lab) -> None:
    one = lab.place("cgnat")
    other = lab.behind(one.routers[-1])
    async with (
        dht(lab) as bootstrap,
        relay(lab, bootstrap) as known,
        meeting(bootstrap, one.host, other.host, relay=known) as met,
    ):
        assert met.connected, met.reason
        assert met.kind == "relayed"
        assert met.seconds <= 3


async def test_equal_private_addresses_on_both_sides_confuse_nobody(lab: Lab) -> None:
    one, other = (lab.place("home", lan="192.168.1.0/24") for _ in range(2))
    async with dht(lab) as bootstrap, meeting(bootstrap, one.host, other.host) as met:
        assert met.address is not None
        assert met.address.startswith(one.routers[0].address)


@pytest.mark.parametrize("wan_input", ["accept", "reject"])
async def test_routers_that_answer_unexpected_packets_are_punched_through(lab: Lab, wan_input: str) -> None:
    one, other = (lab.place("home", wan_input=wan_input) for _ in range(2))
    async with dht(lab) as bootstrap, meeting(bootstrap, one.host, other.host) as met:
        assert met.connected, met.reason


async def test_a_network_that_blocks_udp_is_named_as_the_cause(lab: Lab) -> None:
    blocked = lab.place("udpblocked")
    async with dht(lab) as bootstrap, peer(blocked.host, "client", bootstrap, "00" * 32) as program:
        with trio.fail_after(15):
            assert "let UDP out" in await program.line_with("FAILED")
