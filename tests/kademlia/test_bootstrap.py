"""Bootstrap nodes: how they are written, and how they become addresses."""

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holepunch.address import Address
from swarm.kademlia.bootstrap import PUBLIC_BOOTSTRAP, RESOLVED_FOR, BootstrapHost, Resolver, retry_pauses
from swarm.kademlia.packets import PING
from tests.kademlia.simnet import SimNet

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SUGGESTED = "9.9.9.9"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("node.example.org:49737", ("node.example.org", 49737, None)),
        ("127.0.0.1:1", ("127.0.0.1", 1, None)),
        (" 192.0.2.1@node.example.org:65535 ", ("node.example.org", 65535, "192.0.2.1")),
        ("192.0.2.1@192.0.2.2:5", ("192.0.2.2", 5, "192.0.2.1")),
    ],
)
def test_bootstrap_nodes_are_written_with_or_without_a_suggested_address(
    text: str, expected: tuple[str, int, str | None]
) -> None:
    assert BootstrapHost.parse(text) == expected


def test_public_bootstrap_nodes_are_well_written() -> None:
    assert [BootstrapHost.parse(text).suggested for text in PUBLIC_BOOTSTRAP] == [
        "88.99.3.86",
        "142.93.90.113",
        "138.68.147.8",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "node",
        "node:",
        ":5",
        "node:0",
        "node:65536",
        "node:x",
        "node:٣",
        "no de:5",
        "@node:5",
        "1.2.3@node:5",
        "a@b:5",
        "http://node:5",
        "1.2.3.4@:5",
        "node:5:5",
        "1.2.3.4@a@b:5",
        "a..b:5",
        "no\x00de:5",
        "node:" + "1" * 5000,
    ],
)
def test_malformed_bootstrap_node_is_shown_beside_a_right_one(text: str) -> None:
    with pytest.raises(ValueError) as error:
        BootstrapHost.parse(text)
    assert repr(text) in str(error.value)
    assert "node.example.org:49737" in str(error.value)


@given(st.text(max_size=30))
def test_parsing_raises_nothing_but_value_errors(text: str) -> None:
    try:
        BootstrapHost.parse(text)
    except ValueError:
        return


def test_pauses_between_tries_double_after_half_a_minute_up_to_one_and_are_not_the_same_for_all() -> None:
    longest = list(itertools.islice(retry_pauses(Dice(0.0)), 2000))
    assert longest == [5] * 6 + [10, 20, 40] + [60] * 1991
    shortest = list(itertools.islice(retry_pauses(Dice(1.0)), 2000))
    assert shortest == [pause * 0.75 for pause in longest]


class Dice(random.Random):
    """Chance that is none."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self._value = value

    def random(self) -> float:
        return self._value


class Scene:
    """A node, and a DNS that answers when told to."""

    def __init__(self, *texts: str) -> None:
        self.net = SimNet()
        self.asked: dict[str, Callable[[Sequence[str]], None]] = {}
        self.node = self.net.host().node
        self.resolver = Resolver(self.node, [BootstrapHost.parse(text) for text in texts], self.asked.__setitem__)
        self.results: list[list[Address]] = []

    def resolve(self) -> None:
        self.resolver(lambda addresses: self.results.append(list(addresses)))


def test_addresses_need_no_dns() -> None:
    scene = Scene("1.2.3.4:5", "1.2.3.5:6")
    scene.resolve()
    assert scene.results == [[Address("1.2.3.4", 5), Address("1.2.3.5", 6)]]


def test_names_are_resolved_in_their_order_and_failures_left_out() -> None:
    scene = Scene("a.example:1", "b.example:2", "1.2.3.4:5")
    scene.resolve()
    assert scene.results == []
    scene.asked["b.example"](["7.7.7.2", "7.7.7.3"])
    scene.asked["a.example"]([])
    assert scene.results == [[Address("7.7.7.2", 2), Address("1.2.3.4", 5)]]
    assert set(scene.resolver.asked) == set(scene.results[0])
    assert scene.resolver.unresolved == [0]


def test_suggested_address_that_answers_spares_dns() -> None:
    scene = Scene(f"{SUGGESTED}@a.example:1")
    puppet = scene.net.puppet(Address(SUGGESTED, 1), lambda request: {})
    scene.resolve()
    scene.net.run(1)
    assert scene.results == [[puppet.address]]
    assert [request.command for _, _, request in puppet.heard] == [PING]
    assert scene.asked == {}


def test_silent_suggested_address_is_given_up_after_four_pings() -> None:
    scene = Scene(f"{SUGGESTED}@a.example:1")
    scene.resolve()
    scene.net.run(3.9)
    assert scene.asked == {}
    scene.net.run(0.2)
    scene.asked["a.example"](["7.7.7.7"])
    assert scene.results == [[Address("7.7.7.7", 1)]]
    assert scene.resolver.asked == [Address(SUGGESTED, 1), Address("7.7.7.7", 1)]
    assert scene.resolver.unresolved == []


def test_queries_at_one_time_share_one_resolution_and_its_result_is_kept_a_while() -> None:
    scene = Scene("a.example:1")
    scene.resolve()
    scene.resolve()
    scene.asked.pop("a.example")(["7.7.7.7"])
    scene.resolve()
    assert scene.results == [[Address("7.7.7.7", 1)]] * 3
    assert scene.asked == {}
    scene.net.run(RESOLVED_FOR + 1)
    scene.resolve()
    assert len(scene.results) == 3
    scene.asked["a.example"](["7.7.7.8"])
    assert scene.results[3] == [Address("7.7.7.8", 1)]


def test_node_bootstraps_through_a_resolver_and_keeps_the_last_addresses_when_dns_fails() -> None:
    scene = Scene("a.example:1")
    scene.net.puppet(Address("7.7.7.7", 1), lambda request: {}, persistent=False)
    scene.node.resolve = scene.resolver
    scene.node.start()
    scene.net.run(30)
    assert not scene.node.bootstrapped
    scene.asked.pop("a.example")(["7.7.7.7"])
    scene.net.run(1)
    assert scene.node.bootstrapped
    assert scene.node.rpc.responses > 0
    scene.net.run(RESOLVED_FOR)
    query = scene.node.find_node(bytes(32))
    scene.asked.pop("a.example")([])
    scene.net.run(1)
    assert query.ended
    assert query.successes == 1
