"""One node that asks STUN servers what NAT it is behind.   python classify.py BOOTSTRAP SERVER...

Prints what it found out as JSON, once each server has answered.
"""

from __future__ import annotations

import json
import sys

import trio

from swarm import DHT


async def ask(dht: DHT, server: str) -> None:
    while await dht.ask_stun(server) is None:
        pass  # it is starting; each try takes two seconds


async def main() -> None:
    bootstrap, *servers = sys.argv[1:]
    async with DHT(bootstrap=[bootstrap], stun_servers=servers) as dht:
        await dht.bootstrapped()
        async with trio.open_nursery() as nursery:
            for server in servers:
                nursery.start_soon(ask, dht, server)
        print(json.dumps(dht.nat.to_dict()))


trio.run(main)
