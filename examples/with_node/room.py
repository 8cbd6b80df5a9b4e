"""A room that Python and Node programs share: room.js is the same program for Node.

    python room.py ROOM [BOOTSTRAP ...]

The topic is the SHA-256 of the room's name on both sides, and a line is one frame here, one `write` there.
"""

import os
import sys
from contextlib import suppress

import trio

from swarm import PUBLIC_BOOTSTRAP, Connection, Swarm


async def listen(connection: Connection) -> None:
    name = connection.remote_public_key.short
    print(f"{name} is here")
    while (line := await connection.receive_frame()) is not None:
        print(f"{name}: {line.decode(errors='replace')!r}")


async def main() -> None:
    room, *bootstrap = sys.argv[1:]
    async with Swarm(bootstrap=bootstrap or PUBLIC_BOOTSTRAP) as swarm, trio.open_nursery() as nursery:
        swarm.join(room)
        nursery.start_soon(swarm.serve, listen)
        while typed := await trio.to_thread.run_sync(os.read, 0, 65536, abandon_on_cancel=True):
            for line in filter(None, typed.splitlines()):
                for connection in swarm.connections:
                    with suppress(trio.BrokenResourceError):  # gone without a goodbye
                        await connection.send_frame(line)
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main)
