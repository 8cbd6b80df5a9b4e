"""The command ``swarm``, run as users run it."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any

import pytest
import trio

from holepunch.udp.interfaces import local_hosts
from swarm.testing import Testnet
from tests.programs import SWARM, run, running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def net() -> AsyncIterator[tuple[str, ...]]:
    """The options that put a command on a DHT of this test's own."""
    async with Testnet(3) as testnet:
        yield ("--host", "127.0.0.1", "--bootstrap", testnet.bootstrap[0])


def objects(output: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


# -- the command itself ----------------------------------------------------------------------------------------------


async def test_version_imports_no_networking() -> None:
    program = (
        "import sys\nfrom swarm.cli import main\ntry:\n main(['--version'])\nfinally:\n print('trio' in sys.modules)"
    )
    done = await run(sys.executable, "-c", program)
    assert done.stdout.decode().split() == ["-c", "0.1.0", "False"]


async def test_help_lists_every_command_with_its_purpose() -> None:
    done = await run(*SWARM, "--help")
    assert done.returncode == 0
    for name in (
        b"demo",
        b"testnet",
        b"chat",
        b"keygen",
        b"lookup",
        b"announce",
        b"put",
        b"get",
        b"node",
        b"bootstrap",
    ):
        assert b"\n  " + name + b" " in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("chat",),
        ("chat", "--bootstrap", "nonsense", "room"),
        ("lookup", "--relay", "nonsense", "room"),
        ("receive", "nonsense"),
        ("put", "--mutable", "value"),
        ("put", "x" * 1001),
        ("testnet", "--nodes", "0"),
        ("bootstrap", "nonsense"),
        ("node", "--host", "nonsense"),
        ("get", "nonsense"),
        ("get", "--mutable", "nonsense"),
        ("put", ""),
        ("unheard-of",),
    ],
)
async def test_wrong_usage_is_told_before_anything_is_sent(arguments: tuple[str, ...]) -> None:
    done = await run(*SWARM, *arguments)
    assert done.returncode == 2
    assert done.stdout == b""
    assert b"nonsense" in done.stderr or "nonsense" not in arguments


async def test_key_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_bytes(bytes(32))
    key.chmod(0o644)
    done = await run(*SWARM, "keygen", "--identity", str(key))
    assert done.returncode == 2
    assert b"chmod 600" in done.stderr


async def test_dht_that_does_not_answer_is_no_connection() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent, trio.fail_after(60):
        silent.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        done = await run(*SWARM, "lookup", "--host", "127.0.0.1", "--bootstrap", address, "--json", "room")
    assert done.returncode == 4
    assert address in json.loads(done.stderr.splitlines()[-1])["error"]


async def test_port_in_use_is_a_clear_failure() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = str(taken.getsockname()[1])
        done = await run(*SWARM, "lookup", "--host", "127.0.0.1", "--port", port, "--bootstrap", "127.0.0.1:9", "room")
    assert done.returncode == 1
    assert port.encode() in done.stderr
    assert b"Traceback" not in done.stderr


# -- a network on this machine ---------------------------------------------------------------------------------------


async def test_demo_connects_within_a_second_and_verifies_what_arrived_in_both_processes() -> None:
    with trio.fail_after(60):
        done = await run(*SWARM, "demo", "--json")
    events = objects(done.stdout)
    assert done.returncode == 0
    assert events[-1]["what"] == "verified"
    assert {event["who"] for event in events if event["what"] == "received"} == {"alice", "bob"}
    # from its own join on: what the one waits for before the other one's process runs is no time of the protocol
    seconds = {event["who"]: event["seconds"] for event in events if event["what"] == "connected"}
    assert min(seconds.values()) < 1
    for process in {event["process"] for event in events if event["what"] == "joined"}:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)


@pytest.mark.parametrize("end", ["input", signal.SIGINT, signal.SIGTERM])
async def test_testnet_tells_its_address_first_and_ends_when_told(end: str | signal.Signals) -> None:
    with trio.fail_after(30):
        async with running(*SWARM, "testnet", "--nodes", "2", "--json") as testnet:
            (address,) = json.loads(await testnet.line())["bootstrap"]
            done = await run(*SWARM, "lookup", "--host", "127.0.0.1", "--bootstrap", address, "nobody's topic")
            assert done.returncode == 3
            if isinstance(end, signal.Signals):
                testnet.process.send_signal(end)
            else:
                await testnet.end_input()
            assert await testnet.process.wait() == 0


async def test_hash_that_is_none_is_not_called_a_key() -> None:
    done = await run(*SWARM, "get", "nonsense")
    assert b"hash" in done.stderr
    assert b"key" not in done.stderr


@pytest.mark.parametrize(
    "where", [("127.0.0.1", "--host", "127.0.0.1"), ("--host", "127.0.0.1"), ()], ids=["address", "host", "neither"]
)
async def test_what_a_bootstrap_node_prints_is_what_others_give(where: tuple[str, ...]) -> None:
    with trio.fail_after(30):
        async with running(*SWARM, "bootstrap", *where) as first:
            address = await first.line()
            assert address.rpartition(":")[0] == (local_hosts()[0] if where == () else "127.0.0.1")
            async with running(*SWARM, "node", "--persistent", "--bootstrap", address, *where[-2:]) as second:
                node = await second.line()
                assert not node.startswith("0.0.0.0")
                done = await run(*SWARM, "put", "--bootstrap", node, *where[-2:], "a value")
                assert done.returncode == 0
                target = done.stdout.decode().strip()
                got = await run(*SWARM, "get", "--bootstrap", address, *where[-2:], target)
                assert got.stdout == b"a value"


async def test_nodes_join_the_network_of_a_bootstrap_node() -> None:
    with trio.fail_after(60):
        async with running(*SWARM, "bootstrap", "127.0.0.1", "--host", "127.0.0.1", "--json") as first:
            (address,) = json.loads(await first.line())["bootstrap"]
            option = ("--host", "127.0.0.1", "--bootstrap", address)
            async with running(*SWARM, "node", *option, "--persistent", "--json") as second:
                assert json.loads(await second.line())["address"].startswith("127.0.0.1:")
                async with running(*SWARM, "announce", *option, "--json", "a topic") as announcer:
                    key = json.loads(await announcer.line())["public_key"]
                    done = await run(*SWARM, "lookup", *option, "--json", "a topic")
                    assert [found["public_key"] for found in objects(done.stdout)] == [key]


# -- keys and values -------------------------------------------------------------------------------------------------


async def test_keygen_keeps_a_key_that_only_its_owner_reads(tmp_path: Path) -> None:
    key = tmp_path / "alice.key"
    first = await run(*SWARM, "keygen", "--identity", str(key), "--json")
    again = await run(*SWARM, "keygen", "--identity", str(key), "--json")
    assert key.stat().st_mode & 0o777 == 0o600
    assert first.stdout == again.stdout
    assert "seed" not in objects(first.stdout)[0]


async def test_announced_key_is_found_until_the_command_is_interrupted(net: tuple[str, ...], tmp_path: Path) -> None:
    key = str(tmp_path / "key")
    with trio.fail_after(60):
        assert (await run(*SWARM, "lookup", *net, "room")).returncode == 3
        async with running(*SWARM, "announce", *net, "--identity", key, "room") as announcer:
            public_key = await announcer.line()
            assert (await run(*SWARM, "lookup", *net, "room")).stdout.decode().split() == [public_key]
            announcer.process.send_signal(signal.SIGINT)
            assert await announcer.process.wait() == 0
        assert (await run(*SWARM, "lookup", *net, "room")).returncode == 3


async def test_values_are_put_and_got(net: tuple[str, ...], tmp_path: Path) -> None:
    mutable = (*net, "--mutable", "--identity", str(tmp_path / "key"))

    async def immutable_value() -> None:
        target = (await run(*SWARM, "put", *net, "-", stdin=b"\0any bytes\n")).stdout.decode().strip()
        assert (await run(*SWARM, "get", *net, target)).stdout == b"\0any bytes\n"
        assert (await run(*SWARM, "get", *net, "00" * 32)).returncode == 3

    async def mutable_value() -> None:
        for seq, value in ((1, "first"), (2, "second")):
            key = (await run(*SWARM, "put", *mutable, "--seq", str(seq), value)).stdout.decode().strip()
            assert (await run(*SWARM, "get", *net, "--mutable", key)).stdout.decode() == value
        missing = await run(*SWARM, "get", *net, "00" * 32)
        assert missing.returncode == 3
        assert b"00" * 32 in missing.stderr
        again = await run(*SWARM, "put", *mutable, "--seq", "1", "third")
        assert again.returncode == 1
        assert b"sequence number than 1 " in again.stderr

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(immutable_value)
            nursery.start_soon(mutable_value)


async def test_value_that_is_too_large_is_wrong_usage(net: tuple[str, ...]) -> None:
    done = await run(*SWARM, "put", *net, "-", stdin=bytes(100_000))
    assert done.returncode == 2
    assert b"100000" in done.stderr
    assert b"Traceback" not in done.stderr


# -- connections -----------------------------------------------------------------------------------------------------


async def test_chat_carries_lines_and_ends_with_its_input(net: tuple[str, ...]) -> None:
    with trio.fail_after(60):
        async with running(*SWARM, "chat", *net, "--json", "room") as listener:
            async with running(*SWARM, "chat", *net, "--json", "room") as speaker:
                for person in (speaker, listener):
                    await person.line_with("joined")
                await speaker.say("\ngrüß Gott \x1b[31m\n\n")
                heard = json.loads(await listener.line_with("text"))
                assert heard["text"] == "grüß Gott \N{REPLACEMENT CHARACTER}[31m"
                await speaker.end_input()
                assert await speaker.process.wait() == 0
            listener.process.send_signal(signal.SIGINT)
            assert await listener.process.wait() == 130


async def test_pipe_joins_inputs_with_outputs(net: tuple[str, ...]) -> None:
    here, there = os.urandom(1_000_000), os.urandom(300_000)
    outputs: dict[bytes, bytes] = {}

    async def pipe(data: bytes) -> None:
        done = await run(*SWARM, "pipe", *net, "--timeout", "30", "a secret", stdin=data)
        assert done.returncode == 0
        outputs[data] = done.stdout

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pipe, here)
            nursery.start_soon(pipe, there)
    assert outputs == {here: there, there: here}


async def test_pipe_gives_up_when_nobody_comes(net: tuple[str, ...]) -> None:
    with trio.fail_after(30):
        assert (await run(*SWARM, "pipe", *net, "--timeout", "1", "a secret")).returncode == 3


async def test_file_is_received_once_whole_and_never_over_another(net: tuple[str, ...], tmp_path: Path) -> None:
    sent, inbox = tmp_path / "holiday.jpg", tmp_path / "inbox"
    sent.write_bytes(os.urandom(3_000_000))
    inbox.mkdir()
    with trio.fail_after(60):
        async with running(*SWARM, "send", *net, str(sent)) as sender:
            code = await sender.line()
            receive = (*SWARM, "receive", *net, "--output", str(inbox), code)
            assert (await run(*receive)).returncode == 0
            assert (inbox / "holiday.jpg").read_bytes() == sent.read_bytes()
            assert "arrived" in await sender.line()
            assert await sender.process.wait() == 0
        async with running(*SWARM, "send", *net, str(sent)) as sender:
            code = await sender.line()
            assert (await run(*SWARM, "receive", *net, "--output", str(inbox), code)).returncode == 1
        assert [entry.name for entry in inbox.iterdir()] == ["holiday.jpg"]


async def test_people_at_a_terminal_see_how_far_a_file_is(net: tuple[str, ...], tmp_path: Path) -> None:
    sent = tmp_path / "holiday.jpg"
    sent.write_bytes(os.urandom(3_000_000))
    screen, terminal = os.openpty()
    shown = b""
    try:
        with trio.fail_after(60):
            async with running(*SWARM, "send", *net, str(sent)) as sender:
                receive = (*SWARM, "receive", *net, "--output", str(tmp_path / "received"), await sender.line())
                async with running(*receive, stderr=terminal) as receiver:
                    while b"3.0/3.0 MB" not in shown:
                        await trio.lowlevel.wait_readable(screen)
                        shown += os.read(screen, 4096)
                    assert await receiver.process.wait() == 0
    finally:
        os.close(terminal)
        os.close(screen)


async def test_exposed_port_is_reached_through_a_forwarded_one(net: tuple[str, ...], nursery: trio.Nursery) -> None:
    async def shout(stream: trio.SocketStream) -> None:
        async for data in stream:
            await stream.send_all(data.upper())
        await stream.send_eof()

    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    nursery.start_soon(trio.serve_listeners, shout, listeners)
    service = str(listeners[0].socket.getsockname()[1])
    with trio.fail_after(60):
        async with (
            running(*SWARM, "expose", *net, service) as exposed,
            running(*SWARM, "forward", *net, "--json", await exposed.line(), "0") as forwarded,
        ):
            port = json.loads(await forwarded.line())["port"]
            for text in (b"hello", b"again"):
                async with await trio.open_tcp_stream("127.0.0.1", port) as client:
                    await client.send_all(text)
                    await client.send_eof()
                    assert b"".join([data async for data in client]) == text.upper()
