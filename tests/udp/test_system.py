"""Binding, closing, options and cost of the system's sockets."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import resource
import socket
import struct
import tracemalloc
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from holepunch.address import Address
from holepunch.udp import interfaces
from holepunch.udp.system import SystemNetwork, SystemSocket

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from holepunch.udp import Network, UdpSocket

IP_RECVTTL = 12


@pytest.fixture
def network() -> SystemNetwork:
    return SystemNetwork()


@pytest.fixture
def sock(network: SystemNetwork) -> Iterator[SystemSocket]:
    sock = network.bind("127.0.0.1", 0)
    yield sock
    sock.close()


def test_system_network_is_a_network(network: SystemNetwork) -> None:
    as_network: Network = network
    as_socket: UdpSocket = as_network.bind("127.0.0.1", 0)
    assert as_socket.local_address.host == "127.0.0.1"
    assert as_socket.local_address.port > 0
    assert as_socket.receive_buffer >= 65536
    as_socket.close()


def test_port_in_use_is_an_error_that_names_it(network: SystemNetwork, sock: SystemSocket) -> None:
    with pytest.raises(OSError, match=re.escape(str(sock.local_address))) as caught:
        network.bind(*sock.local_address)
    assert caught.value.errno == errno.EADDRINUSE


def test_host_of_another_machine_is_an_error_that_names_it(network: SystemNetwork) -> None:
    with pytest.raises(OSError, match=r"192\.0\.2\.1:0") as caught:
        network.bind("192.0.2.1", 0)
    assert caught.value.errno == errno.EADDRNOTAVAIL


@pytest.mark.parametrize("host", ["localhost", "::1", "", "1.2.3"])
def test_only_ipv4_addresses_can_be_bound(network: SystemNetwork, host: str) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(host)) if host else "Address cannot be empty"):
        network.bind(host, 0)


async def test_sources_are_told_apart(network: SystemNetwork, sock: SystemSocket) -> None:
    senders = [network.bind(f"127.0.0.{i}", 0) for i in (1, 2, 2, 3)]
    found = []
    with trio.fail_after(10):
        for sender in senders * 2:
            sender.send([b"x"], sock.local_address)
            await sock.wait_readable()
            found += [received.source for received in sock.receive()]
    assert found == [sender.local_address for sender in senders] * 2
    assert all(type(source) is Address for source in found)
    for sender in senders:
        sender.close()


async def test_wildcard_socket_reaches_and_is_reached(network: SystemNetwork, sock: SystemSocket) -> None:
    anywhere = network.bind("0.0.0.0", 0)
    assert anywhere.local_address.host == "0.0.0.0"
    sock.send([b"x"], Address("127.0.0.5", anywhere.local_address.port))
    with trio.fail_after(10):
        await anywhere.wait_readable()
        (received,) = anywhere.receive()
        assert received.source == sock.local_address
        anywhere.send([b"y"], sock.local_address)
        await sock.wait_readable()
    assert [bytes(received.view) for received in sock.receive()] == [b"y"]
    anywhere.close()


def test_ttl_is_that_of_one_datagram_only(sock: SystemSocket) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plain:
        plain.bind(("127.0.0.1", 0))
        plain.settimeout(10)
        plain.setsockopt(socket.IPPROTO_IP, IP_RECVTTL, 1)
        to = Address(*plain.getsockname())
        normal = default_ttl()
        for ttl, expected in ((5, 5), (0, normal), (64, 64), (0, normal)):
            assert sock.send([b"a", b"b"], to, ttl)
            data, control, _, _ = plain.recvmsg(100, 100)
            assert data == b"ab"
            assert [struct.unpack("i", value) for _, _, value in control] == [(expected,)]


def default_ttl() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plain:
        return plain.getsockopt(socket.IPPROTO_IP, socket.IP_TTL)


def test_what_cannot_be_sent_is_lost_without_an_error(sock: SystemSocket) -> None:
    assert sock.send([b"x"], Address("255.255.255.255", 9))
    assert sock.send([b"x"], Address("192.0.2.1", 9))  # not from a socket on the loopback address
    assert sock.send([b"x"], Address("127.0.0.1", 0))
    assert sock.send_segments([b"x" * 10, b"y" * 10], 10, Address("192.0.2.1", 9))
    assert sock.receive() == []


async def test_closing_ends_waits_and_all_later_use(network: SystemNetwork) -> None:
    sock = network.bind("127.0.0.1", 0)
    to = sock.local_address

    async def wait() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await sock.wait_readable()

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked()
            sock.close()
            sock.close()
        for wait_again in (sock.wait_readable, sock.wait_writable):
            with pytest.raises(trio.ClosedResourceError):
                await wait_again()
    for use in (sock.receive, lambda: sock.send([b""], to), lambda: sock.send_segments([b""], 1, to)):
        with pytest.raises(trio.ClosedResourceError):
            use()
    assert sock.local_address == to


async def test_fresh_socket_is_writable_and_not_readable(sock: SystemSocket) -> None:
    with trio.fail_after(10):
        await sock.wait_writable()
    assert sock.receive() == []
    with trio.move_on_after(0) as scope:
        await sock.wait_readable()
    assert scope.cancelled_caught


def test_many_sockets_cost_one_descriptor_and_no_buffers_each(network: SystemNetwork, sock: SystemSocket) -> None:
    before = len(os.listdir("/proc/self/fd"))
    tracemalloc.start()
    sockets = [network.bind("127.0.0.1", 0) for _ in range(300)]
    for each in sockets:
        each.send([b"x"], sockets[0].local_address)
        each.receive()
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(os.listdir("/proc/self/fd")) == before + 300
    assert size < 300 * 2048
    for each in sockets:
        each.close()
    assert len(os.listdir("/proc/self/fd")) == before


async def test_names_and_addresses_resolve_to_ipv4(network: SystemNetwork) -> None:
    assert await network.resolve("192.0.2.7") == ["192.0.2.7"]
    assert "127.0.0.1" in await network.resolve("localhost")
    with pytest.raises(OSError):
        await network.resolve("name.invalid")


@pytest.mark.parametrize("name", ["a..b", "a" * 64 + ".org", "h\x00", "ü_ß"])
async def test_name_that_cannot_be_asked_for_does_not_resolve(network: SystemNetwork, name: str) -> None:
    with pytest.raises(OSError):
        await network.resolve(name)


def test_local_hosts_are_not_loopback_unless_there_is_nothing_else(network: SystemNetwork) -> None:
    hosts = network.local_hosts()
    assert hosts == ["127.0.0.1"] or not any(host.startswith("127.") for host in hosts)
    assert all(len(host.split(".")) == 4 for host in hosts)


def test_local_hosts_are_found_without_netifaces(network: SystemNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    with_netifaces = network.local_hosts()
    monkeypatch.setattr(interfaces, "netifaces", None)
    assert set(network.local_hosts()) <= {*with_netifaces, "127.0.0.1"}


@pytest.fixture
def no_descriptors() -> Iterator[Callable[[], None]]:
    """What uses up the file descriptors until the test ends."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken: list[int] = []

    def take_all() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 1, limits[1]))
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))

    yield take_all
    for number in taken:
        os.close(number)
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.mark.parametrize("with_netifaces", [True, False])
def test_local_hosts_are_those_known_last_where_file_descriptors_have_run_out(
    network: SystemNetwork,
    no_descriptors: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
    with_netifaces: bool,
) -> None:
    if not with_netifaces:
        monkeypatch.setattr(interfaces, "netifaces", None)
    unknown = SystemNetwork()
    hosts = network.local_hosts()
    no_descriptors()
    assert network.local_hosts() == hosts
    assert unknown.local_hosts() == ["127.0.0.1"]
