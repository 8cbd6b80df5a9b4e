"""Ask and answer in Python objects: a connection as a channel of messages.

    python rpc.py answer TOPIC [BOOTSTRAP ...]
    python rpc.py ask TOPIC [BOOTSTRAP ...]

Messages are msgpack: None, bool, int, float, str, bytes, and lists and dicts of these. One message is one frame.
"""

import operator
import sys
from collections.abc import Callable

import trio

from swarm import PUBLIC_BOOTSTRAP, Connection, Swarm

METHODS: dict[str, Callable[..., object]] = {"add": operator.add, "upper": str.upper}
QUESTIONS = (("add", (2, 3)), ("upper", ("hello",)))


async def answer(connection: Connection) -> None:
    """One peer's questions; `serve` runs this for each peer, and an error ends this connection only."""
    channel = connection.messages()
    async for question in channel:  # until the peer ends its side
        result = METHODS[question["method"]](*question["arguments"])
        await channel.send({"id": question["id"], "result": result})


async def main() -> None:
    role, topic, *bootstrap = sys.argv[1:]
    async with Swarm(bootstrap=bootstrap or PUBLIC_BOOTSTRAP) as swarm:
        swarm.join(topic, server=role == "answer", client=role == "ask")  # askers need not meet each other
        if role == "answer":
            await swarm.serve(answer)
        channel = (await anext(swarm)).messages()
        for id, (method, arguments) in enumerate(QUESTIONS):
            await channel.send({"id": id, "method": method, "arguments": arguments})
            print(f"{method}{arguments} = {(await channel.receive())['result']!r}")
        await channel.aclose()


if __name__ == "__main__":
    trio.run(main)
