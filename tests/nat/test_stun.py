"""Real coturn on the internet of the lab: what its answers tell of real NATs."""

from __future__ import annotations

import json
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio

from tests.programs import running
from tests.tools import need

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.nat.lab import Lab

HERE = Path(__file__).parent
PORT = 3478


@asynccontextmanager
async def coturn(lab: Lab, directory: Path) -> AsyncIterator[list[str]]:
    """A server at three public addresses, soon after; what to give as ``stun_servers``."""
    program = need("turnserver")
    host = lab.public(3)
    listen = [argument for address in host.addresses for argument in ("--listening-ip", address)]
    files = ["--pidfile", str(directory / "pid"), "--db", str(directory / "db"), "--log-file", "stdout"]
    command = [program, "-n", "--stun-only", "--no-tls", "--no-dtls", "--no-cli", "--relay-threads", "1"]
    async with running(*host.command(*command, *files, *listen, "--listening-port", str(PORT))):
        yield [f"{address}:{PORT}" for address in host.addresses]


async def test_coturn_tells_a_node_that_knows_one_other_what_nat_it_is_behind(lab: Lab, tmp_path: Path) -> None:
    kinds = {
        "home": "consistent",
        "home-rand": "consistent",
        "cgnat": "consistent",
        "firewall": "consistent",
        "symmetric": "random",
        "symmetric-seq": "random",
        "addrdep": "random",
    }
    places = {kind: lab.place(kind) for kind in kinds}
    public = lab.public()
    found: dict[str, Any] = {}
    async with (
        coturn(lab, tmp_path) as servers,
        running(*public.command(sys.executable, str(HERE / "dht.py"), public.address)) as node,
    ):
        bootstrap = (await node.line_with("READY")).split()[1]

        async def classify(kind: str) -> None:
            command = places[kind].host.command(sys.executable, str(HERE / "classify.py"), bootstrap, *servers)
            found[kind] = json.loads((await trio.run_process(command, capture_stdout=True)).stdout)

        with trio.fail_after(30):
            async with trio.open_nursery() as nursery:
                for kind in kinds:
                    nursery.start_soon(classify, kind)
    assert {kind: nat["kind"] for kind, nat in found.items()} == kinds
    for kind, nat in found.items():
        outside = places[kind].routers[-1].address if places[kind].routers else places[kind].host.address
        assert {address.split(":")[0] for address in nat["public_addresses"]} == {outside}
        assert sum(witness["kind"] == "stun" for witness in nat["witnesses"]) == 3
        assert nat["firewalled"]
