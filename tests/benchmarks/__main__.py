"""``python -m benchmarks [MEASURE[=ROUNDS] ...]``: measure side by side with Node, print a table, write the page.

Run from the folder tests: a dependency brings a package of that name. It runs in a network namespace of its own where
the system allows one, so that nothing but loopback is there. Whatever the figures say, it exits 0. The page is written
only when everything was measured.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from .measures import MEASURES
from .plot import plot
from .programs import INSIDE, Failure
from .report import page, table

if TYPE_CHECKING:
    from .rows import Samples

TIME_LIMIT = 540.0
"""Seconds after which no further round begins."""
DOCS = Path(__file__).parents[2] / "docs"


def _enter_namespace() -> None:
    """Start again inside a namespace, for good; returns where there can be none."""
    if INSIDE in os.environ or shutil.which("unshare") is None or shutil.which("ip") is None:
        return
    unshare = ["unshare", "--net", *(["--map-root-user"] if os.geteuid() != 0 else [])]
    if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode != 0:
        return
    again = [sys.executable, "-m", "benchmarks", *sys.argv[1:]]
    inside = [*unshare, "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *again]
    os.execvpe(inside[0], inside, {**os.environ, INSIDE: "1"})


def main(arguments: list[str]) -> None:
    asked = dict(argument.partition("=")[::2] for argument in arguments) or dict.fromkeys(MEASURES, "")
    unknown = asked.keys() - MEASURES.keys()
    if unknown:
        sys.exit(f"no such measure: {', '.join(sorted(unknown))}; there are {', '.join(MEASURES)}")
    samples: Samples = {}
    ends = time.monotonic() + TIME_LIMIT
    complete = not arguments
    for name, times in asked.items():
        measure, rounds = MEASURES[name], int(times or MEASURES[name].rounds)
        for number in range(rounds):
            if time.monotonic() > ends:
                print(f"out of time: {rounds - number} rounds of {name} left out", file=sys.stderr)
                complete = False
                break
            print(f"\r{name}: round {number + 1} of {rounds}   ", end="", file=sys.stderr, flush=True)
            try:
                measure.run(samples)
            except Failure as failure:
                print(f"\n{name}: {failure}", file=sys.stderr)
                complete = False
        print(file=sys.stderr)
    print(table(samples))
    if complete:
        (DOCS / "benchmarks.svg").write_text(plot(samples))
        (DOCS / "benchmarks.md").write_text(page(samples))


_enter_namespace()
main(sys.argv[1:])
