"""A DHT of our nodes in one process: testnet.js in Python.

    python -m benchmarks.testnet COUNT [ADDRESS]       from the folder tests; ADDRESS: where all bind, else 127.0.0.1

It ends with its standard input.
"""

from __future__ import annotations

import json
import sys

import trio

from swarm.testing import Testnet


async def main() -> None:
    count, host = [*sys.argv[1:], "127.0.0.1"][:2]
    async with Testnet(int(count), host=host) as net:
        print(json.dumps({"bootstrap": net.bootstrap}), flush=True)
        await trio.to_thread.run_sync(sys.stdin.read)


trio.run(main)
