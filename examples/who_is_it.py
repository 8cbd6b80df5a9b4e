"""Be known by a key that stays, and let in only whom you know.

    python who_is_it.py ROOM KEY_FILE FRIENDS_FILE [BOOTSTRAP ...]

KEY_FILE is made on first use; `swarm keygen --identity KEY_FILE` prints its public key. FRIENDS_FILE has one friend in
each line: the public key, a space, a name. Everybody else hears nothing at all, not even a refusal.
"""

import sys
from pathlib import Path

import trio

from swarm import PUBLIC_BOOTSTRAP, PublicKey, Swarm


def read_friends(path: str) -> dict[bytes, str]:
    lines = (line.split(maxsplit=1) for line in Path(path).read_text().splitlines() if line)
    return {PublicKey.parse(key): name for key, name in lines}


async def main() -> None:
    room, key_file, friends_file, *bootstrap = sys.argv[1:]
    friends = read_friends(friends_file)
    async with Swarm(
        key_file,
        allow=lambda key: key in friends,  # asked before a peer is dialled, and before one is answered
        bootstrap=bootstrap or PUBLIC_BOOTSTRAP,
    ) as swarm:
        print(f"you are {swarm.public_key}")
        swarm.join(room)
        async for connection in swarm:
            print(f"{friends[connection.remote_public_key]} is here")


if __name__ == "__main__":
    trio.run(main)
