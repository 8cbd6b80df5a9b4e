"""The machine under a node sleeps, and changes networks: the node is told, and what hangs on it acts."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
import trio

from holepunch.testing import NatBehaviour, VirtualNetwork
from swarm import DHT, Swarm, TopicRefreshed
from swarm.dht import host
from swarm.kademlia.events import Event
from swarm.testing import Testnet

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

pytestmark = pytest.mark.virtual_time


class Machine:
    """Stands in for its clock, its interfaces, and the node and endpoint that live on it."""

    def __init__(self, bound_to: str = "0.0.0.0") -> None:
        self.host = bound_to
        self.hosts = ["192.168.1.2"]
        self.slept = 0.0
        self.told: list[str] = []

    def local_hosts(self) -> list[str]:
        return self.hosts

    def now(self) -> float:
        return trio.current_time()

    def wake_up(self) -> None:
        self.told.append("wake up")

    def network_changed(self) -> None:
        self.told.append("network changed")


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch, nursery: trio.Nursery) -> Callable[[Machine], Awaitable[None]]:
    async def watch(machine: Machine) -> None:
        monkeypatch.setattr(host, "slept", lambda: machine.slept)
        part: Any = machine
        nursery.start_soon(host.watch_host, part, part, part)
        await trio.sleep(1)

    return watch


async def test_machine_that_nothing_happens_to_tells_nothing(watch: Callable[[Machine], Awaitable[None]]) -> None:
    machine = Machine()
    await watch(machine)
    await trio.sleep(3600)
    assert machine.told == []


async def test_each_sleep_and_each_change_of_addresses_is_told_once(
    watch: Callable[[Machine], Awaitable[None]],
) -> None:
    machine = Machine()
    await watch(machine)
    for _ in range(2):
        machine.slept += 100
        await trio.sleep(60)
    machine.hosts = ["10.0.0.7", "192.168.1.2"]
    await trio.sleep(60)
    machine.hosts = ["10.0.0.7"]
    await trio.sleep(60)
    assert machine.told == ["wake up"] * 2 + ["network changed"] * 2


async def test_other_order_of_addresses_and_a_short_nap_are_nothing(
    watch: Callable[[Machine], Awaitable[None]],
) -> None:
    machine = Machine()
    machine.hosts = ["10.0.0.7", "192.168.1.2"]
    await watch(machine)
    for _ in range(4):
        machine.slept += 10
        machine.hosts = machine.hosts[::-1]
        await trio.sleep(10)
    assert machine.told == []


async def test_machine_that_is_bound_to_loopback_still_sleeps(watch: Callable[[Machine], Awaitable[None]]) -> None:
    machine = Machine("127.0.0.1")
    await watch(machine)
    machine.slept += 100
    machine.hosts = []
    await trio.sleep(10)
    assert machine.told == ["wake up"]


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason=f"{sys.platform} does not count how long it sleeps")
async def test_wall_clock_that_is_set_is_no_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    before = host.slept()
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 3600)
    assert host.slept() - before < 1


async def test_without_a_count_of_sleep_the_wall_clock_stands_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "_SINCE_BOOT", None)
    before = host.slept()
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 3600)
    assert host.slept() - before > 3599


@pytest.mark.parametrize("address", ["0.0.0.0", "88.99.7.7"])
async def test_node_is_told_whatever_address_it_is_bound_to(address: str) -> None:
    async with VirtualNetwork() as network:
        machine = network.host("88.99.7.7")
        async with DHT(bootstrap=[], host=address, network=machine) as dht:
            events: list[Event] = []
            dht.subscribe(events.append)
            await trio.sleep(1)
            machine.sleep()
            await trio.sleep(100)
            assert Event.WAKE_UP not in events
            machine.wake()
            await trio.sleep(host.INTERVAL)
            assert Event.WAKE_UP in events
            events.clear()
            machine.move(network.core, "88.99.7.8")
            await trio.sleep(host.INTERVAL)
            assert Event.NETWORK_CHANGE in events


async def test_topic_is_announced_anew_from_where_the_machine_has_moved() -> None:
    async with VirtualNetwork() as network, Testnet(4, internet=network) as net:
        machine = network.host()
        async with Swarm(bootstrap=net.bootstrap, network=machine) as swarm:
            swarm.join("room", client=False)
            await swarm.flush()
            await trio.sleep(60)
            events = swarm.events()
            machine.move(network.core)
            with trio.fail_after(host.INTERVAL + 5):
                async for event in events:
                    if isinstance(event, TopicRefreshed):
                        break


@pytest.mark.parametrize("seed", range(4))
async def test_node_without_a_network_says_so_and_is_announced_again_seconds_after_it_is_back(seed: int) -> None:
    async with VirtualNetwork(seed=seed) as network, Testnet(7, internet=network) as net:
        machine = network.place("home")
        router = machine.boxes[-1]
        async with DHT(bootstrap=net.bootstrap, network=machine) as dht:
            listener = await dht.listen()
            await trio.sleep(10)
            plugged, router.behaviour = router.behaviour, NatBehaviour(udp=False)
            await trio.sleep(600)
            assert not dht.online
            router.behaviour = plugged
            await trio.sleep(15)
            assert dht.online
            assert listener.listening.relay_addresses


@pytest.mark.parametrize("pause", ["sleeps", "loses its uplink"])
async def test_swarm_that_was_away_for_ten_minutes_is_found_seconds_after_it_is_back(pause: str) -> None:
    async with VirtualNetwork(seed=2) as network, Testnet(7, internet=network) as net:
        machine = network.place("home")
        router = machine.boxes[-1]
        plugged = router.behaviour
        async with Swarm(bootstrap=net.bootstrap, network=machine) as swarm:
            swarm.join("room", client=False)
            await swarm.flush()
            await trio.sleep(20)
            if pause == "sleeps":
                machine.sleep()
            else:
                router.behaviour = NatBehaviour(udp=False)
            await trio.sleep(600)
            machine.wake()
            router.behaviour = plugged
            await trio.sleep(15)
            async with Swarm(bootstrap=net.bootstrap, network=network.host()) as visitor:
                visitor.join("room", server=False)
                await trio.sleep(5)
                assert len(visitor.connections) == 1
