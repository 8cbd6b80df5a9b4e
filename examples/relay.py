"""Connections through a blind relay, and one's own relay.

    python relay.py run [BOOTSTRAP ...]                     # on a host that everyone reaches; prints its key
    python relay.py use RELAY_KEY ROOM [BOOTSTRAP ...]      # on two others

A relay forwards packets that it cannot read. With the policy "require" nothing goes between the peers directly. Without
it, the relay only carries a connection until a direct path is found, or where there is none.
"""

import sys
from collections.abc import Sequence

import trio

from swarm import DHT, PUBLIC_BOOTSTRAP, Swarm


async def run(bootstrap: Sequence[str]) -> None:
    async with DHT(bootstrap=bootstrap) as dht:
        relay = await dht.relay()
        print(f"relaying as {relay.public_key}")
        await trio.sleep_forever()


async def use(relay: str, room: str, bootstrap: Sequence[str]) -> None:
    async with Swarm(relay_through=relay, relay_policy="require", bootstrap=bootstrap) as swarm:
        swarm.join(room)
        async for connection in swarm:
            path = connection.path
            print(f"met {connection.remote_public_key.short}, {path.kind} through {path.relay}")


async def main() -> None:
    match sys.argv[1:]:
        case ["run", *bootstrap]:
            await run(bootstrap or PUBLIC_BOOTSTRAP)
        case ["use", relay, room, *bootstrap]:
            await use(relay, room, bootstrap or PUBLIC_BOOTSTRAP)


if __name__ == "__main__":
    trio.run(main)
