"""The samples as a table for the terminal and a page for the documentation."""

from __future__ import annotations

import platform
import statistics
from typing import TYPE_CHECKING

from .links import SHARING, WARM, WINDOW
from .rows import BESIDE, PAIRS_A_ROUND, ROWS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .rows import Row, Samples

__all__ = ["page", "table"]

HEADER = ("What", "Here", "Node", "Ratio", "Goal", "")
BESIDE_HEADER = ("What", "Here", "Theirs", "Ratio")
PAGE = """# Benchmarks

`make bench` measured this: the same programs for this library and for Node's `hyperswarm`, in processes of their own,
over loopback, in one go. The rounds of the stacks alternate, so that both have the same neighbours. A cell has the
median, and in brackets the lowest and the highest round. Ratios are those of the medians. The goals are those that this
project set itself; the last column says whether this run met them.

{machine}

Rounds: {rounds}. In a round of joins {pairs} pairs join at the same instant.

![Main results as ratios to Node](benchmarks.svg)

{table}

*Memory* is what the process grew by, divided by the number of connections or nodes. *CPU* includes the kernel's. The
idle connections are all between the same two processes, and the CPU of each is counted for ten seconds. Two *meet* when
both have the connection.

[growth.md](growth.md) goes on to networks of 10,000 nodes.

Loss on loopback is at random, by the packet filter of a private network namespace; what travels as one piece is lost as
one piece.

The links are two tunnel devices between two network namespaces, and a process between them that sends each packet on at
its time. The time of a link is that of a round trip. Its queue holds what it sends in that time; packets that find it
full are lost. A packet has up to 1500 bytes, 97 % of which is payload. Counted are {window:g} s, or {sharing:g} s
where two connections share the link, after {warm:g} s in which the senders find out how fast it is.

The figures of two runs differ by a third on a machine with neighbours; the ratios of one run are steadier. Loopback
carries runs of datagrams in one piece (UDP GSO), which a network card does only with checksum offload.

## Beside other libraries

The same for peer-to-peer libraries from PyPI, with their defaults: one encrypted connection over loopback, two
processes. They are told each other's addresses and dial them; here a dial begins with a key, and finds the address in
a DHT of ten nodes.

{beside}
"""


def number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _cell(values: Sequence[float], unit: str) -> str:
    if not values:
        return "–"
    middle = f"{number(statistics.median(values))} {unit}".rstrip()
    return middle if len(values) == 1 else f"{middle} ({number(min(values))}–{number(max(values))})"


def ratio(row: Row, samples: Samples) -> float | None:
    values, others = row.values(samples), row.others(samples)
    if not values or not others or not statistics.median(others):
        return None
    return statistics.median(values) / statistics.median(others)


def _ratio_text(row: Row, samples: Samples) -> str:
    value = ratio(row, samples)
    return f"{value:.2f} ×" if value is not None else ""


def _lines(samples: Samples) -> list[tuple[str, ...]]:
    """The table, beside Node."""
    lines: list[tuple[str, ...]] = [HEADER]
    for row in ROWS:
        values, others = row.values(samples), row.others(samples)
        if not values:
            continue
        met = row.goal.met(values, others) if row.goal is not None else None
        lines.append(
            (
                row.title,
                _cell(values, row.unit),
                _cell(others, row.unit),
                _ratio_text(row, samples),
                row.goal.text(row.unit) if row.goal is not None else "",
                "" if met is None else "met" if met else "missed",
            )
        )
    return lines


def _beside(samples: Samples) -> list[tuple[str, ...]]:
    """The table beside other libraries."""
    lines: list[tuple[str, ...]] = [BESIDE_HEADER]
    for row in BESIDE:
        values, others = row.values(samples), row.others(samples)
        if not values:
            continue
        absent = "not installed" if ("not installed", row.against) in samples else "failed"
        theirs = _cell(others, row.unit) if others else absent
        lines.append((row.title, _cell(values, row.unit), theirs, _ratio_text(row, samples)))
    return lines


def table(samples: Samples) -> str:
    """In columns, for the terminal."""
    return "\n\n".join(_columns(lines) for lines in (_lines(samples), _beside(samples)) if len(lines) > 1)


def _columns(lines: Sequence[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def page(samples: Samples, rounds: Mapping[str, int]) -> str:
    """In Markdown, for the documentation. ``rounds``: how many of each measure were run."""
    return PAGE.format(
        table=_marked(_lines(samples)),
        beside=_marked(_beside(samples)),
        machine=_machine(),
        pairs=PAIRS_A_ROUND,
        window=WINDOW,
        sharing=SHARING,
        warm=WARM,
        rounds=", ".join(f"{name} {count}" for name, count in rounds.items()),
    )


def _marked(lines: Sequence[tuple[str, ...]]) -> str:
    header, *rest = lines
    return "\n".join(f"| {' | '.join(line)} |" for line in [header, ("---",) * len(header), *rest])


def _machine() -> str:
    kernel = ".".join(platform.release().split(".")[:2])
    return (
        f"Python {platform.python_version()}, {platform.system()} {kernel}, {_processor()}. "
        "Node's packages: `tests/interop/package-lock.json`."
    )


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return f"{len(names)} × {names[0]}" if names else platform.machine()
