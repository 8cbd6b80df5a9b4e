"""Real coturn: the answers of a server that people run."""

from __future__ import annotations

import socket
import subprocess
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio

from holepunch.core import CLIENT
from swarm import DHT
from tests.tools import need

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

HOSTS = ("127.0.0.1", "127.0.0.2", "127.0.0.3")


@asynccontextmanager
async def coturn(directory: Path, *options: str) -> AsyncIterator[tuple[str, ...]]:
    """A server at three addresses; what to give as ``stun_servers``."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind((HOSTS[0], 0))
        port = free.getsockname()[1]
    listen = [argument for host in HOSTS for argument in ("--listening-ip", host)]
    command = [need("turnserver"), "-n", "--stun-only", "--no-tls", "--no-dtls", "--no-cli", "--relay-threads", "1"]
    files = ["--pidfile", str(directory / "pid"), "--db", str(directory / "db"), "--log-file", "stdout"]
    process = await trio.lowlevel.open_process(
        [*command, *files, *listen, "--listening-port", str(port), *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=directory,
    )
    try:
        yield tuple(f"{host}:{port}" for host in HOSTS)
    finally:
        with trio.CancelScope(shield=True):
            process.kill()
            await process.wait()


@pytest.mark.parametrize("options", [(), ("--fingerprint",), ("--no-software-attribute",)])
async def test_three_servers_of_coturn_make_a_verdict(tmp_path: Path, options: tuple[str, ...]) -> None:
    async with coturn(tmp_path, *options) as servers, DHT(bootstrap=(), stun_servers=servers) as dht:
        with trio.fail_after(20):
            for server in servers:
                while await dht.ask_stun(server) is None:
                    pass  # it is starting; each try takes two seconds
        nat = dht.nat
        assert nat.kind == "consistent"
        assert nat.public_addresses == (("127.0.0.1", dht._endpoint.sockets.local_address(CLIENT).port),)
        assert {witness.name for witness in nat.witnesses} == set(servers)
        assert nat.firewalled


async def test_coturn_without_its_old_protocol_is_no_witness(tmp_path: Path) -> None:
    async with coturn(tmp_path, "--no-stun-backward-compatibility") as servers, DHT(bootstrap=()) as dht:
        assert await dht.ask_stun(servers[0]) is None
