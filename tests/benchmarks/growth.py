"""``python -m benchmarks.growth [NODES ...]``: how the cost of a look-up grows with the network, up to 10,000 nodes.

Run from the folder tests. The nodes are the library's own, in one process on virtual time: every packet is encoded,
sent, decoded and answered, with a delay of 25 to 75 ms each way. Each node joins as on a real network, by asking the
first one and walking to its own place; a tenth of the network joins at a time. Then look-ups of random targets from
random nodes are counted: first with everyone there, then a moment after a fifth of the nodes vanished without a word.

Prints a table and, when all sizes were measured, writes ``docs/growth.svg`` and ``docs/growth.md``.
"""

from __future__ import annotations

import math
import random
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dht.simnet import Host, SimNet, nearest

from swarm.dht.table import K

from .plot import curves

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holepunch.address import Address

SIZES = (100, 300, 1000, 3000, 10_000)
LOOKUPS = 100
DELAY = 0.05
GONE = 0.2
DOCS = Path(__file__).parents[2] / "docs"


@dataclass(frozen=True)
class Cost:
    """Medians over the look-ups of one network."""

    messages: float
    round_trips: float
    """How long it took, by the mean round trip."""
    found: float
    """The share of look-ups that found the living node nearest to the target."""
    recall: float
    """The share of the 20 nearest living nodes that were found."""


def build(size: int) -> tuple[SimNet, list[Host]]:
    net = SimNet(seed=size, delay=DELAY)
    hosts = [net.first()]
    while len(hosts) < size:
        joining = []
        for _ in range(min(max(len(hosts) // 10, 1), size - len(hosts))):
            host = net.host(bootstrap=[hosts[0].address], ephemeral=False, firewalled=False)
            host.node.start()
            joining.append(host)
        net.run_until(lambda joining=joining: all(host.node.bootstrapped for host in joining))
        hosts += joining
    return net, hosts


def measure(net: SimNet, hosts: Sequence[Host], rng: random.Random) -> Cost:
    living = [host.address for host in hosts]
    messages, times, found, recall = [], [], [], []
    for _ in range(LOOKUPS):
        target = rng.randbytes(32)
        host = rng.choice(hosts)
        started = net.schedule.now
        query = net.find_node(host, target)
        true = set(nearest_of(living, target, host.address))
        got = query.closest_nodes
        messages.append(query.successes + query.errors)
        times.append((net.schedule.now - started) / (2 * DELAY))
        found.append(got[0] in true if got else False)
        recall.append(len(true.intersection(got)) / len(true))
    return Cost(
        statistics.median(messages), statistics.median(times), statistics.fmean(found), statistics.fmean(recall)
    )


def nearest_of(living: Sequence[Address], target: bytes, asking: Address) -> list[Address]:
    return list(nearest([address for address in living if address != asking], target)[:K])


def main(sizes: Sequence[int]) -> None:
    rows: list[tuple[int, Cost, Cost]] = []
    print(f"{'nodes':>7}  {'messages':>8} {'round trips':>11} {'found':>6} {'recall':>6}   after {GONE:.0%} vanished")
    for size in sizes:
        begun = time.monotonic()
        rng = random.Random(size)
        net, hosts = build(size)
        whole = measure(net, hosts, rng)
        gone = set(rng.sample(range(1, size), int(GONE * size)))
        for number in gone:
            net.unplug(hosts[number])
            hosts[number].node.close()
        churned = measure(net, [host for number, host in enumerate(hosts) if number not in gone], rng)
        rows.append((size, whole, churned))
        print(f"{size:>7}  {line(whole)}   {line(churned)}   ({time.monotonic() - begun:.0f} s)", flush=True)
    if tuple(sizes) == SIZES:
        (DOCS / "growth.svg").write_text(drawing(rows))
        (DOCS / "growth.md").write_text(page(rows))


def line(cost: Cost) -> str:
    return f"{cost.messages:>8.0f} {cost.round_trips:>11.1f} {cost.found:>6.0%} {cost.recall:>6.1%}"


def drawing(rows: Sequence[tuple[int, Cost, Cost]]) -> str:
    places = [math.log10(size) for size, _, _ in rows]
    return curves(
        "a look-up, by the number of nodes",
        [f"{size:,}" for size, _, _ in rows],
        places,
        {
            "messages": [whole.messages for _, whole, _ in rows],
            "messages, a fifth gone": [churned.messages for _, _, churned in rows],
            "round trips": [whole.round_trips for _, whole, _ in rows],
            "round trips, a fifth gone": [churned.round_trips for _, _, churned in rows],
        },
    )


def page(rows: Sequence[tuple[int, Cost, Cost]]) -> str:
    table = [f"| {size:,} | {cells(whole)} | {cells(churned)} |" for size, whole, churned in rows]
    return PAGE.format(lookups=LOOKUPS, table="\n".join(table))


def cells(cost: Cost) -> str:
    return f"{cost.messages:.0f} | {cost.round_trips:.1f} | {cost.found:.0%} | {cost.recall:.1%}"


PAGE = """# Growth

`make growth` measured this: networks of the library's own nodes in one process, on virtual time. Every packet is
encoded, sent, decoded and answered; each way takes 25 to 75 ms. Nodes join by asking the first one. Medians of
{lookups} look-ups of random targets from random nodes: with everyone there, and a moment after a fifth of the nodes
vanished without a word.

![Messages and round trips of a look-up by network size](growth.svg)

| Nodes | Messages | Round trips | Nearest found | Of the 20 nearest | A fifth gone: messages | Round trips | Nearest found | Of the 20 nearest |
| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
{table}

*Round trips* is the time of the whole look-up, by the mean round trip: it ends when the 20 nearest have answered. The
number of nodes is drawn on a logarithmic scale: a straight line is logarithmic growth.
"""  # noqa: E501


if __name__ == "__main__":
    main([int(argument) for argument in sys.argv[1:]] or SIZES)
