"""``python -m benchmarks [MEASURE[=ROUNDS] ...]``: measure side by side with Node, print a table, write the page.

Run from the folder tests: a dependency brings a package of that name. It runs in a network namespace of its own where
the system allows one, so that nothing but loopback is there. Whatever the figures say, it exits 0. The page is written
only when nothing was asked for in particular, and everything was measured at least once.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from .measures import MEASURES
from .network import enter_namespace
from .plot import plot
from .programs import Failure
from .report import page, table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .rows import Samples

LAST_ROUND, TIME_LIMIT = 540, 590
"""Seconds after which no further round begins, and after which one that has begun is given up."""
DOCS = Path(__file__).parents[2] / "docs"


class OutOfTimeError(Exception):
    """The time limit is over, wherever the program is."""


def out_of_time(*_: object) -> NoReturn:
    raise OutOfTimeError


def run(wanted: Mapping[str, int], samples: Samples) -> dict[str, int]:
    """So many rounds of each measure, or as many as there is time for; gives how many there were."""
    done = dict.fromkeys(wanted, 0)
    began = time.monotonic()
    signal.signal(signal.SIGALRM, out_of_time)
    signal.alarm(TIME_LIMIT)
    try:
        for number in range(max(wanted.values())):
            for name in (name for name, rounds in wanted.items() if number < rounds):
                if time.monotonic() - began > LAST_ROUND:
                    raise OutOfTimeError
                print(f"{name}: round {number + 1} of {wanted[name]}", file=sys.stderr)
                try:
                    MEASURES[name].run(samples)
                    done[name] += 1
                except (Failure, OSError, subprocess.SubprocessError) as failure:
                    print(f"{name}: {failure}", file=sys.stderr)
    except OutOfTimeError:
        print("out of time: the rest is left out", file=sys.stderr)
    finally:
        signal.alarm(0)
    print(f"{time.monotonic() - began:.0f} s", file=sys.stderr)
    return done


def main(arguments: list[str]) -> None:
    asked = dict(argument.partition("=")[::2] for argument in arguments) or dict.fromkeys(MEASURES, "")
    unknown = asked.keys() - MEASURES.keys()
    if unknown:
        sys.exit(f"no such measure: {', '.join(sorted(unknown))}; there are {', '.join(MEASURES)}")
    samples: Samples = {}
    done = run({name: int(times or MEASURES[name].rounds) for name, times in asked.items()}, samples)
    print(table(samples))
    if not arguments and all(done.values()):
        (DOCS / "benchmarks.svg").write_text(plot(samples))
        (DOCS / "benchmarks.md").write_text(page(samples, done))


enter_namespace(sys.executable, "-m", "benchmarks", *sys.argv[1:])
main(sys.argv[1:])
