"""Random trouble on virtual internets: do all peers find each other again, whatever happened to them?

    python tests/soak/simulate.py [--first 0] [--seeds 100]

Each seed makes a town of peers that join one topic, each behind a NAT of some kind, on links of some delay and loss.
For a minute they are killed and started again with the same key, sleep, move to other networks, suspend, leave, and
their routers forget and change addresses; then comes a minute of calm. Passes when in the last 20 s of it each pair has
exactly one connection, the same at both ends, over which both hear each other; and when nothing was raised inside.

A seed is the same to the byte each time: what fails is repeated by ``--first N --seeds 1``.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import sys
from functools import partial
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
_tests = sys.modules["tests"] = ModuleType("tests")  # another package of this name may be installed
_tests.__path__ = [str(ROOT / "tests")]

from tests.sim.town import live_through  # noqa: E402
from tests.tools import virtual_time  # noqa: E402


class Bugs(logging.Handler):
    """What was raised inside, and survived."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.seen.append(self.format(record))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seeds", type=int, default=100, help="how many")
    options = parser.parse_args()
    bugs = Bugs()
    logging.getLogger("holepunch.containment").addHandler(bugs)
    failed, times = [], []
    for seed in range(options.first, options.first + options.seeds):
        outcome = virtual_time(partial(live_through, seed))
        times.append(outcome.seconds)
        print(f"seed {seed}: {outcome.seconds:5.2f} s", flush=True)
        if not outcome.good or bugs.seen:
            failed.append(seed)
            print(*outcome.apart, *outcome.log, *bugs.seen, sep="\n", flush=True)
            bugs.seen.clear()
    median, most = statistics.median(times), max(times)
    print(f"{len(times)} towns; all together again after {median:.2f} s (median), {most:.2f} s (the slowest)")
    print(f"failed: {failed}" if failed else "passed")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
