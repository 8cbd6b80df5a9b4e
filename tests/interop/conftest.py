"""A DHT of each kind, processes to be peers in, and pairs of peers connected through a DHT."""

from __future__ import annotations

import contextlib
import json
import subprocess
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from tests.interop.ends import End, connect
from tests.interop.peers import DHT_COMMANDS, HERE, Host, Peer
from tests.tools import need

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import trio


EACH = 3
"""Processes of each kind that are kept for peers."""


class Start(Protocol):
    """Starts one more peer of a kind: "node" or "python". One that is to end its process needs one of its own.

    ``options``: of the peer's command ``be``.
    """

    async def __call__(
        self, kind: str, seed: bytes | None = None, *, own_process: bool = False, **options: Any
    ) -> Peer: ...


@pytest.fixture(scope="session", autouse=True)
def node_packages() -> None:
    """The real Hyperswarm, which every test here needs."""
    need("node")
    if not (HERE / "node_modules").is_dir():
        need("npm")
        subprocess.run(["npm", "ci", "--ignore-scripts"], cwd=HERE, check=True, stdout=subprocess.DEVNULL)


@pytest.fixture(scope="session")
def hosts(node_packages: None) -> Iterator[list[Host]]:
    """Processes that are nobody at the moment."""
    started = [Host(kind) for kind in ("python", "node") for _ in range(EACH)]
    try:
        yield started.copy()
    finally:
        for host in started:
            host.close()


@contextlib.contextmanager
def dht_of(kind: str) -> Iterator[str]:
    with subprocess.Popen(DHT_COMMANDS[kind], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())["bootstrap"][0]
        finally:
            process.stdin.close()
            process.wait(10)


@pytest.fixture(scope="session")
def dhts(node_packages: None) -> Iterator[dict[str, str]]:
    """``host:port`` of a DHT of each kind, made of nodes of that kind only."""
    with dht_of("node") as node, dht_of("python") as python:
        yield {"node": node, "python": python}


@pytest.fixture(params=["node", "python"], ids=lambda kind: f"dht-of-{kind}")
def dht(request: pytest.FixtureRequest, dhts: dict[str, str]) -> str:
    """``host:port`` of a DHT made of one kind of node only."""
    return dhts[request.param]


@pytest.fixture
def start_on(nursery: trio.Nursery, hosts: list[Host]) -> Callable[[str], Start]:
    """How to start peers on a given DHT; they are gone at the end of the test."""

    async def run(peer: Peer, host: Host, task_status: trio.TaskStatus[Peer]) -> None:
        try:
            await peer.run(task_status)
        finally:
            if host.alive:
                hosts.append(host)

    async def start(
        dht: str, kind: str, seed: bytes | None = None, *, own_process: bool = False, **options: Any
    ) -> Peer:
        host = None if own_process else next((host for host in hosts if host.kind == kind), None)
        peer = Peer(kind, dht, seed, host, **options)
        if host is None:
            await nursery.start(peer.run)
        else:
            hosts.remove(host)
            await nursery.start(run, peer, host)
        return peer

    return lambda dht: partial(start, dht)


@pytest.fixture
def start(start_on: Callable[[str], Start], dht: str) -> Start:
    """Start one more peer of a kind on this DHT."""
    return start_on(dht)


@pytest.fixture(params=["node-python", "python-node", "node-node"])
def sides(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Of which kind is the server, that announces, and of which the client, that looks up and dials."""
    server, client = request.param.split("-")
    return server, client


@pytest.fixture
async def ends(start: Start, sides: tuple[str, str]) -> tuple[End, End]:
    """A connection between two peers: its end at the server, and at the client."""
    return await connect(start, sides)
