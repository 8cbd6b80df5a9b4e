"""A host whose own address swallows packets, as with some virtual machines and VPNs: what is raced costs no time."""

from __future__ import annotations

import socket

import pytest
import trio

from swarm import Swarm
from swarm.testing import Testnet

ADDRESS = "10.99.0.1"

SWALLOWING_INTERFACE = (
    "ip link add name swallow type veth peer name nowhere",
    f"ip address add {ADDRESS}/24 dev swallow",
    "ip link set swallow up",
    "ip link set nowhere up",
    # what goes to the own address leaves by the interface, instead of staying on this host
    "ip route add default dev swallow table 99",
    "ip rule add preference 100 lookup local",
    f"ip rule add preference 50 to {ADDRESS} lookup 99",
    "ip rule delete preference 0",
)


def first_datagram_from_own_hosts(*hosts: str) -> str:
    """Send one to each host of this machine; the host to which the first that arrives was sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("0.0.0.0", 0))
        receiver.settimeout(5)
        for host in hosts:
            receiver.sendto(host.encode(), (host, receiver.getsockname()[1]))
        return receiver.recv(100).decode()


@pytest.mark.private_network(*SWALLOWING_INTERFACE)
async def test_address_that_swallows_packets_keeps_nobody_waiting() -> None:
    assert first_datagram_from_own_hosts(ADDRESS, "127.0.0.1") == "127.0.0.1"
    async with (
        Testnet(3) as net,
        Swarm(bootstrap=net.bootstrap, host="0.0.0.0") as one,
        Swarm(bootstrap=net.bootstrap, host="0.0.0.0") as other,
    ):
        await one.join("a room").flushed()
        with trio.fail_after(2):  # what is promised; a peer that tries its addresses in turn needs more
            other.join("a room")
            connection = await anext(aiter(other))
        await connection.send_all(b"hello")
        accepted = await anext(aiter(one))
        assert await accepted.receive_some() == b"hello"
