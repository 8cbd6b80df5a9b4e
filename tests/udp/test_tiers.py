"""Runs of datagrams over real sockets, on every combination of ways to send and to receive."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holepunch.udp import MAX_DATAGRAM
from holepunch.udp.receive import BATCH
from holepunch.udp.system import ReceiveTier, SendTier, SystemNetwork, SystemSocket

if TYPE_CHECKING:
    from collections.abc import Iterator

    from holepunch.udp import Received

SO_NO_CHECK = 11
IP_RECVERR = 11


@pytest.fixture(params=ReceiveTier, ids=lambda tier: f"receive-{tier.name}")
def receiver(request: pytest.FixtureRequest) -> Iterator[SystemSocket]:
    network = SystemNetwork(receive_tier=request.param)
    sock = network.bind("127.0.0.1", 0)
    if network.receive_tier is not request.param:
        pytest.skip(f"this system has no {request.param.value}")
    yield sock
    sock.close()


@pytest.fixture(params=SendTier, ids=lambda tier: f"send-{tier.name}")
def sender(request: pytest.FixtureRequest) -> Iterator[SystemSocket]:
    sock = SystemNetwork(send_tier=request.param).bind("127.0.0.1", 0)
    if sock.send_tier is not request.param:
        pytest.skip(f"this system has no {request.param.value}")
    yield sock
    sock.close()


def cut(received: Received) -> list[bytes]:
    view, segment, _ = received
    return [bytes(view[i : i + segment]) for i in range(0, len(view), segment)]


async def datagrams(sock: SystemSocket, count: int) -> list[bytes]:
    """The next ``count`` datagrams, one by one."""
    found: list[bytes] = []
    with trio.fail_after(10):
        while len(found) < count:
            await sock.wait_readable()
            for received in sock.receive():
                found += cut(received)
    return found


def numbered(first: int, count: int, size: int) -> list[bytes]:
    return [number.to_bytes(4, "big") * (size // 4) for number in range(first, first + count)]


async def test_runs_arrive_whole_and_in_order(sender: SystemSocket, receiver: SystemSocket) -> None:
    for first in range(0, 132, 44):
        run = numbered(first, 44, 1472)
        buffers = [part for d in run for part in (memoryview(d)[:20], memoryview(d)[20:])]
        assert sender.send_segments(buffers, 1472, receiver.local_address)
    assert await datagrams(receiver, 132) == numbered(0, 132, 1472)


async def test_last_datagram_of_a_run_may_be_shorter(sender: SystemSocket, receiver: SystemSocket) -> None:
    run = [*numbered(0, 5, 1000), b"end"]
    assert sender.send_segments(run, 1000, receiver.local_address)
    assert await datagrams(receiver, 6) == run


async def test_run_beyond_the_kernels_limits_is_split(sender: SystemSocket, receiver: SystemSocket) -> None:
    large = [*numbered(0, 100, 1472), b"end"]
    assert sender.send_segments(large, 1472, receiver.local_address)
    assert await datagrams(receiver, 101) == large
    small = numbered(0, 300, 8)
    assert sender.send_segments(small, 8, receiver.local_address)
    assert await datagrams(receiver, 300) == small


async def test_sizes_and_ways_to_send_may_be_mixed(sender: SystemSocket, receiver: SystemSocket) -> None:
    to = receiver.local_address
    largest = os.urandom(MAX_DATAGRAM)
    assert sender.send([b"one"], to)
    assert sender.send_segments(numbered(0, 3, 1200), 1200, to)
    assert sender.send([b"header", bytearray(b" and "), memoryview(b"payload")], to)
    assert sender.send([largest], to)
    assert sender.send_segments([b"short run"], 1472, to)
    assert sender.send_segments([b"run without limit"], 1 << 20, to)
    expected = [b"one", *numbered(0, 3, 1200), b"header and payload", largest, b"short run", b"run without limit"]
    assert await datagrams(receiver, 8) == expected


async def test_one_receive_is_bounded(receiver: SystemSocket) -> None:
    sender = SystemNetwork(send_tier=SendTier.SINGLE).bind("127.0.0.1", 0)
    sent = numbered(0, 5 * BATCH, 64)
    for datagram in sent:
        sender.send([datagram], receiver.local_address)
    found: list[bytes] = []
    with trio.fail_after(10):
        while len(found) < len(sent):
            await receiver.wait_readable()
            batch = receiver.receive()
            assert len(batch) <= BATCH
            found += [d for received in batch for d in cut(received)]
    assert found == sent
    sender.close()


async def test_empty_datagrams_are_skipped(sender: SystemSocket, receiver: SystemSocket) -> None:
    for payload in (b"", b"a", b"", b"b"):
        sender.send([payload], receiver.local_address)
    assert await datagrams(receiver, 2) == [b"a", b"b"]


async def test_a_datagram_too_large_is_lost_without_an_error(sender: SystemSocket, receiver: SystemSocket) -> None:
    tier = sender.send_tier
    assert sender.send([bytes(MAX_DATAGRAM + 1)], receiver.local_address)
    assert sender.send_segments([bytes(MAX_DATAGRAM + 1)], MAX_DATAGRAM + 1, receiver.local_address)
    assert sender.send([b"next"], receiver.local_address)
    assert await datagrams(receiver, 1) == [b"next"]
    assert sender.send_tier is tier


async def test_errors_of_earlier_sends_do_not_end_receiving(receiver: SystemSocket) -> None:
    gone = SystemNetwork().bind("127.0.0.1", 0)
    gone.close()
    with socket.socket(fileno=os.dup(receiver.fileno())) as same:
        same.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)  # also unconnected sockets hear "port unreachable"
    for _ in range(3):
        receiver.send([b"anyone?"], gone.local_address)
    sender = SystemNetwork().bind("127.0.0.1", 0)
    sender.send([b"still here"], receiver.local_address)
    assert await datagrams(receiver, 1) == [b"still here"]
    sender.close()


async def test_socket_that_may_not_segment_steps_down_and_loses_nothing(receiver: SystemSocket) -> None:
    sender = SystemNetwork().bind("127.0.0.1", 0)
    if sender.send_tier is not SendTier.SEGMENT:
        pytest.skip("this system has no UDP_SEGMENT")
    with socket.socket(fileno=os.dup(sender.fileno())) as same:
        same.setsockopt(socket.SOL_SOCKET, SO_NO_CHECK, 1)  # the kernel segments only what has checksums
    run = numbered(0, 44, 1472)
    assert sender.send_segments(run, 1472, receiver.local_address)
    assert await datagrams(receiver, 44) == run
    assert sender.send_tier is not SendTier.SEGMENT
    sender.close()


@pytest.mark.parametrize("tier", [ReceiveTier.MMSG, ReceiveTier.GRO])
async def test_segmented_run_is_received_in_one_piece(tier: ReceiveTier) -> None:
    network = SystemNetwork(receive_tier=tier)
    receiver, sender = network.bind("127.0.0.1", 0), network.bind("127.0.0.1", 0)
    if sender.send_tier is not SendTier.SEGMENT:
        pytest.skip("this system has no UDP_SEGMENT")
    sender.send_segments(numbered(0, 44, 1472), 1472, receiver.local_address)
    with trio.fail_after(10):
        await receiver.wait_readable()
    (received,) = receiver.receive()
    assert (len(received.view), received.segment, received.source) == (44 * 1472, 1472, sender.local_address)
    sender.close()
    receiver.close()


@pytest.mark.private_network("ip link set lo mtu 1400")
async def test_segments_too_large_for_the_device_are_lost_and_smaller_ones_still_segmented() -> None:
    network = SystemNetwork()
    receiver, sender = network.bind("127.0.0.1", 0), network.bind("127.0.0.1", 0)
    tier = sender.send_tier
    assert sender.send_segments(numbered(0, 44, 1472), 1472, receiver.local_address)
    assert sender.send([bytes(1373)], receiver.local_address)
    assert sender.send_segments([*numbered(0, 2, 1472), b"short enough"], 1472, receiver.local_address)
    run = numbered(0, 44, 1372)
    assert sender.send_segments(run, 1372, receiver.local_address)
    assert await datagrams(receiver, 45) == [b"short enough", *run]
    assert sender.send_tier is tier
    sender.close()
    receiver.close()


@pytest.mark.private_network("ip link set lo mtu 1400")
@pytest.mark.parametrize("tier", SendTier)
async def test_datagrams_too_large_for_the_device_travel_in_fragments_only_where_that_is_asked_for(
    tier: SendTier,
) -> None:
    network = SystemNetwork(send_tier=tier)
    receiver, sender = network.bind("127.0.0.1", 0), network.bind("127.0.0.1", 0)
    to = receiver.local_address
    run = [*numbered(0, 44, 1472), b"end"]
    assert sender.send_segments(run, 1472, to, True)
    assert await datagrams(receiver, 45) == run
    assert sender.send_segments(numbered(44, 2, 1472), 1472, to)
    assert sender.send_segments([b"next"], 4, to)
    assert await datagrams(receiver, 1) == [b"next"]
    sender.close()
    receiver.close()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(segment=st.integers(1, 2000), size=st.integers(1, 60000))
async def test_any_run_is_cut_as_asked(segment: int, size: int, sender: SystemSocket, receiver: SystemSocket) -> None:
    data = os.urandom(min(size, 150 * segment))
    run = [data[i : i + segment] for i in range(0, len(data), segment)]
    assert sender.send_segments(run, segment, receiver.local_address)
    assert await datagrams(receiver, len(run)) == run
