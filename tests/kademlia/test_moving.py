"""What a node knows of its own reachability when it is somewhere else."""

from __future__ import annotations

import math

import pytest

from holepunch.address import Address
from holepunch.core import CLIENT
from swarm.kademlia.ids import node_id
from swarm.kademlia.maintenance import RECHECK_TICKS, STABLE_TICKS, TICK
from swarm.kademlia.reachability import MAPPING_LIFE
from tests.kademlia.scene import Scene

TWENTY_MINUTES = STABLE_TICKS * TICK
HOUR = RECHECK_TICKS * TICK


@pytest.mark.parametrize("persistent", [False, True], ids=["ephemeral", "persistent"])
@pytest.mark.parametrize("told", [False, True], ids=["replies show it", "the system tells"])
def test_open_node_that_moves_behind_a_nat_is_firewalled(told: bool, persistent: bool) -> None:
    scene = Scene()
    scene.start()
    scene.net.run(TWENTY_MINUTES + 60 if persistent else 10)
    assert (scene.node.firewalled, scene.node.ephemeral) == (False, not persistent)
    scene.net.move(scene.host, "7.7.7.7", filtered=True)
    if told:
        scene.node.network_changed()
    scene.net.run(2 if told else 60)
    assert scene.node.firewalled
    assert scene.node.ephemeral
    assert scene.node.main_role == CLIENT
    for _ in range(100):
        scene.net.run(60)
        assert scene.node.firewalled


@pytest.mark.parametrize("ephemeral", [None, False], ids=["adaptive", "persistent"])
def test_open_node_that_moves_to_another_open_place_is_open_there_once_that_is_proven(ephemeral: bool | None) -> None:
    scene = Scene(ephemeral=ephemeral)
    scene.start()
    scene.net.run(TWENTY_MINUTES + 60)
    scene.net.move(scene.host, "7.7.7.7")
    scene.node.network_changed()
    scene.net.run(MAPPING_LIFE - 1)
    scene.node.reachability.update(True, lambda changed: None)
    scene.net.run(0.5)
    assert scene.node.firewalled
    scene.net.run(10)
    assert not scene.node.firewalled
    assert scene.node.remote_address() == scene.host.address
    assert scene.node.ephemeral is (ephemeral is None)
    scene.net.run(HOUR)
    assert scene.node.id == node_id(scene.host.address)


def test_a_change_that_moves_nothing_changes_nothing() -> None:
    scene = Scene()
    scene.start()
    scene.net.run(TWENTY_MINUTES + 60)
    id = scene.node.id
    scene.node.network_changed()
    scene.net.run(10)
    assert not scene.node.firewalled
    assert scene.node.id == id


def test_what_is_to_be_proven_waits_for_the_end_of_a_suspension() -> None:
    scene = Scene()
    scene.start()
    scene.net.move(scene.host, "7.7.7.7")
    scene.node.network_changed()
    scene.net.run(2)
    scene.node.suspend()
    scene.net.run(MAPPING_LIFE + 60)
    scene.node.resume()
    scene.net.run(60)
    assert scene.node.firewalled
    scene.net.run(MAPPING_LIFE)
    assert not scene.node.firewalled


@pytest.mark.parametrize("to", ["192.168.1.2", "127.0.0.1"])
def test_nodes_in_the_same_network_see_another_address_of_a_node_that_stays_open(to: str) -> None:
    scene = Scene()
    scene.start()
    seen = Address(to, scene.host.address.port)
    neighbour = scene.net.puppet(Address("192.168.1.3", 7), lambda request: {"to": seen}, persistent=False)
    for _ in range(10):
        scene.node.ping(neighbour.address, lambda reply: None)
    scene.net.run(1)
    assert len(neighbour.heard) == 10
    assert not scene.node.firewalled


def test_few_nodes_that_lie_about_the_own_address_change_nothing() -> None:
    scene = Scene()
    scene.start()
    liar = scene.net.puppet(scene.others[0].address, lambda request: {"to": Address("7.7.7.7", 7)})
    for _ in range(20):
        for address in (liar.address, liar.address, scene.others[1].address):
            scene.node.ping(address, lambda reply: None)
            scene.net.run(0.5)
    assert not scene.node.firewalled


def test_node_told_that_it_is_open_stays_so() -> None:
    scene = Scene(firewalled=False)
    scene.start()
    scene.net.move(scene.host, "7.7.7.7")
    scene.node.network_changed()
    scene.net.run(10)
    assert not scene.node.firewalled


def test_node_that_is_closed_meanwhile_proves_nothing_any_more() -> None:
    scene = Scene()
    scene.start()
    scene.net.move(scene.host, "7.7.7.7")
    scene.node.network_changed()
    scene.net.run(2)
    assert scene.node.firewalled
    scene.node.close()
    for host in (scene.first, *scene.others):
        host.node.close()
    scene.net.run(MAPPING_LIFE + 60)
    assert scene.net.schedule.deadline() == math.inf
