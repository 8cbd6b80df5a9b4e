"""One connection between two peers, of which one at least is Node's: what goes in comes out.

Not two Node peers: now and then they do not meet, or wait for their own timeouts, which says nothing of this library.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

import pytest
import trio

from tests.interop.ends import connect, transfer, transfer_both_ways
from tests.interop.loss import lose, lost
from tests.interop.peers import content

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.interop.conftest import Start
    from tests.interop.ends import End

ENDLESS = 1 << 40
"""More bytes than any test sends: a receive that only the end of the stream ends."""


@pytest.fixture(params=["node-python", "python-node"])
def sides(request: pytest.FixtureRequest) -> tuple[str, str]:
    server, client = request.param.split("-")
    return server, client


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


async def test_ten_megabytes_each_way_at_once_arrive_whole(ends: tuple[End, End]) -> None:
    with trio.fail_after(60):
        await transfer_both_ways(ends, 10_000_000)


@pytest.mark.parametrize("first", ["server", "client"])
async def test_side_that_ended_still_receives(ends: tuple[End, End], first: str) -> None:
    early, late = ends if first == "server" else ends[::-1]
    with trio.fail_after(30):
        await early.call("send", seed="last words", bytes=1000)
        await early.call("end")
        heard = await late.call("receive", bytes=ENDLESS)
        assert heard == {"bytes": 1000, "sha256": sha256(content("last words", 1000)), "ended": True, "error": None}
        await transfer(late, early, 100_000, "the answer")
        await late.call("end")
        heard = await early.call("receive", bytes=ENDLESS)
        assert (heard["bytes"], heard["ended"], heard["error"]) == (0, True, None)


async def test_frames_keep_their_borders(ends: tuple[End, End]) -> None:
    frames = [os.urandom(size).hex() for size in (1, 2, 1000, 1, 65536, 300_000, 17)]
    with trio.fail_after(30):
        for sender, receiver in (ends, ends[::-1]):
            await sender.call("send_frames", frames=frames)
            assert (await receiver.call("receive_frames", count=len(frames)))["frames"] == frames


async def test_unordered_messages_arrive(ends: tuple[End, End]) -> None:
    with trio.fail_after(30):
        for sender, receiver in (ends, ends[::-1]):
            for size in (0, 1, 500, 1100):
                message = os.urandom(size).hex()
                await sender.call("send_message", data=message)
                assert (await receiver.call("receive_message"))["data"] == message


async def test_both_sides_keep_a_silent_connection_alive(
    start_on: Callable[[str], Start], dhts: dict[str, str]
) -> None:
    """For 15 s; each side says something every 5 s. UDX alone would not end a silent connection."""
    pairs: list[tuple[End, End]] = []

    async def pair(dht: str, *sides: str) -> None:
        pairs.append(await connect(start_on(dht), (sides[0], sides[1])))

    with trio.fail_after(90):
        async with trio.open_nursery() as nursery:
            for dht in dhts.values():
                for sides in (("node", "python"), ("python", "node")):
                    nursery.start_soon(pair, dht, *sides)
        ends = [end for pair in pairs for end in pair]
        before = [(await end.call("heard"))["bytes"] for end in ends]
        await trio.sleep(15)
        for end, bytes_before in zip(ends, before, strict=True):
            heard = await end.call("heard")
            keep_alives, rest = divmod(heard["bytes"] - bytes_before, heard["empty_frame"])
            assert (keep_alives >= 2, rest) == (True, 0), (end.peer.kind, heard, bytes_before)
        for server, client in pairs:
            await transfer_both_ways((server, client), 1000)
            assert await server.peer.open_to(client.peer) == [server.conn]
            assert await client.peer.open_to(server.peer) == [client.conn]


@pytest.mark.parametrize("sides", ["node-python", "python-node", "python-python"], indirect=True)
async def test_one_datagram_in_ten_lost_each_way_changes_nothing(start: Start, sides: tuple[str, str]) -> None:
    # between two of ours, what one batch sends would otherwise be lost, or not, as one
    single = {"segmenting": False} if sides == ("python", "python") else {}
    with trio.fail_after(120):
        ends = await connect(start, sides, prepare=lambda peer: lose(peer.pid, 10), **single)
        for end in ends:
            lose(end.peer.pid, 10)  # the sockets they punched with are new
        await transfer_both_ways(ends, 100_000)
        while not all([lost(end.peer.pid) and (await end.call("resent"))["packets"] for end in ends]):
            await transfer_both_ways(ends, 100_000)  # one in ten thousand loses none of its 88 datagrams
