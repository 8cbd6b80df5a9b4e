"""The samples as a table for the terminal and a page for the documentation."""

from __future__ import annotations

import platform
import statistics
from typing import TYPE_CHECKING

from .rows import ROWS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .rows import Row, Samples

__all__ = ["page", "table"]

HEADER = ("What", "Here", "Node", "Ratio", "Bar", "")
PAGE = """# Benchmarks

`make bench` measured this: the same programs for this library and for Node's `hyperswarm`, in processes of their own,
over loopback, in one go. The rounds of the stacks alternate, so that both have the same neighbours. A cell has the
median, and in brackets the lowest and the highest round. Ratios are those of the medians.

{machine}

![Main results as ratios to Node](benchmarks.svg)

{table}

*Memory* is what the process grew by, divided by the number of connections or nodes. *CPU* counts both processes, kernel
included. A pair *meets* when both sides have the connection.

[growth.md](growth.md) goes on to networks of 10,000 nodes.

Loss is at random, by the packet filter of a private network namespace; what travels as one piece is lost as one piece.

The figures of two runs differ by a third on a machine with neighbours; the ratios of one run are steadier. Loopback
carries runs of datagrams in one piece (UDP GSO), which a network card does only with checksum offload.
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


def _lines(samples: Samples) -> list[tuple[str, ...]]:
    lines: list[tuple[str, ...]] = []
    for row in ROWS:
        values, others = row.values(samples), row.others(samples)
        if not values:
            continue
        of_node = ratio(row, samples)
        met = row.bar.met(values, others) if row.bar is not None else None
        lines.append(
            (
                row.title,
                _cell(values, row.unit),
                _cell(others, row.unit),
                f"{of_node:.2f} ×" if of_node is not None else "",
                str(row.bar or ""),
                "" if met is None else "met" if met else "MISSED",
            )
        )
    return lines


def table(samples: Samples) -> str:
    """In columns, for the terminal."""
    lines = [HEADER, *_lines(samples)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADER))]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def page(samples: Samples) -> str:
    """In Markdown, for the documentation."""
    lines = [HEADER, ("---",) * len(HEADER), *_lines(samples)]
    marked = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return PAGE.format(table=marked, machine=_machine())


def _machine() -> str:
    return (
        f"Python {platform.python_version()}, {platform.system()} {platform.release()}, {_processor()}. "
        "Node's packages: `tests/interop/package-lock.json`."
    )


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return f"{len(names)} × {names[0]}" if names else platform.machine()
