"""The measurements. Each runs one round of one comparison, the stacks one after the other, and adds to the samples."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .links import long_link, shared_link
from .network import loss
from .others import beside
from .programs import KINDS, Failure, cpu_seconds, dht_nodes, meet, memory, peers, transfer
from .rows import LOSSES, PAIRS_A_ROUND, WRITES

if TYPE_CHECKING:
    from collections.abc import Callable

    from .rows import Samples

__all__ = ["MEASURES", "Measure"]

MB = 1_000_000
PAIRS = {  # sender, receiver; mixed pairs meet on a DHT of Node's nodes
    "node": ("node", "node"),
    "python": ("python", "python"),
    "python-node": ("python", "node"),
    "node-python": ("node", "python"),
}
DHT_NODES = 10
PATIENCE = 3.0
"""Seconds that a pair has to meet that joins at the same instant."""
LATE_PAIRS = 3
"""In a round: of these the second joins later."""
PINGS = 3000
BURST = 200
IDLE = 500
IDLE_TIME = 10.0
SETTLING = 12.0
"""Seconds after which either stack has forgotten the handshakes of the connections that are idle since."""


def _add(samples: Samples, key: str, stack: str, value: float) -> None:
    samples.setdefault((key, stack), []).append(value)


# -- one connection --------------------------------------------------------------------------------------------------


def connection(samples: Samples) -> None:
    with dht_nodes("node", DHT_NODES) as (node_dht, _), dht_nodes("python", DHT_NODES) as (python_dht, _):
        for stack, kinds in PAIRS.items():
            with peers(python_dht if kinds == PAIRS["python"] else node_dht, *kinds) as (sender, receiver):
                meet(sender, receiver)
                transfer(sender, receiver, 1 << 16, 32 * MB)
                before = cpu_seconds(sender) + cpu_seconds(receiver)
                rate = transfer(sender, receiver, 1 << 16, 256 * MB)
                cpu = cpu_seconds(sender) + cpu_seconds(receiver) - before
                _add(samples, "throughput", stack, rate / MB)
                _add(samples, "cpu", stack, cpu * 1000 / 256)
                if stack not in KINDS:
                    continue
                for size, megabytes in WRITES.items():
                    _add(samples, f"writes of {size}", stack, transfer(sender, receiver, size, megabytes * MB) / MB)
                receiver.begin("echo", bytes=100 * PINGS)
                times = sender.call("ping", size=100, count=PINGS)
                receiver.end()
                _add(samples, "round trip", stack, times["median"])
                _add(samples, "round trip p99", stack, times["p99"])


def lossy(samples: Samples) -> None:
    """The same over a loopback that loses datagrams, at random and in both directions."""
    for kind in KINDS:
        with dht_nodes(kind, DHT_NODES) as (dht, _), peers(dht, kind, kind) as (sender, receiver):
            meet(sender, receiver)
            for percent, megabytes in LOSSES.items():
                with loss(percent):
                    rate = transfer(sender, receiver, 1 << 16, megabytes * MB)
                _add(samples, f"{percent} % lost", kind, rate / MB)


TCP = """
import socket, sys, time
if len(sys.argv) == 1:
    server = socket.create_server(("127.0.0.1", 0))
    print(server.getsockname()[1], flush=True)
    connection, _ = server.accept()
    started, received = time.perf_counter(), 0
    while data := connection.recv(1 << 18):
        received += len(data)
    print(received / (time.perf_counter() - started))
else:
    connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    for _ in range(16_000):
        connection.sendall(bytes(1 << 16))
"""


def ceiling(samples: Samples) -> None:
    """What the kernel carries between two processes with no encryption and no code of anybody's."""
    command = [sys.executable, "-c", TCP]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as receiver:
        assert receiver.stdout is not None
        subprocess.run([*command, receiver.stdout.readline().strip()], check=True)
        _add(samples, "tcp", "python", float(receiver.stdout.readline()) / MB)


# -- meeting ---------------------------------------------------------------------------------------------------------


def joins(samples: Samples) -> None:
    """Some pairs of fresh processes, for each way to meet."""
    for kind in KINDS:
        with dht_nodes(kind, DHT_NODES) as (dht, _):
            for _ in range(PAIRS_A_ROUND):
                topic = os.urandom(32).hex()
                with peers(dht, kind, kind) as pair:
                    for peer in pair:
                        peer.begin("meet", topic=topic, patience=PATIENCE)
                    times = [peer.end()["ms"] for peer in pair]
                met = None not in times
                _add(samples, "pairs", kind, met * 100)
                if met:
                    _add(samples, "join at once", kind, max(times))
            for _ in range(LATE_PAIRS):
                topic = os.urandom(32).hex()
                with peers(dht, kind, kind) as (first, second):
                    first.begin("meet", topic=topic, patience=PATIENCE)
                    time.sleep(0.3)
                    took = second.call("meet", topic=topic, patience=PATIENCE)["ms"]
                if took is not None:
                    _add(samples, "join later", kind, took)
        samples["met at once", kind] = [statistics.fmean(samples["pairs", kind])]


def dials(samples: Samples) -> None:
    for kind in KINDS:
        with dht_nodes(kind, DHT_NODES) as (dht, _), peers(dht, kind, kind) as (server, client):
            key = server.call("listen")["key"]
            client.call("dial", key=key, count=20)
            _add(samples, "dials", kind, BURST / client.call("dial", key=key, count=BURST)["seconds"])


def bursts(samples: Samples) -> None:
    for kind in KINDS:
        with dht_nodes(kind, DHT_NODES) as (dht, _), peers(dht, kind, kind) as (server, client):
            key = server.call("listen")["key"]
            burst = client.call("dial", key=key, count=BURST, at_once=True)
            _add(samples, "burst", kind, burst["seconds"])
            _add(samples, "burst opened", kind, burst["opened"])


def idle(samples: Samples) -> None:
    """One process holds connections to another one: what each of the two needs for it."""
    for kind in KINDS:
        with dht_nodes(kind, DHT_NODES) as (dht, _), peers(dht, kind, kind) as (server, client):
            key = server.call("listen")["key"]
            kept = client.call("dial", key=key, count=50, keep=True)["opened"]
            time.sleep(1)
            roles = {"accepted": server, "dialled": client}
            before = {name: memory(side) for name, side in roles.items()}
            kept += client.call("dial", key=key, count=IDLE, keep=True)["opened"]
            time.sleep(1)
            for name, side in roles.items():
                _add(samples, f"memory {name}", kind, (memory(side) - before[name]) / IDLE / 1000)
            kept += client.call("dial", key=key, count=1000 - IDLE - 50, keep=True)["opened"]
            if kept < 1000:
                raise Failure(f"of 1,000 connections of {kind} {kept} stay open")
            time.sleep(SETTLING)
            used = {name: cpu_seconds(side) for name, side in roles.items()}
            time.sleep(IDLE_TIME)
            for name, side in roles.items():
                _add(samples, f"idle cpu {name}", kind, (cpu_seconds(side) - used[name]) / IDLE_TIME * 100)


# -- the DHT ---------------------------------------------------------------------------------------------------------


def dht(samples: Samples) -> None:
    for nodes in (20, 100, 500):
        for kind in KINDS:
            with dht_nodes(kind, nodes) as (bootstrap, program):
                if nodes == 100:
                    with dht_nodes(kind, 20) as (_, small):
                        _add(samples, "node memory", kind, (memory(program) - memory(small)) / 80 / 1000)
                with peers(bootstrap, kind) as (peer,):
                    for what in ("lookup", "announce"):
                        found = peer.call("search", count=20, announce=what == "announce")
                        _add(samples, f"{what} in {nodes}", kind, found["messages"])
                        _add(samples, f"{what} time in {nodes}", kind, found["ms"])


# -- starting --------------------------------------------------------------------------------------------------------


VERSION = "import sys; sys.argv = ['swarm', '--version']; from swarm.cli import main; main()"
LOADED = """
import atexit, sys
atexit.register(lambda: print(*(name for name in ("trio", "click") if name in sys.modules), sep=", ", file=sys.stderr))
"""


def starts(samples: Samples) -> None:
    """CPU time, which on an idle machine is the time it takes: one value from five runs of each."""
    with tempfile.TemporaryDirectory() as cache:  # everything compiled, as it is once a package was installed
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": cache}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)

        def start(code: str) -> tuple[float, str]:
            """Milliseconds, and what it printed as an error."""
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            done = subprocess.run(
                [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment
            )
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000, done.stderr.strip()

        # a dependency that the command does not import is no excuse for what it does
        needed = start(LOADED + VERSION)[1]
        for key, longer, shorter in (
            ("import", "import trio; from swarm import Swarm", "import trio"),
            ("version", VERSION, f"import {needed}" if needed else "pass"),
        ):
            start(longer)
            start(shorter)
            pairs = [(start(longer)[0], start(shorter)[0]) for _ in range(5)]
            _add(samples, key, "python", statistics.median(long - short for long, short in pairs))


@dataclass(frozen=True)
class Measure:
    run: Callable[[Samples], None]
    rounds: int


MEASURES = {
    "connection": Measure(connection, 3),
    "joins": Measure(joins, 4),
    "lossy": Measure(lossy, 3),
    "long-link": Measure(long_link, 2),
    "shared-link": Measure(shared_link, 2),
    "ceiling": Measure(ceiling, 3),
    "dials": Measure(dials, 4),
    "bursts": Measure(bursts, 2),
    "idle": Measure(idle, 2),
    "dht": Measure(dht, 1),
    "starts": Measure(starts, 3),
    "beside": Measure(beside, 2),
}
"""Their first rounds are run first, then their second ones, and so on: what the machine does meanwhile hits all."""
