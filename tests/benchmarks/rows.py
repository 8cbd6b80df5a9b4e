"""What is measured, in the order of the table, and the bar of each: what the project promises itself."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["LOSSES", "ROWS", "WRITES", "Bar", "Row", "Samples"]

Samples = dict[tuple[str, str], list[float]]
"""By measurement and stack: every value, in the order of the rounds."""

WRITES = {128: 16, 1024: 48, 4096: 96, 16384: 128}
"""Sizes of small writes, and how many MB are sent in writes of that size."""


LOSSES = {1: 32, 5: 8}
"""Per cent of the datagrams that are lost, and how many MB are sent then."""


@dataclass(frozen=True)
class Bar:
    limit: float
    at_least: bool
    ratio: bool = True
    """Of the medians, to the other stack. False: the value itself, and the worst one counts."""

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.limit:g}{' ×' if self.ratio else ''}"

    def met(self, values: Sequence[float], others: Sequence[float]) -> bool | None:
        """None: it cannot be said."""
        if not values or (self.ratio and not others):
            return None
        if self.ratio:
            value = statistics.median(values) / statistics.median(others)
        else:
            value = min(values) if self.at_least else max(values)
        return value >= self.limit if self.at_least else value <= self.limit


@dataclass(frozen=True)
class Row:
    key: str
    """Of the measurement, in `Samples`."""
    title: str
    unit: str
    bar: Bar | None
    stack: str = "python"
    against: str | None = "node"

    def values(self, samples: Mapping[tuple[str, str], list[float]]) -> list[float]:
        return samples.get((self.key, self.stack), [])

    def others(self, samples: Mapping[tuple[str, str], list[float]]) -> list[float]:
        return samples.get((self.key, self.against), []) if self.against is not None else []


def at_least(limit: float) -> Bar:
    return Bar(limit, at_least=True)


def at_most(limit: float) -> Bar:
    return Bar(limit, at_least=False)


def below(limit: float) -> Bar:
    return Bar(limit, at_least=False, ratio=False)


def all_of(count: int) -> Bar:
    return Bar(count, at_least=True, ratio=False)


ROWS = (
    Row("throughput", "64 KB writes, Python to Python", "MB/s", at_least(3.0)),
    Row("cpu", "the same: CPU seconds per GB, both processes", "s", at_most(0.35)),
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
    Row("tcp", "for comparison: TCP, not encrypted", "MB/s", None, against=None),
    Row("round trip", "round trip of 100 bytes, median", "µs", at_most(2.0)),
    Row("round trip p99", "round trip of 100 bytes, 99th percentile", "µs", at_most(1.0)),
    Row("met at once", "both join at the same instant: pairs of 20 that meet within 5 s", "", all_of(20)),
    Row("join at once", "the same: time to the connection", "ms", at_most(1.0)),
    Row("join at once", "the same: the slowest pair", "ms", below(1000), against=None),
    Row("join later", "the second joins 300 ms later: time to the connection", "ms", at_most(1.5)),
    Row("dials", "one dial after another", "/s", at_least(1.0)),
    Row("burst", "200 dials at once to one peer", "s", below(1.0)),
    Row("burst opened", "the same: how many open", "", all_of(200)),
    Row("memory accepted", "memory of one idle connection, accepting side", "KB", at_most(0.5)),
    Row("memory dialled", "memory of one idle connection, dialling side", "KB", at_most(0.5)),
    Row("idle cpu", "1,000 idle connections, one process with them all: CPU", "% of a core", below(3), against=None),
    *(
        Row(f"{what} in {nodes}", f"messages for {name} among {nodes} nodes", "", at_most(1.0))
        for what, name in (("lookup", "one look-up"), ("announce", "one announcement"))
        for nodes in (20, 100, 500)
    ),
    *(
        Row(f"{what} time in {nodes}", f"time of {name} among {nodes} nodes", "ms", None)
        for what, name in (("lookup", "one look-up"), ("announce", "one announcement"))
        for nodes in (20, 100, 500)
    ),
    Row("node memory", "memory of one DHT node among 100 in one process", "KB", at_most(0.7)),
    Row("import", "`from swarm import Swarm` beyond `import trio`, CPU", "ms", below(60), against=None),
    Row("version", "`swarm --version` beyond `import trio, click`, CPU", "ms", below(60), against=None),
)
