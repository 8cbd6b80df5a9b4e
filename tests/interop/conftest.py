"""A DHT of each kind, and pairs of peers connected through it."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Protocol

import pytest

from tests.interop.ends import End, connect
from tests.interop.peers import DHT_COMMANDS, HERE, Peer
from tests.tools import need

if TYPE_CHECKING:
    from collections.abc import Iterator

    import trio


class Start(Protocol):
    """Starts one more peer of a kind: "node" or "python"."""

    async def __call__(self, kind: str, seed: bytes | None = None) -> Peer: ...


@pytest.fixture(scope="session", autouse=True)
def node_packages() -> None:
    """The real Hyperswarm, which every test here needs."""
    need("node")
    if not (HERE / "node_modules").is_dir():
        need("npm")
        subprocess.run(["npm", "ci", "--ignore-scripts"], cwd=HERE, check=True, stdout=subprocess.DEVNULL)


@pytest.fixture(scope="session", params=["node", "python"], ids=lambda kind: f"dht-of-{kind}")
def dht(request: pytest.FixtureRequest) -> Iterator[str]:
    """``host:port`` of a DHT made of one kind of node only."""
    with subprocess.Popen(DHT_COMMANDS[request.param], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())["bootstrap"][0]
        finally:
            process.stdin.close()
            process.wait(10)


@pytest.fixture
def start(nursery: trio.Nursery, dht: str) -> Start:
    """Start one more peer of a kind on this DHT; it is killed at the end of the test."""

    async def start(kind: str, seed: bytes | None = None) -> Peer:
        peer: Peer = await nursery.start(Peer(kind, dht, seed).run)
        return peer

    return start


@pytest.fixture(params=["node-python", "python-node", "node-node"])
def sides(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Of which kind is the server, that announces, and of which the client, that looks up and dials."""
    server, client = request.param.split("-")
    return server, client


@pytest.fixture
async def ends(start: Start, sides: tuple[str, str]) -> tuple[End, End]:
    """A connection between two peers: its end at the server, and at the client."""
    return await connect(start, sides)
