"""Virtual sockets on trio's clock behave as real ones do, and hours take no time."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from holepunch.address import Address
from holepunch.nursery import InternalError
from holepunch.testing import Link, VirtualHost, VirtualNetwork, VirtualSocket

if TYPE_CHECKING:
    from holepunch.udp import Network, UdpSocket


async def echo(sock: UdpSocket) -> None:
    while True:
        await sock.wait_readable()
        for received in sock.receive():
            sock.send_segments([bytes(received.view)], received.segment, received.source)


async def test_host_is_a_network(autojump_clock: trio.testing.MockClock) -> None:
    async with VirtualNetwork() as net:
        host: Network = net.host("1.2.3.4")
        sock: UdpSocket = host.bind("0.0.0.0", 0)
        assert sock.local_address.port > 0
        assert host.local_hosts() == ["1.2.3.4"]
        with pytest.raises(OSError, match=r"0\.0\.0\.0") as caught:
            host.bind(*sock.local_address)
        assert caught.value.errno == errno.EADDRINUSE
        sock.close()
        host.bind(*sock.local_address).close()


async def test_round_trip_takes_the_links_time_and_no_other(autojump_clock: trio.testing.MockClock) -> None:
    async with VirtualNetwork() as net, trio.open_nursery() as nursery:
        server = net.host("1.2.3.4").bind("1.2.3.4", 7)
        client = net.host("5.6.7.8", link=Link(delay=1000)).bind("0.0.0.0", 0)
        nursery.start_soon(echo, server)
        began = trio.current_time()
        client.send([b"he", bytearray(b"ll"), memoryview(b"o")], server.local_address)
        await client.wait_readable()
        assert trio.current_time() - began == pytest.approx(2000.02)
        (received,) = client.receive()
        assert (bytes(received.view), received.segment, received.source) == (b"hello", 5, ("1.2.3.4", 7))
        assert client.receive() == []
        nursery.cancel_scope.cancel()


async def test_run_arrives_as_a_run(autojump_clock: trio.testing.MockClock) -> None:
    async with VirtualNetwork() as net:
        a, b = net.host("1.2.3.4").bind("0.0.0.0", 1), net.host("1.2.3.5").bind("0.0.0.0", 2)
        a.send_segments([bytes(1000), bytes(1000), b"end"], 1000, Address("1.2.3.5", 2))
        a.send_segments([b"one"], 1 << 20, Address("1.2.3.5", 2))
        await b.wait_readable()
        assert [(len(view), segment) for view, segment, _ in b.receive()] == [(2003, 1000), (3, 3)]


@pytest.mark.parametrize("loss", [0.0, 1e-9])
async def test_only_what_may_travel_in_fragments_crosses_a_link_it_does_not_fit(
    autojump_clock: trio.testing.MockClock, loss: float
) -> None:
    async with VirtualNetwork() as net:
        b = net.host("1.2.3.5").bind("0.0.0.0", 2)
        box = net.nat(link=Link(mtu=1280, loss=loss))
        a = box.host().bind("0.0.0.0", 1)
        run = [bytes(1300), bytes(1300), b"end"]
        a.send_segments(run, 1300, Address("1.2.3.5", 2), fragment=True)
        a.send_segments([bytes(1300)], 1300, Address("1.2.3.5", 2))
        await trio.sleep(1)
        assert b"".join(bytes(received.view) for received in b.receive()) == b"".join(run)
        assert net.drops == {"too large for the link": 1}


async def test_one_receive_is_bounded_and_so_is_the_queue(autojump_clock: trio.testing.MockClock) -> None:
    async with VirtualNetwork() as net:
        a, host = net.host("1.2.3.4").bind("0.0.0.0", 1), net.host("1.2.3.5")
        host.receive_buffer = 40_000
        b = host.bind("0.0.0.0", 2)
        assert b.receive_buffer == 40_000
        for _ in range(100):
            a.send([bytes(1000)], Address("1.2.3.5", 2))
        await trio.sleep(1)
        assert [len(b.receive()) for _ in range(4)] == [16, 16, 8, 0]
        assert net.drops == {"receive buffer full": 60}
        a.send([b"room again"], Address("1.2.3.5", 2))
        await b.wait_readable()


async def test_earlier_packet_overtakes_what_the_network_waits_for(autojump_clock: trio.testing.MockClock) -> None:
    async with VirtualNetwork() as net:
        b = net.host("1.2.3.4").bind("0.0.0.0", 1)
        to = Address("1.2.3.4", 1)
        net.host(link=Link(delay=50)).bind("0.0.0.0", 0).send([b"far"], to)
        await trio.sleep(1)
        net.host(link=Link(delay=5)).bind("0.0.0.0", 0).send([b"near"], to)
        for payload, when in ((b"near", 6.01), (b"far", 50.01)):
            await b.wait_readable()
            assert [bytes(received.view) for received in b.receive()] == [payload]
            assert trio.current_time() == pytest.approx(when)


async def test_closing_ends_waits_and_all_later_use(autojump_clock: trio.testing.MockClock) -> None:
    async with VirtualNetwork() as net, trio.open_nursery() as nursery:
        sock = net.host("1.2.3.4").bind("0.0.0.0", 0)

        async def wait() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await sock.wait_readable()

        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        sock.close()
        sock.close()
        for wait_again in (sock.wait_readable, sock.wait_writable):
            with pytest.raises(trio.ClosedResourceError):
                await wait_again()
        to = Address("1.2.3.4", 1)
        for use in (sock.receive, lambda: sock.send([b""], to), lambda: sock.send_segments([b""], 1, to)):
            with pytest.raises(trio.ClosedResourceError):
                use()


async def test_waits_are_checkpoints(autojump_clock: trio.testing.MockClock) -> None:
    async with VirtualNetwork() as net:
        host = net.host("1.2.3.4")
        sock = host.bind("0.0.0.0", 1)
        sock.send([b"x"], Address("127.0.0.1", 1))
        await sock.wait_readable()
        for wait in (sock.wait_readable, sock.wait_writable):
            with trio.testing.assert_checkpoints():
                await wait()
        with trio.testing.assert_checkpoints():
            await host.resolve("1.2.3.4")


async def test_names_are_those_the_network_was_told(autojump_clock: trio.testing.MockClock) -> None:
    async with VirtualNetwork() as net:
        net.names["node.example"] = ["1.2.3.4", "1.2.3.5"]
        host = net.place("home")
        assert await host.resolve("node.example") == ["1.2.3.4", "1.2.3.5"]
        assert await host.resolve("9.8.7.6") == ["9.8.7.6"]
        with pytest.raises(OSError, match=r"other\.example"):
            await host.resolve("other.example")


async def mapped(client: VirtualSocket, server: VirtualSocket) -> Address:
    """The address that the server sees the client with."""
    client.send([b"where am I?"], server.local_address)
    await server.wait_readable()
    return server.receive()[-1].source


async def heard(sock: VirtualSocket) -> set[bytes]:
    await trio.sleep(1)
    return {bytes(received.view) for received in sock.receive()}


@pytest.mark.parametrize(
    ("left", "right", "meet"),
    [
        ("home", "home", True),
        ("cgnat", "home-rand", True),
        ("open", "symmetric", True),
        ("firewall", "symmetric", False),
        ("restricted", "symmetric", True),
        ("home", "symmetric", False),
        ("symmetric", "symmetric", False),
        ("udpblocked", "open", False),
    ],
)
async def test_simple_hole_punching_works_where_it_should(
    left: str, right: str, meet: bool, autojump_clock: trio.testing.MockClock
) -> None:
    async with VirtualNetwork() as net:
        server = net.host("1.2.3.4").bind("1.2.3.4", 1)
        a, b = (net.place(kind).bind("0.0.0.0", 0) for kind in (left, right))
        with trio.move_on_after(10) as scope:
            at_a, at_b = await mapped(a, server), await mapped(b, server)
            for _ in range(3):
                a.send([b"punch"], at_b)
                b.send([b"punch"], at_a)
                for sock in (a, b):
                    for source in {received.source for received in sock.receive()}:
                        sock.send([b"answer"], source)
                await trio.sleep(1)
        both = await heard(a) & await heard(b)
        assert (not scope.cancelled_caught and bool(both)) is meet


async def test_networks_with_equal_seeds_are_equal(autojump_clock: trio.testing.MockClock) -> None:
    outcomes = []
    for seed in (1, 1, 2):
        async with VirtualNetwork(seed) as net:
            server = net.host("1.2.3.4").bind("1.2.3.4", 1)
            host = net.place("symmetric", link=Link(loss=0.3, jitter=0.1))
            client = host.bind("0.0.0.0", 0)
            for number in range(16):
                client.send([bytes([number])], server.local_address)
            await trio.sleep(1)
            outcomes.append([(bytes(r.view), r.source) for r in server.receive()])
    assert outcomes[0] == outcomes[1] != outcomes[2]


async def test_error_of_the_block_leaves_it_unchanged() -> None:
    with pytest.raises(KeyError, match="mine"):
        async with VirtualNetwork():
            raise KeyError("mine")


async def test_crash_of_a_pure_node_ends_the_block(autojump_clock: trio.testing.MockClock) -> None:
    def crash() -> None:
        raise KeyError("a bug")

    async def run() -> None:
        async with VirtualNetwork() as net:
            net.schedule.at(1, crash)
            await trio.sleep(2)

    with pytest.raises(InternalError):
        await run()


async def test_pure_nodes_and_sockets_share_one_network(autojump_clock: trio.testing.MockClock) -> None:
    async with VirtualNetwork() as net:
        node = net.host("1.2.3.4")

        def answer(data: bytes, segment: int, source: Address) -> None:
            node.send(address, data, segment, source)

        address = node.open(answer, port=7)
        client = net.place("home").bind("0.0.0.0", 0)
        client.send([b"hello"], Address("1.2.3.4", 7))
        await client.wait_readable()
        assert client.receive()[0].source == ("1.2.3.4", 7)


def test_a_host_can_be_placed_before_the_block_is_entered() -> None:
    assert isinstance(VirtualNetwork().place("cgnat"), VirtualHost)


async def test_host_counts_the_seconds_of_its_sleep_and_no_others(autojump_clock: trio.testing.MockClock) -> None:
    async with VirtualNetwork() as network:
        host = network.host()
        await trio.sleep(100)
        host.sleep()
        host.sleep()
        await trio.sleep(60)
        assert host.time_asleep() == 0
        host.wake()
        host.wake()
        await trio.sleep(100)
        assert host.time_asleep() == pytest.approx(60)
