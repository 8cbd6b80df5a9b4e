"""A closed group: only who knows the secret is ever connected to.

    head -c 32 /dev/urandom > secret        # once; give the file to the other members
    python group.py ROOM secret [BOOTSTRAP ...]

Both sides prove the secret before either program sees a connection. Nobody else can look the room up, either.
"""

import sys
from pathlib import Path

import trio

from swarm import PUBLIC_BOOTSTRAP, PeerBanned, Swarm


async def watch_for_outsiders(swarm: Swarm) -> None:
    async for event in swarm.events():
        if isinstance(event, PeerBanned):
            print(f"{event.public_key.short} was kept out: {event.reason}")


def read_secret(path: str) -> bytes:
    return Path(path).read_bytes()


async def main() -> None:
    room, secret_file, *bootstrap = sys.argv[1:]
    secret = read_secret(secret_file)
    async with Swarm(secret=secret, bootstrap=bootstrap or PUBLIC_BOOTSTRAP) as swarm, trio.open_nursery() as nursery:
        nursery.start_soon(watch_for_outsiders, swarm)
        print(f"you are {swarm.public_key}")
        swarm.join(room)
        async for connection in swarm:
            print(f"member {connection.remote_public_key.short} is here")


if __name__ == "__main__":
    trio.run(main)
