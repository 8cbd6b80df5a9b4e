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

from .programs import KINDS, Program, cpu_seconds, loss, memory, peers, testnet
from .rows import LOSSES, WRITES

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
PATIENCE = 5.0
"""Seconds that a pair has to meet."""
PINGS = 3000
BURST = 200
IDLE = 500
IDLE_TIME = 10.0


def _add(samples: Samples, key: str, stack: str, value: float) -> None:
    samples.setdefault((key, stack), []).append(value)


# -- one connection --------------------------------------------------------------------------------------------------


def _connect(one: Program, other: Program) -> None:
    topic = os.urandom(32).hex()
    one.call("serve", topic=topic)
    other.call("meet", topic=topic, patience=PATIENCE, server=False)
    one.call("met")


def _transfer(sender: Program, receiver: Program, size: int, total: int) -> float:
    """Bytes per second."""
    count = total // size
    receiver.begin("receive", bytes=count * size)
    sender.begin("send", size=size, count=count)
    seconds: float = receiver.end()["seconds"]
    sender.end()
    return count * size / seconds


def connection(samples: Samples) -> None:
    with testnet("node", DHT_NODES) as (node_dht, _), testnet("python", DHT_NODES) as (python_dht, _):
        for stack, kinds in PAIRS.items():
            with peers(python_dht if kinds == PAIRS["python"] else node_dht, *kinds) as (sender, receiver):
                _connect(sender, receiver)
                _transfer(sender, receiver, 1 << 16, 32 * MB)
                before = cpu_seconds(sender) + cpu_seconds(receiver)
                rate = _transfer(sender, receiver, 1 << 16, 256 * MB)
                cpu = cpu_seconds(sender) + cpu_seconds(receiver) - before
                _add(samples, "throughput", stack, rate / MB)
                _add(samples, "cpu", stack, cpu * 1000 / 256)
                if stack not in KINDS:
                    continue
                for size, megabytes in WRITES.items():
                    _add(samples, f"writes of {size}", stack, _transfer(sender, receiver, size, megabytes * MB) / MB)
                receiver.begin("echo", bytes=100 * PINGS)
                times = sender.call("ping", size=100, count=PINGS)
                receiver.end()
                _add(samples, "round trip", stack, times["median"])
                _add(samples, "round trip p99", stack, times["p99"])


def lossy(samples: Samples) -> None:
    """The same over a loopback that loses datagrams, at random and in both directions."""
    for kind in KINDS:
        with testnet(kind, DHT_NODES) as (dht, _), peers(dht, kind, kind) as (sender, receiver):
            _connect(sender, receiver)
            for percent, megabytes in LOSSES.items():
                with loss(percent):
                    rate = _transfer(sender, receiver, 1 << 16, megabytes * MB)
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
    """One of the twenty pairs of fresh processes, for each way to meet."""
    for kind in KINDS:
        with testnet(kind, DHT_NODES) as (dht, _):
            topic = os.urandom(32).hex()
            with peers(dht, kind, kind) as pair:
                for peer in pair:
                    peer.begin("meet", topic=topic, patience=PATIENCE)
                times = [peer.end()["ms"] for peer in pair]
                met = None not in times
                samples.setdefault(("met at once", kind), [0.0])[0] += met
                if met:
                    _add(samples, "join at once", kind, max(times))
            topic = os.urandom(32).hex()
            with peers(dht, kind, kind) as (first, second):
                first.begin("meet", topic=topic, patience=PATIENCE)
                time.sleep(0.3)
                took = second.call("meet", topic=topic, patience=PATIENCE)["ms"]
                if took is not None:
                    _add(samples, "join later", kind, took)


def dials(samples: Samples) -> None:
    for kind in KINDS:
        with testnet(kind, DHT_NODES) as (dht, _), peers(dht, kind, kind) as (server, client):
            key = server.call("listen")["key"]
            client.call("dial", key=key, count=20)
            _add(samples, "dials", kind, BURST / client.call("dial", key=key, count=BURST)["seconds"])


def bursts(samples: Samples) -> None:
    for kind in KINDS:
        with testnet(kind, DHT_NODES) as (dht, _), peers(dht, kind, kind) as (server, client):
            key = server.call("listen")["key"]
            burst = client.call("dial", key=key, count=BURST, at_once=True)
            _add(samples, "burst", kind, burst["seconds"])
            _add(samples, "burst opened", kind, burst["opened"])


def idle(samples: Samples) -> None:
    for kind in KINDS:
        with testnet(kind, DHT_NODES) as (dht, _), peers(dht, kind, kind) as (server, client):
            key = server.call("listen")["key"]
            client.call("dial", key=key, count=50, keep=True)
            time.sleep(1)
            sides = {"memory accepted": server, "memory dialled": client}
            before = {name: memory(side) for name, side in sides.items()}
            client.call("dial", key=key, count=IDLE, keep=True)
            time.sleep(1)
            for name, side in sides.items():
                _add(samples, name, kind, (memory(side) - before[name]) / IDLE / 1000)
            if kind == "python":
                client.call("dial", key=key, count=1000 - IDLE - 50, keep=True)
                time.sleep(2)
                used = cpu_seconds(client)
                time.sleep(IDLE_TIME)
                _add(samples, "idle cpu", kind, (cpu_seconds(client) - used) / IDLE_TIME * 100)


# -- the DHT ---------------------------------------------------------------------------------------------------------


def dht(samples: Samples) -> None:
    for nodes in (20, 100, 500):
        for kind in KINDS:
            with testnet(kind, nodes) as (bootstrap, program):
                if nodes == 100:
                    with testnet(kind, 20) as (_, small):
                        _add(samples, "node memory", kind, (memory(program) - memory(small)) / 80 / 1000)
                with peers(bootstrap, kind) as (peer,):
                    for what in ("lookup", "announce"):
                        found = peer.call("search", count=20, announce=what == "announce")
                        _add(samples, f"{what} in {nodes}", kind, found["messages"])
                        _add(samples, f"{what} time in {nodes}", kind, found["ms"])


# -- starting --------------------------------------------------------------------------------------------------------


def starts(samples: Samples) -> None:
    """CPU time, which on an idle machine is the time it takes: one value from seven runs of each."""
    version = "import sys; sys.argv = ['swarm', '--version']; from swarm.cli import main; main()"
    with tempfile.TemporaryDirectory() as cache:  # everything compiled, as it is once a package was installed
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": cache}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)

        def start(code: str) -> float:
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL, env=environment)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000

        for key, longer, shorter in (
            ("import", "import trio; from swarm import Swarm", "import trio"),
            ("version", version, "import trio, click"),
        ):
            start(longer)
            start(shorter)
            pairs = [(start(longer), start(shorter)) for _ in range(7)]
            _add(samples, key, "python", statistics.median(long - short for long, short in pairs))


@dataclass(frozen=True)
class Measure:
    run: Callable[[Samples], None]
    rounds: int


MEASURES = {
    "connection": Measure(connection, 4),
    "lossy": Measure(lossy, 3),
    "ceiling": Measure(ceiling, 3),
    "joins": Measure(joins, 20),
    "dials": Measure(dials, 5),
    "bursts": Measure(bursts, 2),
    "idle": Measure(idle, 2),
    "dht": Measure(dht, 1),
    "starts": Measure(starts, 3),
}
