"""The blind relay of the lab.   python relay.py BOOTSTRAP HOST

Prints READY and its public key in hex. Ends with its standard input.
"""

from __future__ import annotations

import os
import sys

import trio

from swarm import DHT


async def main() -> None:
    async with DHT(bootstrap=[sys.argv[1]], host=sys.argv[2]) as dht:
        relay = await dht.relay()
        print(f"READY {relay.public_key.hex()}", flush=True)
        async with trio.lowlevel.FdStream(os.dup(0)) as end:
            await end.receive_some()


trio.run(main)
