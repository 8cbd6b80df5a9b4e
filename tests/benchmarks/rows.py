"""What is measured, in the order of the table, and the goal that the project set itself for each."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["BESIDE", "LOSSES", "OTHERS", "PAIRS_A_ROUND", "ROWS", "WRITES", "Goal", "Row", "Samples"]

Samples = dict[tuple[str, str], list[float]]
"""By measurement and stack: every value, in the order of the rounds."""

WRITES = {128: 16, 1024: 48, 4096: 96, 16384: 128}
"""Sizes of small writes, and how many MB are sent in writes of that size."""

OTHERS = ("iroh", "libp2p TCP", "libp2p QUIC")
"""Stacks beside Node's, from PyPI."""

PAIRS_A_ROUND = 5
"""Of fresh processes that join at the same instant: 20 in all."""

LOSSES = {1: 32, 5: 8}
"""Per cent of the datagrams that are lost, and how many MB are sent then."""


@dataclass(frozen=True)
class Goal:
    limit: float
    at_least: bool
    ratio: bool = True
    """Of the medians, to the other stack. False: the value itself."""
    worst: bool = True
    """The worst value counts, where no ratio does. False: the median."""

    def text(self, unit: str) -> str:
        """``unit``: of the values."""
        return f"{'≥' if self.at_least else '≤'} {self.limit:g} {'×' if self.ratio else unit}".rstrip()

    def met(self, values: Sequence[float], others: Sequence[float]) -> bool | None:
        """None: it cannot be said."""
        if not values or (self.ratio and not others):
            return None
        if self.ratio:
            value = statistics.median(values) / statistics.median(others)
        elif self.worst:
            value = min(values) if self.at_least else max(values)
        else:
            value = statistics.median(values)
        return value >= self.limit if self.at_least else value <= self.limit


@dataclass(frozen=True)
class Row:
    key: str
    """Of the measurement, in `Samples`."""
    title: str
    unit: str
    goal: Goal | None
    stack: str = "python"
    against: str | None = "node"
    """The stack to compare with."""

    def values(self, samples: Mapping[tuple[str, str], list[float]]) -> list[float]:
        return samples.get((self.key, self.stack), [])

    def others(self, samples: Mapping[tuple[str, str], list[float]]) -> list[float]:
        return samples.get((self.key, self.against), []) if self.against is not None else []


def at_least(limit: float) -> Goal:
    return Goal(limit, at_least=True)


def at_most(limit: float) -> Goal:
    return Goal(limit, at_least=False)


def below(limit: float) -> Goal:
    return Goal(limit, at_least=False, ratio=False)


def no_less(limit: float) -> Goal:
    return Goal(limit, at_least=True, ratio=False)


def usually(limit: float) -> Goal:
    return Goal(limit, at_least=True, ratio=False, worst=False)


def mostly(limit: float) -> Goal:
    return Goal(limit, at_least=False, ratio=False, worst=False)


LONG = "link of 100 Mbit/s and 100 ms"
SHARED = "two connections over one link of 20 Mbit/s and 50 ms"
SIDES = {"accepted": "accepting side", "dialled": "dialling side"}
SEARCHES = {"lookup": "one look-up", "announce": "one announcement"}
SIZES = (20, 100, 500)

ROWS = (
    Row("throughput", "64 KB writes, Python to Python", "MB/s", at_least(3.0)),
    Row("cpu", "CPU per GB in 64 KB writes, both processes", "s", at_most(0.35)),
    Row("throughput", "64 KB writes, Python to Node", "MB/s", at_least(1.0), "python-node"),
    Row("throughput", "64 KB writes, Node to Python", "MB/s", at_least(1.3), "node-python"),
    *(
        Row(f"writes of {size}", f"writes of {size} bytes", "MB/s", at_least(limit))
        for size, limit in zip(WRITES, (1.0, 1.5, 2.5, 3.0), strict=True)
    ),
    *(
        Row(f"{percent} % lost", f"64 KB writes, {percent} % lost each way", "MB/s", at_least(1.0))
        for percent in LOSSES
    ),
    Row("tcp", "for comparison: plain TCP, not encrypted", "MB/s", None, against=None),
    Row("long link share", f"{LONG}: payload, of its capacity", "%", usually(90)),
    Row("long link, 0 % lost", LONG, "MB/s", at_least(1.0)),
    Row("long link, 1 % lost", f"{LONG}, 1 % lost each way", "MB/s", at_least(1.0)),
    Row("long link, 5 % lost", f"{LONG}, 5 % lost each way", "MB/s", at_least(1.0)),
    Row("smaller share", f"{SHARED}: share of the slower", "%", no_less(35)),
    Row("shared link", f"{SHARED}: together", "MB/s", None),
    Row("round trip", "round trip of 100 bytes, median", "µs", at_most(2.0)),
    Row("round trip p99", "round trip of 100 bytes, 99th percentile", "µs", at_most(1.0)),
    Row("met at once", "two join at the same instant: how often they meet within 3 s", "%", no_less(100)),
    Row("join at once", "two join at the same instant: time to the connection", "ms", at_most(1.0)),
    Row("join at once", "two join at the same instant: the slowest pair", "ms", below(1000), against=None),
    Row("join later", "the second joins 300 ms later: time to the connection", "ms", at_most(1.5)),
    Row("dials", "one dial after another", "/s", at_least(1.0)),
    Row("burst", "200 dials at once to one peer", "s", below(1.0)),
    Row("burst opened", "200 dials at once to one peer: how many open", "", no_less(200)),
    *(
        Row(f"memory {side}", f"memory of one idle connection, {name}", "KB", at_most(0.5))
        for side, name in SIDES.items()
    ),
    *(
        Row(f"idle cpu {side}", f"CPU of 1,000 idle connections in one process, {name}", "% of a core", below(3))
        for side, name in SIDES.items()
    ),
    *(
        Row(f"{what} in {nodes}", f"messages for {name} among {nodes} nodes", "", at_most(1.0))
        for what, name in SEARCHES.items()
        for nodes in SIZES
    ),
    *(
        Row(f"{what} time in {nodes}", f"time of {name} among {nodes} nodes", "ms", None)
        for what, name in SEARCHES.items()
        for nodes in SIZES
    ),
    Row("node memory", "memory of one DHT node among 100 in one process", "KB", at_most(0.7)),
    Row("import", "`from swarm import Swarm` beyond `import trio`, CPU", "ms", mostly(60), against=None),
    Row("version", "`swarm --version` beyond what it imports of trio, click, CPU", "ms", mostly(60), against=None),
)

BESIDE = tuple(
    Row(f"{key} beside", f"{other}: {title}", unit, None, against=other)
    for key, title, unit in (
        ("throughput", "64 KB writes", "MB/s"),
        ("round trip", "round trip of 100 bytes", "µs"),
        ("dials", "one dial after another", "/s"),
    )
    for other in OTHERS
)
"""Other libraries: no goals, only for comparison."""
