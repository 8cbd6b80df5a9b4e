"""``python -m benchmarks.growth [NODES ...]``: how the cost of a look-up grows with the network, up to 10,000 nodes.

Run from the folder tests. The nodes are the library's own, in one process on virtual time: every packet is encoded,
sent, decoded and answered, with a delay of 25 to 75 ms each way. Each node joins as on a real network, by asking the
first one and walking to its own place; a tenth of the network joins at a time. Then look-ups of random targets from
random nodes are counted: first with everyone there; then a moment after a fifth of the nodes vanished without a word;
then while nodes come and go all the time, each for ten minutes on average.

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

from kademlia.simnet import SimNet, nearest

from swarm.kademlia.table import K

from .plot import Axis, curves

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from kademlia.simnet import Host

    from holepunch.address import Address
    from swarm.kademlia.rpc import Reply

SIZES = (100, 300, 1000, 3000, 10_000)
LOOKUPS = 100
DELAY = 0.05
GONE = 0.2
STAY = 600.0
"""Seconds that a node is there on average, where nodes come and go."""
DOCS = Path(__file__).parents[2] / "docs"
PHASES = ("all there", "a fifth gone", "coming and going")


@dataclass(frozen=True)
class Cost:
    """Means over the look-ups of one network in one phase."""

    messages: float
    """Requests that the asking node sent meanwhile, repeated ones and those to the dead included."""
    hops: float
    """How far the nearest node found was: 1 was known from the start, 2 was named by one of those, and so on."""
    round_trips: float
    """How long it took, by the mean round trip: it ends when the 20 nearest have answered."""
    found: float
    """The share of look-ups that found the living node nearest to the target."""
    recall: float
    """The share of the 20 nearest living nodes that were found."""


class Network:
    """A growing network, of which nodes leave. The first one, which the others ask when they come, stays."""

    def __init__(self, size: int) -> None:
        self.rng = random.Random(size)
        self.net = SimNet(seed=size, delay=DELAY)
        self.living = [self.net.first()]
        while len(self.living) < size:
            tenth = max(len(self.living) // 10, 1)
            joining = [self._join() for _ in range(min(tenth, size - len(self.living)))]
            self.net.run_until(lambda joining=joining: all(host.node.bootstrapped for host in joining))
            self.living += joining

    def _join(self) -> Host:
        host = self.net.host(bootstrap=[self.living[0].address], ephemeral=False, firewalled=False)
        host.node.start()
        return host

    def vanish(self, count: int) -> None:
        """So many nodes are gone without a word."""
        for _ in range(count):
            host = self.living.pop(self.rng.randrange(1, len(self.living)))
            self.net.unplug(host)
            host.node.close()

    def churn(self) -> Callable[[], None]:
        """From now on nodes come as often as nodes go; gives what ends it."""
        interval = STAY / len(self.living)
        ended = False

        def turn() -> None:
            if not ended:
                self.vanish(1)
                self.living.append(self._join())
                self.net.schedule.after(self.rng.expovariate(1 / interval), turn)

        def end() -> None:
            nonlocal ended
            ended = True

        turn()
        return end

    def measure(self) -> Cost:
        return Cost(*map(statistics.fmean, zip(*(self._look_up() for _ in range(LOOKUPS)), strict=True)))

    def _look_up(self) -> tuple[float, ...]:
        """One look-up: the values of a `Cost`."""
        target = self.rng.randbytes(32)
        asking = self.rng.choice([host for host in self.living if host.node.bootstrapped])
        there = {host.address for host in self.living if host is not asking and host.node.bootstrapped}
        hops: dict[Address, int] = {}

        def on_reply(reply: Reply) -> None:
            further = hops.setdefault(reply.from_, 1) + 1
            for address in reply.closer:
                hops.setdefault(address, further)

        before, began = _requests(asking), self.net.schedule.now
        query = asking.node.find_node(target, on_reply=on_reply)
        self.net.run_until(lambda: query.ended or not asking.plugged)
        if not asking.plugged:
            return self._look_up()  # the one that asked is gone: nobody waits for this answer
        there.intersection_update(host.address for host in self.living)  # who was there all the time
        true = nearest(list(there), target)[:K]
        got = [address for address in query.closest_nodes if address in there]
        return (
            _requests(asking) - before,
            hops[got[0]],
            (self.net.schedule.now - began) / (2 * DELAY),
            true[0] in got,
            len(set(true).intersection(got)) / len(true),
        )


def _requests(host: Host) -> int:
    """How many it has sent, those without an answer included."""
    rpc = host.node.rpc
    sent: int = rpc.responses + rpc.timeouts + rpc.retries + rpc.in_flight
    return sent


def measure(size: int) -> tuple[Cost, ...]:
    """In each of the `PHASES`."""
    network = Network(size)
    whole = network.measure()
    network.vanish(int(GONE * size))
    thinned = network.measure()
    end = network.churn()
    churned = network.measure()
    end()
    return whole, thinned, churned


def main(sizes: Sequence[int]) -> None:
    rows: dict[int, tuple[Cost, ...]] = {}
    print(f"{'nodes':>7}  {'phase':<16} {'messages':>8} {'hops':>5} {'round trips':>11} {'nearest':>7} {'of 20':>6}")
    for size in sizes:
        begun = time.monotonic()
        rows[size] = measure(size)
        for phase, cost in zip(PHASES, rows[size], strict=True):
            print(
                f"{size:>7}  {phase:<16} {cost.messages:>8.1f} {cost.hops:>5.2f} {cost.round_trips:>11.1f} "
                f"{cost.found:>7.0%} {cost.recall:>6.1%}"
            )
        print(f"{'':>7}  {time.monotonic() - begun:.0f} s", flush=True)
    if tuple(sizes) == SIZES:
        (DOCS / "growth.svg").write_text(drawing(rows))
        (DOCS / "growth.md").write_text(page(rows))


def drawing(rows: Mapping[int, tuple[Cost, ...]]) -> str:
    axis = Axis([f"{size:,}" for size in rows], [math.log10(size) for size in rows])
    return curves(
        axis,
        {
            f"{title}, by the number of nodes": {
                phase: [getattr(costs[number], field) for costs in rows.values()] for number, phase in enumerate(PHASES)
            }
            for title, field in (("messages of a look-up", "messages"), ("hops to the nearest node", "hops"))
        },
    )


def page(rows: Mapping[int, tuple[Cost, ...]]) -> str:
    table = [
        f"| {size:,} | {phase} | {cost.messages:.1f} | {cost.hops:.2f} | {cost.round_trips:.1f} | "
        f"{cost.found:.0%} | {cost.recall:.1%} |"
        for size, costs in rows.items()
        for phase, cost in zip(PHASES, costs, strict=True)
    ]
    return PAGE.format(lookups=LOOKUPS, stay=STAY / 60, table="\n".join(table))


PAGE = """# Growth

`make growth` measured this: networks of the library's own nodes in one process, on virtual time. Every packet is
encoded, sent, decoded and answered; each way takes 25 to 75 ms. Nodes join by asking the first one. Means of
{lookups} look-ups of random targets from random nodes, in each of three phases: with everyone there; a moment after a
fifth of the nodes vanished without a word; and then while nodes go without a word and new ones come, each for
{stay:.0f} minutes on average, during the look-ups too.

![Messages and hops of a look-up by network size](growth.svg)

The number of nodes is drawn on a logarithmic scale: a straight line is logarithmic growth.

| Nodes | Phase | Messages | Hops | Round trips | Nearest found | Of the 20 nearest |
| ---: | --- | ---: | ---: | ---: | ---: | ---: |
{table}

*Hops* is how far the nearest node that was found is away: 1 is a node that was known at the start, 2 one that such a
node named, and so on. *Round trips* is the time of the whole look-up, by the mean round trip: it ends when the 20
nearest have answered, and waits for those that are gone. *Found* counts nodes that were there from the beginning to the
end of the look-up.
"""


if __name__ == "__main__":
    main([int(argument) for argument in sys.argv[1:]] or SIZES)
