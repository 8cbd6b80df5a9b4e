"""What the README shows runs as it stands there, but on a DHT of the test's own."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import trio

from swarm import Swarm
from swarm.testing import Testnet
from tests.programs import running

ROOT = Path(__file__).parent.parent

ON_A_TESTNET = """
import functools, sys, swarm
swarm.Swarm = functools.partial(swarm.Swarm, bootstrap=sys.argv[1:2], host="127.0.0.1")
exec(compile(sys.argv[2], "README.md", "exec"))
"""


def first_program(page: str) -> str:
    found = re.search(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    assert found is not None
    return found[1]


def test_program_has_ten_lines() -> None:
    lines = [line for line in first_program("README.md").splitlines() if line]
    assert len(lines) <= 10


async def test_program_greets_who_joins_its_topic() -> None:
    program = first_program("README.md")
    with trio.fail_after(30):
        async with (
            Testnet(3) as net,
            running(sys.executable, "-c", ON_A_TESTNET, net.bootstrap[0], program),
            Swarm(bootstrap=net.bootstrap, host="127.0.0.1") as swarm,
        ):
            swarm.join("rooms/python")
            async for connection in swarm:
                if await connection.receive_some() == b"hello":
                    break


async def test_tutorial_program_meets_itself() -> None:
    program = first_program("docs/tutorial.md")
    with trio.fail_after(30):
        async with Testnet(3) as net:
            command = (sys.executable, "-u", "-c", program, *net.bootstrap)
            async with running(*command) as one, running(*command) as other:
                for peer in (one, other):
                    await peer.line_with("it said b'hello'")


async def test_example_chat_carries_lines_between_two_people() -> None:
    with trio.fail_after(30):
        async with Testnet(3) as net:
            command = (sys.executable, "-u", str(ROOT / "examples" / "chat.py"), "a room", *net.bootstrap)
            async with running(*command) as alice, running(*command) as bob:
                for person in (alice, bob):
                    await person.line_with("is here")
                await alice.say("\nis anybody there?\n\n")
                await bob.line_with("is anybody there?")
                await bob.say("over here\n")
                await alice.line_with("over here")
                await alice.end_input()
                await bob.line_with("left")
                assert await alice.process.wait() == 0
