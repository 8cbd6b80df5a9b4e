"""A DHT of one's own on a fresh host, by the commands that docs/private-network.md names."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

import trio

from tests.programs import SWARM, run, running

LOCAL = ("--host", "127.0.0.1", "--json")


async def test_two_commands_make_a_dht_that_stores_answers_and_is_counted() -> None:
    with trio.fail_after(30):
        async with running(*SWARM, "bootstrap", "127.0.0.1", *LOCAL) as first:
            start = ("--bootstrap", json.loads(await first.line())["bootstrap"][0], *LOCAL)
            async with running(*SWARM, "node", "--persistent", "--metrics", "0", *start) as second:
                metrics = urlsplit(json.loads(await second.line())["metrics"])
                put = await run(*SWARM, "put", *start, "first value")
                got = await run(*SWARM, "get", *start, json.loads(put.stdout)["target"])
                assert bytes.fromhex(json.loads(got.stdout)["value"]) == b"first value"
                assert metrics.hostname == "127.0.0.1"
                async with await trio.open_tcp_stream("127.0.0.1", metrics.port or 0) as stream:
                    await stream.send_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    page = b"".join([data async for data in stream])
                assert b"\nswarm_node_nodes 1\n" in page
                assert b"\nswarm_node_persistent 1\n" in page
