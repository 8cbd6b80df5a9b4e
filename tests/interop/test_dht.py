"""What peers ask of a DHT, through nodes of one kind only: also two Node peers through nodes that are all ours."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import trio

from swarm.hyperdht.messages import PutError
from tests.interop.ends import End, transfer_both_ways

if TYPE_CHECKING:
    from tests.interop.conftest import Start


async def test_announced_key_is_found_until_unannounced(start: Start, sides: tuple[str, str]) -> None:
    target = os.urandom(32).hex()
    with trio.fail_after(60):
        announcer, seeker = [await start(kind) for kind in sides]
        assert (await seeker.call("lookup", target=target))["keys"] == []
        await announcer.call("announce", target=target)
        assert (await seeker.call("lookup", target=target))["keys"] == [announcer.key]
        await announcer.call("unannounce", target=target)
        assert (await seeker.call("lookup", target=target))["keys"] == []


async def test_leaving_a_topic_unannounces(start: Start, sides: tuple[str, str]) -> None:
    topic = os.urandom(32).hex()
    with trio.fail_after(60):
        announcer, seeker = [await start(kind) for kind in sides]
        await announcer.call("join", topic=topic)
        assert (await seeker.call("lookup", target=topic))["keys"] == [announcer.key]
        await announcer.call("leave", topic=topic)
        assert (await seeker.call("lookup", target=topic))["keys"] == []


async def test_peer_that_ends_is_no_longer_announced(start: Start, sides: tuple[str, str]) -> None:
    topic = os.urandom(32).hex()
    with trio.fail_after(60):
        announcer, seeker = await start(sides[0], own_process=True), await start(sides[1])
        await announcer.call("join", topic=topic)
        await announcer.leave()
        assert (await seeker.call("lookup", target=topic))["keys"] == []


async def test_listening_peer_is_found_and_dialled_by_key(start: Start, sides: tuple[str, str]) -> None:
    with trio.fail_after(60):
        server, client = [await start(kind) for kind in sides]
        await server.call("listen")
        assert (await client.call("find_peer", key=server.key))["key"] == server.key
        conn = (await client.call("connect", key=server.key))["conn"]
        await transfer_both_ways((End(server, await server.connection(client)), End(client, conn)), 1000)


async def test_stored_values_are_found(start: Start, sides: tuple[str, str]) -> None:
    value = os.urandom(500).hex()
    with trio.fail_after(60):
        writer, reader = [await start(kind) for kind in sides]
        target = (await writer.call("immutable_put", value=value))["target"]
        assert (await reader.call("immutable_get", target=target))["value"] == value
        for seq, text in enumerate((b"first", b"second"), 1):
            assert (await writer.call("mutable_put", value=text.hex(), seq=seq))["errors"] == []
            assert await reader.call("mutable_get", key=writer.key) == {"value": text.hex(), "seq": seq}


async def test_version_that_is_not_newer_is_refused_with_its_code(start: Start, sides: tuple[str, str]) -> None:
    with trio.fail_after(60):
        writer, reader = [await start(kind) for kind in sides]
        for text, seq, errors in (
            (b"value", 5, []),
            (b"another value", 5, [PutError.SEQ_REUSED]),
            (b"older", 4, [PutError.SEQ_TOO_LOW]),
            (b"value", 5, []),
        ):
            assert (await writer.call("mutable_put", value=text.hex(), seq=seq))["errors"] == errors
            assert await reader.call("mutable_get", key=writer.key) == {"value": b"value".hex(), "seq": 5}
