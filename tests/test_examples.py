"""The programs under examples, each run as it says, on a DHT of the test's own. The chat is in `tests.test_readme`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio

from swarm import DHT, KeyPair, Swarm, Topic
from swarm.testing import Testnet
from tests.programs import Program, running
from tests.tools import need

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
LOOPBACK = "127.0.0.1"

ON_LOOPBACK = """
import functools, runpy, sys, swarm
for name in ("Swarm", "DHT"):
    setattr(swarm, name, functools.partial(getattr(swarm, name), host="127.0.0.1"))
sys.argv.pop(0)
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""Runs a program with its sockets on loopback only: like the DHT of the test, and out of reach for others."""


@pytest.fixture
async def net() -> AsyncIterator[Testnet]:
    with trio.fail_after(60):
        async with Testnet(4) as net:
            yield net


def example(name: str, *arguments: object) -> AbstractAsyncContextManager[Program]:
    return running(sys.executable, "-u", "-c", ON_LOOPBACK, str(EXAMPLES / name), *map(str, arguments))


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("**/*.[jp][sy]")), ids=lambda path: path.name)
def test_every_example_is_run_by_a_test_and_fits_on_a_screen(path: Path) -> None:
    tests = Path(__file__).read_text() + (ROOT / "tests" / "test_readme.py").read_text()
    assert f'{path.name}"' in tests
    assert len(path.read_text().splitlines()) <= 60


async def test_friends_know_each_other_and_a_stranger_hears_nothing(net: Testnet, tmp_path: Path) -> None:
    alice, bob = (KeyPair.load_or_create(tmp_path / f"{name}.key") for name in ("alice", "bob"))
    friends = tmp_path / "friends"
    friends.write_text(f"{alice.public_key} Alice\n{bob.public_key.hex()} Bob\n")
    async with (
        example("who_is_it.py", "a room", tmp_path / "alice.key", friends, *net.bootstrap) as at_alice,
        example("who_is_it.py", "a room", tmp_path / "bob.key", friends, *net.bootstrap) as at_bob,
        Swarm(bootstrap=net.bootstrap, host=LOOPBACK) as stranger,
    ):
        stranger.join("a room")
        assert await at_alice.line() == f"you are {alice.public_key}"
        assert await at_alice.line() == "Bob is here"
        await at_bob.line_with("Alice is here")
        await stranger.flush()
        assert not stranger.connections


async def test_members_of_a_group_meet_and_outsiders_are_kept_out(net: Testnet, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(os.urandom(32))
    async with (
        example("group.py", "a room", secret, *net.bootstrap) as one,
        example("group.py", "a room", secret, *net.bootstrap) as other,
        Swarm(bootstrap=net.bootstrap, host=LOOPBACK) as outsider,
    ):
        key = (await one.line_with("you are")).removeprefix("you are ")
        await one.line_with("member")
        await other.line_with("member")
        outsider.join_peer(key)
        await one.line_with(f"{outsider.public_key.short} was kept out")


async def test_a_key_is_dialled_without_a_topic(net: Testnet) -> None:
    async with example("dial_by_key.py", "listen", *net.bootstrap) as listening:
        key = (await listening.line()).removeprefix("listening as ")
        async with example("dial_by_key.py", "dial", key, *net.bootstrap) as dialling:
            await dialling.line_with("it said 'hello")
            assert await dialling.process.wait() == 0


async def test_questions_are_answered(net: Testnet) -> None:
    async with (
        example("rpc.py", "answer", "a topic", *net.bootstrap),
        example("rpc.py", "ask", "a topic", *net.bootstrap) as asking,
    ):
        assert await asking.line() == "add(2, 3) = 5"
        assert await asking.line() == "upper('hello',) = 'HELLO'"
        assert await asking.process.wait() == 0


async def test_two_peers_meet_through_a_relay_only(net: Testnet) -> None:
    async with example("relay.py", "run", *net.bootstrap) as relaying:
        key = (await relaying.line()).removeprefix("relaying as ")
        async with (
            example("relay.py", "use", key, "a room", *net.bootstrap) as one,
            example("relay.py", "use", key, "a room", *net.bootstrap) as other,
        ):
            for peer in (one, other):
                assert (await peer.line()).endswith(f"relayed through {key}")


async def test_events_tell_of_a_connection_and_why_there_is_none(net: Testnet) -> None:
    gone = KeyPair.generate()
    async with (
        DHT(bootstrap=net.bootstrap, host=LOOPBACK) as dht,
        Swarm(bootstrap=net.bootstrap, host=LOOPBACK) as swarm,
    ):
        await dht.announce(Topic.from_name("a room"), gone)
        async with example("events.py", "a room", *net.bootstrap) as watching:
            await watching.line_with(f"no connection to {gone.public_key.short}")
            assert await watching.line() == "  no node of the DHT knows this peer"
            assert (await watching.line()).startswith("  what to do: Is the public key right")
            swarm.join("a room")
            await watching.line_with(f"connected to {swarm.public_key.short}")


async def test_python_and_node_are_in_one_room(net: Testnet) -> None:
    packages = ROOT / "tests" / "interop" / "node_modules"
    node = need("node")
    if not packages.is_dir():
        need("npm")
        pytest.skip("make test installs Node's packages")
    script = EXAMPLES / "with_node" / "room.js"
    in_node = running("env", f"NODE_PATH={packages}", node, str(script), "a room", *net.bootstrap)
    async with in_node as theirs, example("with_node/room.py", "a room", *net.bootstrap) as ours:
        for side in (ours, theirs):
            await side.line_with("is here")
        for side, other, text in ((ours, theirs, "hello"), (theirs, ours, "good day")):
            await side.say(f"{text}\n")
            await other.line_with(text)
