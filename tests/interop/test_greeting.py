"""What our peers tell each other besides the application's data, a Node peer neither hears nor minds."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
import trio

from tests.interop.ends import connect

if TYPE_CHECKING:
    from tests.interop.conftest import Start


@pytest.fixture(params=["node-python", "python-node", "python-python"])
def sides(request: pytest.FixtureRequest) -> tuple[str, str]:
    server, client = request.param.split("-")
    return server, client


async def test_topics_joined_on_an_open_connection_disturb_no_frame(start: Start, sides: tuple[str, str]) -> None:
    ends = await connect(start, sides)
    frames = [os.urandom(size).hex() for size in (1, 17, 1000, 65536)]
    with trio.fail_after(60):
        for _ in range(3):
            for end in ends:
                await end.peer.call("join", topic=os.urandom(32).hex(), client=False)
            for sender, receiver in (ends, ends[::-1]):
                await sender.call("send_frames", frames=frames)
                assert (await receiver.call("receive_frames", count=len(frames)))["frames"] == frames
        assert [await end.peer.open_to(other.peer) for end, other in (ends, ends[::-1])] == [[e.conn] for e in ends]


async def test_our_side_knows_the_topic_as_far_as_it_can_be_known(start: Start, sides: tuple[str, str]) -> None:
    with trio.fail_after(60):
        server, client = await connect(start, sides)
        for end, other in ((server, client), (client, server)):
            if end.peer.kind == "python":
                topics = (await end.call("topics"))["topics"]
                # a Node peer that dials says nothing of why
                assert len(topics) == (0 if other.peer.kind == "node" and end is server else 1)
