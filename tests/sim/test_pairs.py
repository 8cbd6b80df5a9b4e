"""The whole stack behind every pair of NATs, in virtual time: who connects, and how soon data has gone both ways."""

from __future__ import annotations

import statistics
from typing import Any

import pytest
import trio

from holepunch.errors import Reason
from holepunch.testing.presets import PLACES, ROUTERS
from tests.sim.scene import scene

pytestmark = pytest.mark.virtual_time

STEADY = ("open", "firewall", "dmz", "fullcone", "restricted", "home", "home-rand", "cgnat")
"""One port, whoever is spoken to."""
RANDOM = ("symmetric", "addrdep", "cgnat-symmetric")
FILTERING = ("firewall", "fullcone", "restricted", "home", "home-rand", "cgnat")


async def first_data(server: str, client: str, seed: int = 0, **conditions: Any) -> float:
    """Seconds until data went both ways."""
    async with scene(server, client, seed, **conditions) as made:
        with trio.fail_after(45):
            seconds = await made.decided()
        assert not made.errors, str(made.errors[0])
        assert made.opened[0].path.kind == "direct"
    return seconds


async def test_no_kind_of_router_is_left_out() -> None:
    assert {*STEADY, *RANDOM, "symmetric-seq", "udpblocked"} == {
        place for place in PLACES if not place.endswith("hairpin") and place not in ("fullcone-rand", "restricted-rand")
    }
    assert set(ROUTERS) <= set(PLACES)


@pytest.mark.parametrize("client", STEADY)
@pytest.mark.parametrize("server", STEADY)
async def test_nats_that_keep_their_port_are_a_matter_of_a_few_messages(server: str, client: str) -> None:
    # ways of 30 ms, there and back: one to find the server, two to reach it, two to agree, two for the data itself
    assert await first_data(server, client) <= 0.25


@pytest.mark.parametrize("listens", ["random", "steady"])
async def test_one_random_nat_is_found_within_seconds(listens: str) -> None:
    pairs = [(random, steady) for random in RANDOM for steady in FILTERING]
    seconds = []
    for seed, (server, client) in enumerate(pairs if listens == "random" else [(b, a) for a, b in pairs]):
        seconds += [await first_data(server, client, seed + n * len(pairs)) for n in range(2)]
    assert statistics.median(seconds) <= 3.0
    assert sorted(seconds)[int(0.9 * len(seconds))] <= 8.0


@pytest.mark.parametrize("steady", FILTERING)
async def test_ports_in_sequence_are_predicted(steady: str) -> None:
    assert await first_data("symmetric-seq", steady) <= 1.5
    assert await first_data(steady, "symmetric-seq") <= 1.5


async def test_ports_in_sequence_on_both_sides_are_predicted() -> None:
    assert await first_data("symmetric-seq", "symmetric-seq") <= 1.5


@pytest.mark.parametrize("client", [*RANDOM, "symmetric-seq"])
@pytest.mark.parametrize("server", RANDOM)
async def test_two_random_nats_are_told_so_at_once(server: str, client: str) -> None:
    async with scene(server, client, 0) as made:
        assert await made.decided() < 15
        assert made.errors[0].reason is Reason.HOLEPUNCH_DOUBLE_RANDOMIZED_NATS
        assert "relay" in str(made.errors[0])


async def test_a_long_way_takes_longer_by_its_round_trips_only() -> None:
    assert max([await first_data("home", "home", seed, delay=0.08) for seed in range(5)]) <= 1.2


async def test_loss_costs_a_repetition_or_two() -> None:
    seconds = [await first_data("home", "home", seed, loss=0.05) for seed in range(20)]
    assert statistics.median(seconds) <= 1.0
    assert max(seconds) < 5.0
