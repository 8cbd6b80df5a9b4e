"""The lab is what the other tests rest on: every kind of router does what it is declared to do."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio

from tests.nat.routers import CARRIERS, ROUTERS
from tests.nat.wire import delay_of
from tests.programs import running

if TYPE_CHECKING:
    from tests.nat.lab import Lab

MEASURE = str(Path(__file__).with_name("measure.py"))


@pytest.mark.parametrize(("ethertype", "delayed"), [(b"\x08\x00", True), (b"\x08\x06", False)])
def test_a_wire_delays_packets_and_no_questions_for_hardware_addresses(ethertype: bytes, delayed: bool) -> None:
    assert delay_of(bytes(12) + ethertype + bytes(46), 0.08) == (0.08 if delayed else 0)


@pytest.mark.parametrize("kind", [*ROUTERS, *CARRIERS])
async def test_each_router_behaves_as_declared(lab: Lab, kind: str) -> None:
    server, place = lab.public(2), lab.place(kind)
    async with running(*server.command(sys.executable, MEASURE, "serve", *server.addresses)) as serving:
        await serving.line_with("READY")
        probe = place.host.command(sys.executable, MEASURE, "probe", *server.addresses)
        measured = json.loads((await trio.run_process(probe, capture_stdout=True)).stdout)
    declared = ROUTERS[CARRIERS.get(kind, kind)]
    if not declared.udp:
        assert measured == {"udp": False}
        return
    # behind two routers the inner one filters, too, but a home router filters as strictly as any
    assert measured == {
        "udp": True,
        "mapping": declared.mapping,
        "filtering": declared.filtering,
        "ports": declared.ports,
    }
