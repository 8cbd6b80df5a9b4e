"""Real processes behind real NATs, every kind against every other, beside the project's goals: `make nat-matrix`.

It takes many minutes, and is no part of the tests. Run by pytest, which lends it the lab and its checks: it fails when
a pair that should connect does not, whatever its time. Environment:

    NAT_PARTS   any of plain,relay,special,rebind (all)     NAT_KINDS   kinds of router of the tables
    NAT_REPEAT  runs of each pair (1)                        NAT_DELAY   milliseconds one way on a peer's link (15)
    NAT_LANES   labs side by side (2)                        NAT_PEERS   server-client: python-python, node-python, ...
"""

from __future__ import annotations

import os
import statistics
import time
from typing import TYPE_CHECKING

import pytest
import trio

from tests.nat.jobs import CORE, GOALS, Job, matrix, rebinds, special
from tests.nat.lab import Lab
from tests.nat.meeting import Meeting, dht, meeting, relay

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.nat.lab import Router
    from tests.nat.meeting import Kind

PARTS = os.environ.get("NAT_PARTS", "plain,relay,special,rebind").split(",")
KINDS = tuple(os.environ.get("NAT_KINDS", ",".join(CORE)).split(","))
REPEAT = int(os.environ.get("NAT_REPEAT", "1"))
DELAY = float(os.environ.get("NAT_DELAY", "15")) / 1000
LANES = int(os.environ.get("NAT_LANES", "2"))
PEERS = os.environ.get("NAT_PEERS", "python-python").split("-")
PATIENCE = 45.0
"""Seconds until a pair must have met, or said why not."""
SETTLE = 15.0
"""Seconds that a relayed connection has to become direct."""


def chosen() -> list[Job]:
    jobs: list[Job] = []
    if "plain" in PARTS:
        jobs += matrix(KINDS, relay=False)
    if "relay" in PARTS:
        jobs += matrix(KINDS, relay=True)
    if "special" in PARTS:
        jobs += special()
    if "rebind" in PARTS:
        jobs += rebinds()
    return jobs


async def run(job: Job) -> None:
    kinds: list[Kind] = ["node" if kind == "node" else "python" for kind in PEERS]
    # a lab for each run: its addresses and processes would add up
    with Lab(delay=0.08 if "80 ms" in job.group else DELAY) as lab:
        server, client = job.place(lab)
        async with dht(lab) as bootstrap, relay(lab, bootstrap, wanted=job.relay) as known:
            try:
                async with meeting(
                    bootstrap,
                    server.host,
                    client.host,
                    kinds=(kinds[0], kinds[1]),
                    relay=known,
                    pings=job.rebind is not None,
                    patience=PATIENCE,
                ) as met:
                    await judge(job, met, (server if job.side == "server" else client).routers)
            except trio.TooSlowError:
                job.failures.append("nothing")


async def judge(job: Job, met: Meeting, routers: Sequence[Router]) -> None:
    if not met.connected:
        job.failures.append(f"{met.reason.split()[0]} {met.seconds:.1f}")
        if GOALS[job.group].fails:
            job.seconds.append(met.seconds)
    elif job.rebind is not None:
        await met.echo_of_now()
        router = routers[-1]
        {"flush": router.apply, "ports": router.rebind, "address": router.change_address}[job.rebind]()
        with trio.fail_after(PATIENCE):
            job.seconds.append(await met.echo_of_now())
        if job.rebind == "flush" and met.opened > 1:
            job.failures.append("new connection")
    else:
        job.seconds.append(met.seconds)
        if met.kind == "direct":
            job.direct.append(met.seconds)
        else:
            job.relayed += 1
            with trio.move_on_after(SETTLE):
                job.direct.append(await met.upgraded())


def table(rows: Iterable[Iterable[str]]) -> str:
    lines = [list(row) for row in rows]
    widths = [max(len(line[n]) for line in lines) for n in range(len(lines[0]))]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join("| " + " | ".join(map(str.ljust, line, widths)) + " |" for line in lines)


def summary(group: str, jobs: Sequence[Job]) -> list[str]:
    goal = GOALS[group]
    seconds = sorted(value for job in jobs for value in job.seconds)
    direct = sum(len(job.direct) for job in jobs)
    runs = len(jobs) * REPEAT
    counts = f"{len(seconds)} of {runs}" + (f", {direct} direct" if any(job.relayed for job in jobs) else "")
    if not seconds:
        return [group, counts, "", "", "", str(goal), "MISSED"]
    median, ninety = statistics.median(seconds), seconds[int(0.9 * len(seconds))]
    met = len(seconds) == runs and median <= goal.median and ninety <= goal.ninety
    return [
        group,
        counts,
        f"{median:.2f}",
        f"{ninety:.2f}",
        f"{seconds[-1]:.2f}",
        str(goal),
        "met" if met else "missed",
    ]


def squares(jobs: Sequence[Job], *, relay: bool) -> str:
    cells = {job.name: str(job) for job in jobs if job.relay == relay and job.rebind is None}
    return table([["", *KINDS], *([row, *(cells.get(f"{row} – {column}", "") for column in KINDS)] for row in KINDS)])


@pytest.mark.usefixtures("labs_allowed")
async def test_pairs_connect_or_say_why_not(capsys: pytest.CaptureFixture[str]) -> None:
    jobs = chosen()
    limit = trio.CapacityLimiter(LANES)
    began = time.monotonic()

    async def one(job: Job) -> None:
        async with limit:
            await run(job)
        with capsys.disabled():
            print(f"{time.monotonic() - began:6.0f} s  {job.group}: {job.name}: {job}", flush=True)

    async with trio.open_nursery() as nursery:
        for job in jobs * REPEAT:
            nursery.start_soon(one, job)
    groups = dict.fromkeys(job.group for job in jobs)
    summaries = [summary(group, [job for job in jobs if job.group == group]) for group in groups]
    with capsys.disabled():
        for part, relayed in (("plain", False), ("relay", True)):
            if part in PARTS:
                print(
                    f"\nSeconds until data went both ways, {part}. Rows: the server's NAT. D direct, R relayed first.\n"
                )
                print(squares(jobs, relay=relayed))
        print()
        print(table([["group", "runs", "median", "90 %", "slowest", "goal", ""], *summaries]))
    assert [line[0] for line in summaries if line[-1] == "MISSED"] == []
    assert [job.name for job in jobs if not GOALS[job.group].fails and len(job.seconds) < REPEAT] == []
