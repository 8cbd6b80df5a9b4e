"""What scripts rely on: the options of every command, exit codes, and objects for errors as for results."""

from __future__ import annotations

import json
import signal
import socket
from functools import partial
from typing import TYPE_CHECKING, Any

import click.testing
import pytest
import trio

from swarm import KeyPair
from swarm.cli import COMMANDS, main
from swarm.testing import Testnet
from tests.programs import SWARM, run, running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def net() -> AsyncIterator[tuple[str, ...]]:
    """The options that put a command on a DHT of this test's own."""
    async with Testnet(2) as testnet:
        yield ("--host", "127.0.0.1", "--bootstrap", testnet.bootstrap[0])


def without_input(*arguments: str) -> tuple[str, ...]:
    """The command, with standard input closed before it starts."""
    return ("sh", "-c", 'exec "$@" <&-', "sh", *SWARM, *arguments)


def error_of(stderr: bytes) -> dict[str, Any]:
    """The one thing that was said."""
    (line,) = stderr.splitlines()
    found: dict[str, Any] = json.loads(line)
    assert found["error"]
    return found


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_takes_the_common_options(name: str) -> None:
    done = click.testing.CliRunner().invoke(main, [name, "--help"])
    assert done.exit_code == 0
    for option in ("--bootstrap", "--identity", "--relay", "--json", "-v"):
        assert f" {option}" in done.output


@pytest.mark.parametrize(
    "arguments",
    [
        ["lookup", "--json", "--bootstrap", "nonsense", "room"],
        ["lookup", "--bootstrap", "a..b:1", "room", "--json"],
        ["chat", "--json"],
        ["testnet", "--nodes", "0", "--json"],
        ["put", "--json", "--mutable", "value"],
        ["node", "--json", "--host", "nonsense"],
        ["keygen", "--json", "--unheard-of"],
        ["unheard-of", "--json"],
    ],
)
def test_wrong_usage_is_an_object_for_who_asks_for_objects(arguments: list[str]) -> None:
    done = click.testing.CliRunner().invoke(main, arguments)
    assert done.exit_code == 2
    assert done.stdout == ""
    assert error_of(done.stderr.encode()).keys() == {"error"}


def test_wrong_usage_is_text_for_people() -> None:
    done = click.testing.CliRunner().invoke(main, ["lookup", "--bootstrap", "nonsense", "--", "--json"])
    assert done.exit_code == 2
    assert done.stderr.startswith("Usage: ")


async def test_unreachable_network_is_told_once_and_chat_goes_on_all_the_same() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent, trio.fail_after(60):
        silent.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        net = ("--host", "127.0.0.1", "--bootstrap", address)

        async def lookup(*options: str) -> None:
            done = await run(*SWARM, "lookup", *net, *options, "room")
            assert done.returncode == 4
            (line,) = done.stderr.decode().splitlines()
            assert address in line

        async with (
            running("sh", "-c", 'exec "$@" 2>&1', "sh", *SWARM, "chat", *net, "--json", "room") as chat,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(lookup)
            nursery.start_soon(lookup, "--json")
            assert address in json.loads(await chat.line())["error"]
            await chat.end_input()
            assert await chat.process.wait() == 0


@pytest.mark.parametrize("arguments", [("testnet", "--nodes", "1", "--json"), ("chat", "--json", "room")])
async def test_input_that_was_closed_before_the_start_has_ended(
    net: tuple[str, ...], arguments: tuple[str, ...]
) -> None:
    with trio.fail_after(30):
        done = await run(*without_input(*arguments, *net))
    assert done.returncode == 0
    assert done.stderr == b""


async def test_no_input_is_no_value(net: tuple[str, ...]) -> None:
    with trio.fail_after(30):
        done = await run(*without_input("put", *net, "--json", "-"))
    assert done.returncode == 2
    error_of(done.stderr)


async def test_pipe_says_that_the_other_side_is_gone(net: tuple[str, ...], tmp_path: Path) -> None:
    said = tmp_path / "said"
    there = ("sh", "-c", f'exec "$@" 2>"{said}"', "sh", *SWARM)
    with trio.fail_after(60):
        async with (
            running(*SWARM, "pipe", *net, "secret") as here,
            running(*there, "pipe", *net, "--json", "secret") as b,
        ):
            await here.say("hello\n")
            assert await b.line() == "hello"
            here.process.send_signal(signal.SIGTERM)
            assert await here.process.wait() == 130
            assert await b.process.wait() == 1
    assert "broke" in error_of(said.read_bytes())["error"]


async def test_third_pipe_finds_nobody_once_two_have_met(net: tuple[str, ...]) -> None:
    with trio.fail_after(60):
        async with running(*SWARM, "pipe", *net, "secret") as a, running(*SWARM, "pipe", *net, "secret") as b:
            await a.say("one\n")
            assert await b.line() == "one"
            assert (await run(*SWARM, "pipe", *net, "--timeout", "1", "secret")).returncode == 3
            await b.say("two\n")
            assert await a.line() == "two"
            for end in (a, b):
                await end.end_input()
            for end in (a, b):
                assert await end.process.wait() == 0


async def test_a_public_key_is_shown_in_one_form_everywhere(net: tuple[str, ...], tmp_path: Path) -> None:
    file = tmp_path / "key"
    key = KeyPair.load_or_create(file).public_key.z32
    own = (*net, "--json", "--identity", str(file))
    shown: list[str] = []

    async def show(*command: str) -> None:
        async with running(*SWARM, *command) as program:
            shown.append(json.loads(await program.line())["public_key"])

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(show, "keygen", "--json", "--identity", str(file)))
            nursery.start_soon(partial(show, "put", *own, "--mutable", "value"))
            nursery.start_soon(partial(show, "relay", *own))
            async with running(*SWARM, "announce", *own, "room") as announcer:
                shown.append(json.loads(await announcer.line())["public_key"])
                await show("lookup", *net, "--json", "room")
    assert shown == [key] * 5
