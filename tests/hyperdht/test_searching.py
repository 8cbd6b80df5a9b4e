"""Searches for the relays of one peer are shared by everybody who looks for it at the same time."""

from __future__ import annotations

import pytest

from holepunch.keys import hash32
from swarm.hyperdht.searching import KEPT
from tests.hyperdht.hypernet import Desk, HyperNet, Peer, key_pair

ALICE = key_pair(1)
TARGET = hash32(ALICE.public_key)


class Seeker:
    """One who looks for Alice's relays."""

    def __init__(self, client: Peer) -> None:
        self.heard: list[object] = []
        """The relays as they are found, then whether anybody answered."""
        self.cancel = client.hyper.signaller.find_relays(TARGET, (), self.heard.append, self.heard.append)

    @property
    def ended(self) -> bool:
        return bool(self.heard) and isinstance(self.heard[-1], bool)


@pytest.fixture
def net() -> HyperNet:
    return HyperNet(5)


@pytest.fixture
def client(net: HyperNet) -> Peer:
    return net.client()


def finish(net: HyperNet, *seekers: Seeker) -> int:
    """Run until every search has ended; how many packets that took."""
    before = net.sim.sent
    net.sim.run_until(lambda: all(seeker.ended for seeker in seekers))
    return net.sim.sent - before


def search(net: HyperNet, client: Peer, count: int) -> tuple[list[Seeker], int]:
    before = net.sim.sent
    seekers = [Seeker(client) for _ in range(count)]
    finish(net, *seekers)
    return seekers, net.sim.sent - before


def test_fifty_who_search_at_once_cost_what_one_does(net: HyperNet, client: Peer) -> None:
    net.listen(net.client(), ALICE, Desk())
    (alone,), cost = search(net, client, 1)
    net.run(2 * KEPT)
    seekers, together = search(net, client, 50)
    assert together == pytest.approx(cost, abs=4)  # the table has grown by what the first search met
    for seeker in seekers:
        assert set(seeker.heard) == set(alone.heard)
        assert len(seeker.heard) == len(alone.heard) > 1


def test_who_comes_a_moment_later_hears_all_and_costs_nothing(net: HyperNet, client: Peer) -> None:
    net.listen(net.client(), ALICE, Desk())
    (first,), _ = search(net, client, 1)
    before = net.sim.sent
    late = Seeker(client)
    assert late.heard == []  # nothing before the call has returned
    finish(net, late)
    assert late.heard == first.heard
    assert net.sim.sent == before


def test_peer_that_was_not_there_is_searched_for_anew(net: HyperNet, client: Peer) -> None:
    (in_vain,), _ = search(net, client, 1)
    assert in_vain.heard == [True]
    net.listen(net.client(), ALICE, Desk())
    (seeker,), _ = search(net, client, 1)
    assert len(seeker.heard) > 1


def test_search_goes_on_while_anybody_waits_for_it(net: HyperNet, client: Peer) -> None:
    net.listen(net.client(), ALICE, Desk())
    gone, stays = Seeker(client), Seeker(client)
    gone.cancel()
    finish(net, stays)
    assert gone.heard == []
    assert len(stays.heard) > 1


def test_search_that_nobody_waits_for_ends(net: HyperNet, client: Peer) -> None:
    net.listen(net.client(), ALICE, Desk())
    seekers = [Seeker(client), Seeker(client)]
    for seeker in seekers:
        seeker.cancel()
    net.run(10)
    assert [seeker.heard for seeker in seekers] == [[], []]
    (later,), _ = search(net, client, 1)
    assert len(later.heard) > 1
