"""Swarms that are suspended and resumed, and whose network comes and goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from swarm import Swarm, Topic
from swarm.kademlia.events import Event
from tests.contract import internet

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from swarm.driver import TopicSearch

pytestmark = pytest.mark.virtual_time

ROOM = Topic.from_name("room")


@pytest.fixture
async def pair() -> AsyncIterator[tuple[Swarm, Swarm]]:
    """Two swarms that have met under a topic."""
    async with internet() as world, world.swarm() as alice, world.swarm() as bob:
        for swarm in (alice, bob):
            swarm.join(ROOM)
        await meet(alice, bob)
        yield alice, bob


async def meet(alice: Swarm, bob: Swarm, seconds: float = 30) -> None:
    with trio.fail_after(seconds):
        for swarm, other in ((alice, bob), (bob, alice)):
            while [c.remote_public_key for c in swarm.connections] != [other.public_key]:  # noqa: ASYNC110
                await trio.sleep(0.1)


# -- suspending ------------------------------------------------------------------------------------------------------


async def test_suspended_swarm_is_gone_and_comes_back(pair: tuple[Swarm, Swarm]) -> None:
    alice, bob = pair
    (before,) = bob.connections
    await alice.suspend()
    assert alice.connections == ()
    with pytest.raises(trio.BrokenResourceError):
        await before.receive_some()
    assert alice.public_key not in {peer.public_key async for reply in bob.dht.lookup(ROOM) for peer in reply.peers}
    await trio.sleep(60)
    await alice.resume()
    await alice.flush()
    connection = await bob.connect(alice.public_key)
    await connection.send_all(b"welcome back")


@pytest.mark.parametrize("delay", [0, 0.001, 0.05, 0.2])
async def test_resume_while_the_suspend_runs_comes_after_it(pair: tuple[Swarm, Swarm], delay: float) -> None:
    alice, bob = pair
    async with trio.open_nursery() as nursery:
        nursery.start_soon(alice.suspend)
        await trio.sleep(delay)
        nursery.start_soon(alice.resume)
    await meet(alice, bob)


async def test_suspending_and_resuming_twice_is_as_once(pair: tuple[Swarm, Swarm]) -> None:
    alice, bob = pair
    for _ in range(2):
        await alice.suspend()
    assert alice.connections == ()
    async with trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(alice.resume)
    await meet(alice, bob)
    connections = alice.connections
    await alice.resume()
    await trio.sleep(5)
    assert alice.connections == connections


async def test_suspend_that_was_cancelled_is_taken_back_by_resume(pair: tuple[Swarm, Swarm]) -> None:
    alice, bob = pair
    with trio.move_on_after(0.001):
        await alice.suspend()
    await trio.sleep(1)
    await alice.resume()
    await meet(alice, bob)


# -- networks that change --------------------------------------------------------------------------------------------


@pytest.fixture
async def announced(pair: tuple[Swarm, Swarm], monkeypatch: pytest.MonkeyPatch) -> list[Topic]:
    """The topics that the first of the two announces from now on: by themselves it would not be for minutes."""
    alice, _ = pair
    await trio.sleep(60)
    topics: list[Topic] = []
    announce = alice._driver.announce

    def note(topic: Topic, *rest: Any) -> TopicSearch:
        topics.append(topic)
        return announce(topic, *rest)

    monkeypatch.setattr(alice._driver, "announce", note)
    return topics


def tell(swarm: Swarm, *, online: bool = True, degraded: bool = False) -> None:
    """The node finds that its network is in another state."""
    node = swarm.dht.node.node
    node._health.online, node._health.degraded = online, degraded
    swarm.dht.turn()
    node._subscribers.tell(Event.NETWORK_UPDATE)


async def test_change_of_addresses_announces_each_topic_once(pair: tuple[Swarm, Swarm], announced: list[Topic]) -> None:
    pair[0].dht.turn()
    pair[0].dht.node.node.network_changed()
    await trio.sleep(30)
    assert announced == [ROOM]


async def test_bad_network_that_is_not_lost_is_no_reason_to_announce(
    pair: tuple[Swarm, Swarm], announced: list[Topic]
) -> None:
    for degraded in (True, False, True):
        tell(pair[0], degraded=degraded)
        await trio.sleep(1)
    assert announced == []


async def test_network_that_is_back_announces_each_topic_once(
    pair: tuple[Swarm, Swarm], announced: list[Topic]
) -> None:
    tell(pair[0], online=False)
    await trio.sleep(1)
    assert announced == []
    tell(pair[0])
    await trio.sleep(30)
    assert announced == [ROOM]


async def test_sleep_through_which_the_network_was_lost_is_one_change(
    pair: tuple[Swarm, Swarm], announced: list[Topic]
) -> None:
    tell(pair[0], online=False)
    pair[0].dht.node.node.wake_up()
    await trio.sleep(30)
    assert announced == [ROOM]
