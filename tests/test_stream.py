"""The trio stream of a connection: trio's own battery, and what it promises beyond it."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from holepunch.core import CLIENT
from holepunch.keepalive import KEEP_ALIVE
from holepunch.secure.secretstream import EMPTY_FRAME
from holepunch.stream import MAX_DATAGRAM, MAX_FRAME
from holepunch.testing import Link, VirtualNetwork
from tests.pairs import stream_pair

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from holepunch.stream import EncryptedStream

Pair = tuple["EncryptedStream", "EncryptedStream"]


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    async with stream_pair() as ends:
        yield ends


async def test_it_is_a_half_closeable_stream_as_trio_defines_it() -> None:
    async with AsyncExitStack() as stack:

        async def make() -> Pair:
            return await stack.enter_async_context(stream_pair(yield_after=0))

        async def make_clogged() -> Pair:
            left, right = await make()
            for stream in (left, right):
                blocked = False
                while not blocked:
                    with trio.move_on_after(0.01) as scope:
                        await stream.send_all(bytes(1 << 16))
                    if scope.cancelled_caught:
                        await trio.testing.wait_all_tasks_blocked(0.01)  # until the peer has taken all that it will
                        blocked = stream._raw.core.writable <= 0
            return left, right

        await trio.testing.check_half_closeable_stream(make, make_clogged)


async def test_bytes_arrive_in_order_both_ways(pair: Pair) -> None:
    content = bytes(range(256)) * 4000

    async def send(stream: EncryptedStream) -> None:
        await stream.send_all(content)
        await stream.send_eof()

    async with trio.open_nursery() as nursery:
        for stream in pair:
            nursery.start_soon(send, stream)
        for stream in pair:
            received = bytearray()
            async for data in stream:
                received += data
            assert received == content


async def test_buffers_may_change_once_they_were_sent(pair: Pair) -> None:
    a, b = pair
    sent = b""
    for size in (100, 20_000, 70_000):  # alone, joined with what is under way, and in frames of its own
        buffer = bytearray(b"m" * size)
        await a.send_all(buffer)
        await a.send_all(memoryview(buffer))
        sent += bytes(buffer) * 2
        buffer[:] = b"g" * size
    await a.send_eof()
    assert b"".join([piece async for piece in b]) == sent


@pytest.mark.parametrize("size", [6, 200_000])
@pytest.mark.parametrize("method", ["send_all", "send_frame", "send_datagram"])
async def test_views_of_every_shape_are_sent(pair: Pair, method: str, size: int) -> None:
    sender, receiver = pair
    content = bytes(range(256)) * (size // 128 + 1)
    gaps = memoryview(content)[: 2 * size : 2]
    square = memoryview(content[:size]).cast("B", (2, size // 2))
    numbers = memoryview(content[: size // 4 * 4]).cast("I")
    for view in (gaps, square, numbers):
        expected = view.tobytes()
        if method == "send_datagram":
            if size <= MAX_DATAGRAM:
                await sender.send_datagram(view)
                assert await receiver.receive_datagram() == expected
            continue
        received = b""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(getattr(sender, method), view)
            while len(received) < len(expected):
                received += await receiver.receive_some()
        assert received == expected


async def test_ends_that_took_different_ways_meet_all_the_same() -> None:
    async with stream_pair(b_sends_to=CLIENT) as (a, b):
        with trio.fail_after(5):  # the acceptor's packets go to a socket of the dialler that the stream does not use
            await a.send_all(b"ping")
            assert await b.receive_some() == b"ping"
            await b.send_all(b"pong")
            assert await a.receive_some() == b"pong"


async def test_frames_keep_their_borders_and_end_with_none(pair: Pair) -> None:
    left, right = pair
    frames = [b"a", b"bc" * 40_000, b"d"]
    for frame in frames:
        await left.send_frame(frame)
    await left.send_eof()
    assert [await right.receive_frame() for _ in frames] == frames
    assert await right.receive_frame() is None
    assert await right.receive_some() == b""


async def test_frame_after_a_partial_read_is_the_rest_of_it(pair: Pair) -> None:
    left, right = pair
    await left.send_frame(b"hello world")
    await left.send_frame(b"next")
    assert await right.receive_some(5) == b"hello"
    assert await right.receive_frame() == b" world"
    assert await right.receive_frame() == b"next"


async def test_small_frames_are_received_together(pair: Pair) -> None:
    left, right = pair
    for n in range(10):
        await left.send_frame(b"%d" % n)
    await trio.testing.wait_all_tasks_blocked(0.05)
    assert await right.receive_some() == b"0123456789"


@pytest.mark.parametrize("size", [0, MAX_FRAME + 1])
async def test_frame_of_impossible_size_is_refused(pair: Pair, size: int) -> None:
    with pytest.raises(ValueError, match=f"got {size}"):
        await pair[0].send_frame(bytes(size))


async def test_datagrams_arrive_beside_the_stream(pair: Pair) -> None:
    left, right = pair
    for data in (b"", b"x", bytes(MAX_DATAGRAM)):
        await left.send_datagram(data)
        assert await right.receive_datagram() == data
    with pytest.raises(ValueError, match="at most 1128 bytes, got 1129"):
        await left.send_datagram(bytes(MAX_DATAGRAM + 1))


async def test_both_ends_know_who_and_what_they_share(pair: Pair) -> None:
    left, right = pair
    assert left.is_initiator
    assert not right.is_initiator
    assert left.handshake_hash == right.handshake_hash
    assert left.remote_public_key != right.remote_public_key
    assert str(left.path.remote_address).startswith("127.0.0.1:")
    assert left.path.kind == "lan"


async def test_path_stays_readable_after_the_close(pair: Pair) -> None:
    left, _ = pair
    before = left.path.remote_address
    await left.aclose()
    assert left.path.remote_address == before


async def test_destroying_one_end_breaks_the_other(pair: Pair) -> None:
    left, right = pair
    await left.send_all(b"last")
    left.destroy()
    assert await right.receive_some() == b"last"
    with pytest.raises(trio.BrokenResourceError):
        await right.receive_some()
    with pytest.raises(trio.BrokenResourceError):
        await right.send_all(b"x")
    with pytest.raises(trio.ClosedResourceError):
        await left.send_all(b"x")


async def test_cause_given_to_destroy_is_the_cause_of_the_error(pair: Pair) -> None:
    cause = ValueError("because")
    pair[0].destroy(cause)
    with pytest.raises(trio.BrokenResourceError, match="because") as caught:
        await pair[0].receive_some()
    assert caught.value.__cause__ is cause


async def test_what_was_sent_before_a_close_arrives(pair: Pair) -> None:
    left, right = pair
    await left.send_all(bytes(300_000))
    await left.aclose()
    received = 0
    async for data in right:
        received += len(data)
    assert received == 300_000


async def test_second_sender_is_told_that_it_is_one(pair: Pair) -> None:
    left, _ = pair
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_expect_closed, left.receive_some)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await left.receive_some()
        await left.aclose()


async def _expect_closed(call: Callable[[], object]) -> None:
    with pytest.raises(trio.ClosedResourceError):
        await call()  # type: ignore[misc]


async def test_idle_stream_stays_open_by_empty_frames_that_nobody_sees(autojump_clock: trio.testing.MockClock) -> None:
    async with (
        VirtualNetwork() as net,
        stream_pair((net.host("192.88.99.1"), net.host("192.88.99.2"))) as (left, right),
    ):
        await trio.sleep(10 * KEEP_ALIVE)
        assert min(left.message_bytes) >= 8 * EMPTY_FRAME, "each side writes, as in Node"
        for end in (left, right):
            end._secret.controls = []  # as two peers of this implementation agree
        before = sum(left.message_bytes)
        await trio.sleep(10 * KEEP_ALIVE)
        frames = (sum(left.message_bytes) - before) / EMPTY_FRAME
        assert 9 <= frames <= 14, "the frames of one side serve both"
        with trio.move_on_after(1):
            pytest.fail(f"received {await right.receive_some()!r}")
        await left.send_all(b"still here")
        assert await right.receive_some() == b"still here"


async def test_each_side_keeps_the_stream_alive_when_the_other_is_silent(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with (
        VirtualNetwork() as net,
        stream_pair((net.host("192.88.99.1"), net.host("192.88.99.2"))) as pair,
    ):
        for talker, silent in (pair, pair[::-1]):
            before = talker.message_bytes[1]
            with trio.move_on_after(4 * KEEP_ALIVE):
                while True:  # as if it had just written: it sends no keep-alive of its own
                    silent._alive.wrote_at = trio.current_time()
                    await trio.sleep(KEEP_ALIVE / 2)
            assert talker.message_bytes[1] - before >= 3 * EMPTY_FRAME


async def test_peer_that_vanished_is_noticed(autojump_clock: trio.testing.MockClock) -> None:
    async with VirtualNetwork() as net:
        alice, bob = net.host("192.88.99.1"), net.host("192.88.99.2")
        async with stream_pair((alice, bob)) as (left, _):
            await left.send_all(b"x")
            await trio.sleep(1)
            bob.sleep()
            began = trio.current_time()
            with pytest.raises(trio.BrokenResourceError):
                await left.receive_some()
            assert 13 <= trio.current_time() - began <= KEEP_ALIVE + 14


async def test_stream_whose_peer_never_speaks_breaks(autojump_clock: trio.testing.MockClock) -> None:
    async with VirtualNetwork() as net:
        alice, bob = net.host("192.88.99.1"), net.host("192.88.99.2")
        bob.sleep()
        async with stream_pair((alice, bob)) as (left, _):
            with pytest.raises(trio.BrokenResourceError, match="header did not arrive"):
                await left.receive_some()


async def test_lost_reordered_and_doubled_packets_change_nothing(autojump_clock: trio.testing.MockClock) -> None:
    async with VirtualNetwork(seed=3) as net:
        bad = Link(delay=0.02, loss=0.05, reorder=0.02, duplicate=0.02)
        hosts = net.host("192.88.99.1", link=bad), net.host("192.88.99.2", link=bad)
        content = bytes(range(256)) * 800
        async with stream_pair(hosts) as (left, right), trio.open_nursery() as nursery:
            nursery.start_soon(left.send_all, content)
            received = bytearray()
            while len(received) < len(content):
                received += await right.receive_some()
            assert received == content


async def test_reader_slower_than_the_sender_gets_every_frame(pair: Pair) -> None:
    left, right = pair
    frames = [bytes([n]) * 65_536 for n in range(120)]

    async def send() -> None:
        for frame in frames:
            await left.send_frame(frame)
        await left.send_eof()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        for frame in frames:
            await trio.to_thread.run_sync(time.sleep, 0.001)
            assert await right.receive_frame() == frame
        assert await right.receive_frame() is None


async def test_small_writes_are_joined_and_frames_are_not() -> None:
    """Whatever `send_all` joins leaves before a frame that is sent after it, and before the end."""
    async with stream_pair() as (left, right):
        await left.send_frame(b"first")
        for letter in b"abc":
            await left.send_all(bytes([letter]))
        await left.send_frame(b"second")
        await left.send_all(b"d")
        await left.send_eof()
        frames = []
        while (frame := await right.receive_frame()) is not None:
            frames.append(frame)
    assert frames[0] == b"first"
    middle = frames.index(b"second")
    assert b"".join(frames[1:middle]) == b"abc"
    assert frames[middle + 1 :] == [b"d"]


async def test_many_small_writes_cost_few_frames() -> None:
    async with stream_pair() as (left, right):
        received = 0
        async with trio.open_nursery() as nursery:

            async def send() -> None:
                for _ in range(20_000):
                    await left.send_all(bytes(100))
                await left.send_eof()

            nursery.start_soon(send)
            frames = 0
            while (frame := await right.receive_frame()) is not None:
                frames += 1
                received += len(frame)
    assert received == 2_000_000
    assert frames < 1000
