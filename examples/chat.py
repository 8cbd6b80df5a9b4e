"""A chat room: everyone who runs this with the same room name is in it, wherever they are.

    python chat.py ROOM [BOOTSTRAP ...]

Each line typed goes to everyone, encrypted. Without bootstrap addresses (host:port) the room is on the public
Hyperswarm DHT, where Node programs can join it too: the topic is the SHA-256 of the name, and a line is one write.
"""

import os
import sys
from contextlib import suppress

import trio

from swarm import PUBLIC_BOOTSTRAP, Connection, Swarm

people: set[Connection] = set()
GONE = (trio.BrokenResourceError, trio.ClosedResourceError)  # a peer may be at any time


async def listen(connection: Connection) -> None:
    """Print what one peer says, until it leaves."""
    name = connection.remote_public_key.short
    print(f"* {name} is here ({connection.path.kind})")
    people.add(connection)
    with suppress(*GONE):
        while (line := await connection.receive_frame()) is not None:
            print(f"{name}: {line.decode(errors='replace')!r}")
    people.discard(connection)
    print(f"* {name} left")


async def say(line: bytes) -> None:
    async with trio.open_nursery() as nursery:
        for connection in people:
            nursery.start_soon(tell, connection, line)


async def tell(connection: Connection, line: bytes) -> None:
    """Hand one peer a line, or nothing for the last time. Who does not take it within a second misses it."""
    with suppress(*GONE), trio.move_on_after(1):
        await (connection.send_frame(line) if line else connection.send_eof())


async def main() -> None:
    room, *bootstrap = sys.argv[1:]
    async with Swarm(bootstrap=bootstrap or PUBLIC_BOOTSTRAP) as swarm, trio.open_nursery() as nursery:
        print(f"* you are {swarm.public_key.short}")
        swarm.join(room)
        nursery.start_soon(swarm.serve, listen)
        while typed := await trio.to_thread.run_sync(os.read, 0, 65536, abandon_on_cancel=True):
            for line in filter(None, typed.splitlines()):
                await say(line)
        await say(b"")
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main)
