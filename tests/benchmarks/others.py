"""Beside what else there is for Python: libraries from PyPI, in an environment of their own, where they install."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .programs import Failure, Program, dht_nodes, meet, peers, running, transfer
from .rows import OTHERS

if TYPE_CHECKING:
    from .rows import Samples

__all__ = ["beside"]

PYTHON = Path(__file__).parents[2] / ".venv-bench" / "bin" / "python"
"""Of the environment that `make bench` installs them into."""
DHT_NODES = 10
MB = 1_000_000
PINGS = 500


@dataclass(frozen=True)
class Other:
    package: str
    """What is imported."""
    command: tuple[str, ...]
    """Its peer program, see `benchmarks.peer_iroh`."""
    megabytes: int
    """To send: some seconds' worth."""
    dials: int


OURS = Other("swarm", (), megabytes=128, dials=100)
IROH = Other("iroh", ("benchmarks.peer_iroh",), megabytes=12, dials=100)
LIBP2P_TCP = Other("libp2p", ("benchmarks.peer_libp2p", "tcp"), megabytes=64, dials=8)
LIBP2P_QUIC = Other("libp2p", ("benchmarks.peer_libp2p", "quic"), megabytes=4, dials=8)


@cache
def _installed(package: str) -> bool:
    found = f"import sys, importlib.util; sys.exit(importlib.util.find_spec({package!r}) is None)"
    return PYTHON.exists() and subprocess.run([PYTHON, "-c", found], check=False).returncode == 0


def beside(samples: Samples) -> None:
    """The same for each stack. One that is not installed, or that fails, is none of our failures."""
    with dht_nodes("python", DHT_NODES) as (dht, _), peers(dht, "python", "python") as (server, client):
        meet(server, client)
        _measure(samples, "python", OURS, server, client, key=server.call("listen")["key"])
    for name, other in zip(OTHERS, (IROH, LIBP2P_TCP, LIBP2P_QUIC), strict=True):
        if not _installed(other.package):
            samples[("not installed", name)] = [1]
            continue
        command = [str(PYTHON), "-m", *other.command]
        try:
            with running(command, command) as (server, client):
                address = server.ready["result"]["address"]
                client.call("open", address=address)
                server.call("met")
                _measure(samples, name, other, server, client, address=address)
        except Failure as failure:
            print(f"\n{name}: {failure}", file=sys.stderr)


def _measure(samples: Samples, name: str, stack: Other, server: Program, client: Program, **whom: Any) -> None:
    """``whom``: how the client's command `dial` is told."""

    def add(key: str, value: float) -> None:
        samples.setdefault((key, name), []).append(value)

    transfer(client, server, 1 << 16, stack.megabytes * MB // 8)
    add("throughput beside", transfer(client, server, 1 << 16, stack.megabytes * MB) / MB)
    server.begin("echo", bytes=100 * PINGS)
    add("round trip beside", client.call("ping", size=100, count=PINGS)["median"])
    server.end()
    client.call("dial", count=2, **whom)
    add("dials beside", stack.dials / client.call("dial", count=stack.dials, **whom)["seconds"])
