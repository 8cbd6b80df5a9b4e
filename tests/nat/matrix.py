"""Every kind of router against every other, real processes through real NATs: tables, for `make nat-matrix`.

No test of its own (it asserts nothing and takes minutes), but run by pytest, which lends it the lab and its checks.
Environment: NAT_KINDS, a comma-separated choice of kinds; NAT_REPEAT, runs of each pair (1); NAT_DELAY, milliseconds
one way on each peer's link (15).
"""

from __future__ import annotations

import os
import statistics
from typing import TYPE_CHECKING

import pytest
import trio

from tests.nat.lab import Lab
from tests.nat.meeting import Meeting, dht, meeting
from tests.nat.routers import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable

CHOSEN = os.environ.get("NAT_KINDS", ",".join(kind for kind in KINDS if kind != "udpblocked")).split(",")
REPEAT = int(os.environ.get("NAT_REPEAT", "1"))
DELAY = float(os.environ.get("NAT_DELAY", "15")) / 1000
RANDOM = {"symmetric", "symmetric-seq", "addrdep", "cgnat-symmetric"}
TOO_SLOW = 45.0
SHORT = {"HOLEPUNCH_DOUBLE_RANDOMIZED_NATS": "random twice"}


class Cell:
    """The runs of one pair."""

    def __init__(self, server: str, client: str) -> None:
        self.server = server
        self.client = client
        self.seconds: list[float] = []
        self.failures: list[str] = []

    def add(self, met: Meeting) -> None:
        if met.connected:
            self.seconds.append(met.seconds)
        else:
            reason = met.reason.split()[0]
            self.failures.append(f"{SHORT.get(reason, reason)} {met.seconds:.1f}")

    @property
    def randoms(self) -> int:
        return (self.server in RANDOM) + (self.client in RANDOM)

    def __str__(self) -> str:
        words = [f"{statistics.median(self.seconds):.2f}"] if self.seconds else []
        return ", ".join([*words, *dict.fromkeys(self.failures)])


def table(rows: Iterable[list[str]]) -> str:
    lines = [list(row) for row in rows]
    widths = [max(len(line[n]) for line in lines) for n in range(len(lines[0]))]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join("| " + " | ".join(map(str.ljust, line, widths)) + " |" for line in lines)


def summary(title: str, cells: Iterable[Cell]) -> list[str]:
    chosen = list(cells)
    seconds = sorted(value for cell in chosen for value in cell.seconds)
    runs = len(seconds) + sum(len(cell.failures) for cell in chosen)
    if not seconds:
        return [title, f"0 of {runs}", "", "", ""]
    ninety = seconds[int(0.9 * len(seconds))]
    times = (statistics.median(seconds), ninety, seconds[-1])
    return [title, f"{len(seconds)} of {runs}", *(f"{value:.2f}" for value in times)]


async def measure(lab: Lab, bootstrap: str, cell: Cell) -> None:
    server, client = lab.place(cell.server), lab.place(cell.client)
    try:
        async with meeting(bootstrap, server.host, client.host, patience=TOO_SLOW) as met:
            cell.add(met)
    except trio.TooSlowError:
        cell.failures.append("nothing")


@pytest.mark.usefixtures("labs_allowed")
async def test_matrix(capsys: pytest.CaptureFixture[str]) -> None:
    cells: dict[tuple[str, str], Cell] = {}
    for server in CHOSEN:
        for client in CHOSEN:
            cell = cells[server, client] = Cell(server, client)
            for _ in range(REPEAT):
                # a lab for each run: its addresses and processes would add up
                with Lab(delay=DELAY) as lab:
                    async with dht(lab) as bootstrap:
                        await measure(lab, bootstrap, cell)
        with capsys.disabled():
            print(f"\n{server}: " + ", ".join(f"{client} {cells[server, client]}" for client in CHOSEN), flush=True)
    groups = [
        summary("no random NAT", (cell for cell in cells.values() if not cell.randoms)),
        summary("random server", (c for c in cells.values() if c.randoms == 1 and c.server in RANDOM)),
        summary("random client", (c for c in cells.values() if c.randoms == 1 and c.client in RANDOM)),
        summary("random on both sides", (cell for cell in cells.values() if cell.randoms == 2)),
    ]
    with capsys.disabled():
        print("\nSeconds to the first data both ways (median), or why there was none. Rows: the server's NAT.\n")
        print(table([["", *CHOSEN], *([row, *(str(cells[row, column]) for column in CHOSEN)] for row in CHOSEN)]))
        print()
        print(table([["", "connected", "median", "90 %", "slowest"], *groups]))
