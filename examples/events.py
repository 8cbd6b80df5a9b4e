"""See what a swarm does, and why a peer cannot be connected to.

    python events.py ROOM [BOOTSTRAP ...]

Joining never fails: a dial that does is an event, with an error that says how far it came and what to do.
"""

import sys

import trio

from swarm import PUBLIC_BOOTSTRAP, ConnectionClosed, ConnectionOpened, DialFailed, PeerFound, Swarm


async def main() -> None:
    room, *bootstrap = sys.argv[1:]
    async with Swarm(bootstrap=bootstrap or PUBLIC_BOOTSTRAP) as swarm:
        events = swarm.events()  # from now on
        swarm.join(room)
        async for event in events:
            match event:
                case PeerFound(public_key=key):
                    print(f"found {key.short}")
                case ConnectionOpened(public_key=key, is_initiator=dialled):
                    print(f"connected to {key.short}, which {'was dialled' if dialled else 'dialled'}")
                case ConnectionClosed(public_key=key, error=error):
                    print(f"lost {key.short}: {error or 'it left'}")
                case DialFailed(public_key=key, error=error, will_retry=will_retry):
                    print(f"no connection to {key.short}, {'it is tried again' if will_retry else 'given up'}")
                    print(f"  {error.reason.summary}")
                    print(f"  what to do: {error.reason.advice}")
                    for stage in error.attempt.stages:
                        print(f"  {stage}")


if __name__ == "__main__":
    trio.run(main)
