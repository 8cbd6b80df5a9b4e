"""Several peers on one topic, and peers that die and come back."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio

from tests.interop.ends import End, transfer_both_ways, until_all_are_connected_once

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.interop.conftest import Start


async def test_three_peers_of_each_kind_are_all_connected_once(start: Start) -> None:
    topic = os.urandom(32).hex()
    with trio.fail_after(120):
        ours = [await start("python") for _ in range(3)]
        theirs = [await start("node") for _ in range(3)]
        async with trio.open_nursery() as nursery:
            for peer in ours:
                nursery.start_soon(partial(peer.call, "join", topic=topic))
            for peer in theirs:  # one after another: Node peers that look up at the same instant do not see each other
                await peer.call("join", topic=topic)
        with trio.move_on_after(60) as waiting:
            await until_all_are_connected_once([*ours, *theirs])
        peers = (*ours, *theirs)
        missing = []
        for number, one in enumerate(peers if waiting.cancelled_caught else ()):
            for other in peers[number + 1 :]:
                counts = len(await one.open_to(other)), len(await other.open_to(one))
                if counts != (1, 1):
                    missing.append((one.kind, other.kind, *counts))
        assert not missing, missing
        for peer in (*ours, *theirs):
            assert len((await peer.call("connections"))["open"]) == 5


@pytest.mark.parametrize("victim", ["server", "client"])
async def test_killed_peer_that_restarts_is_found_again(start: Start, sides: tuple[str, str], victim: str) -> None:
    topic = os.urandom(32).hex()
    with trio.fail_after(120):
        peers = {
            role: await start(kind, own_process=role == victim)
            for role, kind in zip(("server", "client"), sides, strict=True)
        }
        for peer in peers.values():
            await peer.call("join", topic=topic)
        await until_all_are_connected_once([*peers.values()])
        dead = peers[victim]
        await dead.kill()
        peers[victim] = await start(dead.kind, dead.seed)
        await peers[victim].call("join", topic=topic)
        await until_all_are_connected_once([*peers.values()])


async def test_client_finds_a_server_again_that_was_killed_and_restarts(
    start_on: Callable[[str], Start], dhts: dict[str, str]
) -> None:
    """Each has one role only, so that the client has to notice the loss, which takes a Node peer 20 s, and to dial."""

    async def find_again(start: Start, *kinds: str) -> None:
        topic = os.urandom(32).hex()
        server, client = await start(kinds[0], own_process=True), await start(kinds[1])
        await server.call("join", topic=topic, client=False)
        await client.call("join", topic=topic, server=False)
        lost = await client.connection(server)
        await server.kill()
        again = await start(server.kind, server.seed)
        await again.call("join", topic=topic, client=False)
        found = End(client, await client.connection(again, after=lost))
        await transfer_both_ways((End(again, await again.connection(client)), found), 1000)

    with trio.fail_after(90):
        async with trio.open_nursery() as nursery:
            for dht in dhts.values():
                nursery.start_soon(find_again, start_on(dht), "node", "python")
                nursery.start_soon(find_again, start_on(dht), "python", "node")
