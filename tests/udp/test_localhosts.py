"""Own addresses that deliver, and those that swallow what is sent to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from holepunch.nursery import Background
from holepunch.testing import VirtualNetwork
from holepunch.udp.localhosts import LocalHosts, delivers
from holepunch.udp.system import SystemNetwork, SystemSocket
from tests.recorded import Case, recorded
from tests.test_swallowed import ADDRESS, SWALLOWING_INTERFACE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holepunch.address import Address
    from holepunch.compact import Buffer
    from holepunch.udp import Network, UdpSocket

WITH_ANOTHER_INTERFACE = (
    *SWALLOWING_INTERFACE,
    "ip link add name good type veth peer name other",
    "ip address add 10.98.0.1/24 dev good",
    "ip link set good up",
)


class Counting:
    """A host that remembers what was bound."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self.bound: list[str] = []

    def bind(self, host: str, port: int) -> UdpSocket:
        self.bound.append(host)
        return self._network.bind(host, port)

    def local_hosts(self) -> list[str]:
        return self._network.local_hosts()

    async def resolve(self, host: str) -> list[str]:
        return await self._network.resolve(host)


async def test_loopback_delivers() -> None:
    assert await delivers(SystemNetwork(), "127.0.0.1")


@pytest.mark.parametrize("case", recorded("dht_rpc.json", "byte to itself"))
async def test_an_own_address_is_tested_with_the_datagram_that_node_tests_with(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[str, int, bool]] = []
    send = SystemSocket.send

    def spy(socket: SystemSocket, buffers: Sequence[Buffer], to: Address, ttl: int = 0) -> bool:
        sent.append((b"".join(buffers).hex(), ttl, to == socket.local_address))
        return send(socket, buffers, to, ttl)

    monkeypatch.setattr(SystemSocket, "send", spy)
    assert await delivers(SystemNetwork(), case["to"]["host"])
    assert sent == [(case["hex"], case["ttl"], True)]


async def test_an_address_that_is_not_here_does_not_deliver() -> None:
    assert not await delivers(SystemNetwork(), "192.0.2.99")


@pytest.mark.private_network(*WITH_ANOTHER_INTERFACE)
async def test_an_address_that_swallows_packets_is_never_proven() -> None:
    network = SystemNetwork()
    assert not await delivers(network, ADDRESS)
    async with trio.open_nursery() as nursery:
        hosts = LocalHosts(network, "0.0.0.0")
        hosts.start(Background(nursery))
        assert not hosts.proven()
    assert set(hosts.all()) == {ADDRESS, "10.98.0.1"}
    assert hosts.proven() == ["10.98.0.1"]


@pytest.mark.virtual_time
async def test_each_host_is_tested_once_and_new_ones_when_they_are_seen() -> None:
    async with VirtualNetwork() as network:
        host = network.host("1.2.3.4")
        counting = Counting(host)
        async with trio.open_nursery() as nursery:
            hosts = LocalHosts(counting, "0.0.0.0")
            hosts.start(Background(nursery))
            await trio.sleep(3)
            assert hosts.proven() == ["1.2.3.4"]
            host.move(network.core, "1.2.3.5", "1.2.3.4")
            await trio.sleep(3)
            assert hosts.proven() == ["1.2.3.4"]
            await trio.sleep(3)
            assert hosts.proven() == ["1.2.3.5", "1.2.3.4"]
        assert counting.bound == ["1.2.3.4", "1.2.3.5"]


@pytest.mark.virtual_time
async def test_host_that_did_not_deliver_is_tested_again_ever_more_rarely_until_it_does() -> None:
    async with VirtualNetwork() as network:
        host = network.host("1.2.3.4")
        counting = Counting(host)
        async with trio.open_nursery() as nursery:
            host.sleep()
            hosts = LocalHosts(counting, "0.0.0.0")
            hosts.start(Background(nursery))
            for _ in range(100):
                await trio.sleep(1)
                assert not hosts.proven()
            assert len(counting.bound) == 4
            host.wake()
            for _ in range(100):
                await trio.sleep(1)
                hosts.proven()
            assert hosts.proven() == ["1.2.3.4"]
            assert len(counting.bound) == 5


@pytest.mark.virtual_time
async def test_host_that_never_delivers_is_tested_about_every_ten_minutes_in_the_end() -> None:
    async with VirtualNetwork() as network:
        host = network.host("1.2.3.4")
        host.sleep()
        counting = Counting(host)
        async with trio.open_nursery() as nursery:
            hosts = LocalHosts(counting, "0.0.0.0")
            hosts.start(Background(nursery))
            for _ in range(24 * 60):
                await trio.sleep(60)
                hosts.all()
            assert 24 * 5 < len(counting.bound) < 24 * 6 + 10


@pytest.mark.virtual_time
async def test_a_sleeping_host_proves_nothing() -> None:
    async with VirtualNetwork() as network:
        host = network.host("1.2.3.4")
        host.sleep()
        assert not await delivers(host, "1.2.3.4")


async def test_what_a_socket_is_bound_to_is_the_only_host() -> None:
    async with trio.open_nursery() as nursery:
        hosts = LocalHosts(SystemNetwork(), "127.0.0.1")
        hosts.start(Background(nursery))
        assert hosts.all() == ["127.0.0.1"]
    assert hosts.proven() == ["127.0.0.1"]
