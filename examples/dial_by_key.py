"""No topic: one side listens under its public key, the other dials it.

    python dial_by_key.py listen [BOOTSTRAP ...]
    python dial_by_key.py dial KEY [BOOTSTRAP ...]

`DHT` is the layer under `Swarm`. It looks nobody up by itself, and each `connect` makes a connection of its own.
"""

import sys
from collections.abc import Sequence

import trio

from swarm import DHT, PUBLIC_BOOTSTRAP


async def listen(bootstrap: Sequence[str]) -> None:
    async with DHT(bootstrap=bootstrap) as dht:
        listener = await dht.listen()
        print(f"listening as {listener.public_key}")
        async for connection in listener:
            async with connection:  # closed at the end; what was sent is still delivered, in the background
                await connection.send_all(f"hello {connection.remote_public_key.short}".encode())


async def dial(key: str, bootstrap: Sequence[str]) -> None:
    async with DHT(bootstrap=bootstrap) as dht:
        connection = await dht.connect(key)
        async for data in connection:
            print(f"it said {data.decode()!r}, {connection.path.kind} from {connection.path.remote_address}")


async def main() -> None:
    match sys.argv[1:]:
        case ["listen", *bootstrap]:
            await listen(bootstrap or PUBLIC_BOOTSTRAP)
        case ["dial", key, *bootstrap]:
            await dial(key, bootstrap or PUBLIC_BOOTSTRAP)


if __name__ == "__main__":
    trio.run(main)
