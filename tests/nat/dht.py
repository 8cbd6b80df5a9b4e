"""The DHT of the lab: one node on each address, all in one process.   python dht.py ADDRESS...

Prints READY and the address to give to peers. Ends with its standard input.
"""

from __future__ import annotations

import os
import sys

import trio

from swarm import DHT

PORT = 49737


async def run(node: DHT, task_status: trio.TaskStatus[None]) -> None:
    async with node:
        await node.bootstrapped()
        task_status.started()
        await trio.sleep_forever()


async def main() -> None:
    first, *others = sys.argv[1:]
    bootstrap = f"{first}:{PORT}"
    async with trio.open_nursery() as nursery:
        await nursery.start(run, DHT(bootstrap=(), host=first, public_host=first, port=PORT))
        for host in others:
            node = DHT(bootstrap=[bootstrap], host=host, port=PORT, ephemeral=False, firewalled=False)
            await nursery.start(run, node)
        print(f"READY {bootstrap}", flush=True)
        async with trio.lowlevel.FdStream(os.dup(0)) as end:
            await end.receive_some()
        nursery.cancel_scope.cancel()


trio.run(main)
