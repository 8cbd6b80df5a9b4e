"""Both chats, the example and the command: peers that leave, and peers that do not read, stop nobody."""

from __future__ import annotations

import importlib.util
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest
import trio

from holepunch.testing import VirtualNetwork
from swarm import Swarm
from swarm.cli.chat import Room
from swarm.cli.output import Output
from swarm.testing import Testnet

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from swarm import Connection

pytestmark = pytest.mark.virtual_time

LONG = 50_000
"""Bytes of a line: some hundred of them are more than a connection takes for a peer that does not read."""
EXAMPLE = Path(__file__).parent.parent / "examples" / "chat.py"


class Chat(Protocol):
    """What both are made of."""

    async def listen(self, connection: Connection, /) -> None: ...

    async def say(self, line: Any, /) -> None: ...


@pytest.fixture(params=["example", "command"])
def chat(request: pytest.FixtureRequest) -> Chat:
    if request.param == "command":
        return Room(Output(as_json=False, verbosity=0))
    spec = importlib.util.spec_from_file_location("chat_example", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    example: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    return example  # type: ignore[no-any-return]


async def say(chat: Chat, line: str) -> None:
    with trio.fail_after(2):
        await chat.say(line if isinstance(chat, Room) else line.encode())


@asynccontextmanager
async def room(chat: Chat, people: int) -> AsyncIterator[list[Connection]]:
    """The chat with so many people in it: their ends of the connections."""
    async with VirtualNetwork() as network, trio.open_nursery() as nursery:
        host = network.host("192.88.99.1")
        net = await nursery.start(_testnet, network, host)
        server = await nursery.start(_chat, chat, Swarm(bootstrap=net.bootstrap, network=network.host()))
        connections = []
        for _ in range(people):
            client = await nursery.start(_peer, Swarm(bootstrap=net.bootstrap, network=network.host()))
            connections.append(await client.connect(server.public_key))
        await trio.sleep(1)
        yield connections
        nursery.cancel_scope.cancel()


async def _testnet(network: VirtualNetwork, host: Any, task_status: trio.TaskStatus[Testnet]) -> None:
    async with Testnet(3, host="192.88.99.1", network=host) as net:
        task_status.started(net)
        await trio.sleep_forever()


async def _chat(chat: Chat, swarm: Swarm, task_status: trio.TaskStatus[Swarm]) -> None:
    async with swarm:
        await swarm.join("room", client=False).flushed()
        task_status.started(swarm)
        await swarm.serve(chat.listen)


async def _peer(swarm: Swarm, task_status: trio.TaskStatus[Swarm]) -> None:
    async with swarm:
        task_status.started(swarm)
        await trio.sleep_forever()


async def heard(connection: Connection) -> str:
    with trio.fail_after(2):
        frame = await connection.receive_frame()
    assert frame is not None
    return frame.decode()


async def test_peer_that_does_not_read_misses_lines_and_stops_nobody(chat: Chat) -> None:
    async with room(chat, 2) as (deaf, reader):
        for number in range(110):
            line = f"{number} " + "x" * LONG
            await say(chat, line)
            assert await heard(reader) == line
        began = trio.current_time()
        await say(chat, "last")
        assert await heard(reader) == "last"
        assert trio.current_time() - began < 1.5

        # it reads again, and hears what it did not miss, in order
        numbers = []
        with trio.move_on_after(5):
            while frame := await deaf.receive_frame():
                numbers.append(int(frame.split()[0]))
        assert numbers == list(range(len(numbers)))
        assert 10 < len(numbers) < 110
        await say(chat, "again")
        await say(chat, "and again")
        assert [await heard(deaf), await heard(deaf)] == ["again", "and again"]


async def test_peers_that_left_or_were_closed_here_are_passed_over(
    chat: Chat, capsys: pytest.CaptureFixture[str]
) -> None:
    async with room(chat, 3) as (gone, closed, reader):
        gone.destroy()
        for connection in _own(chat):
            if connection.handshake_hash == closed.handshake_hash:
                connection.destroy()
        await say(chat, "anyone?")
        assert await heard(reader) == "anyone?"
        await trio.sleep(1)
        await say(chat, "still there?")
        assert await heard(reader) == "still there?"
        assert "".join(capsys.readouterr()).count(" left") == 2


async def test_goodbye_reaches_who_reads_whoever_does_not(chat: Chat) -> None:
    async with room(chat, 3) as (deaf, gone, reader):
        for _ in range(2):
            await say(chat, "x" * LONG)
            await heard(reader)
        gone.destroy()
        with trio.fail_after(5):
            await (chat.leave() if isinstance(chat, Room) else chat.say(b""))
            assert await reader.receive_frame() is None
        assert not deaf.is_closed


def _own(chat: Any) -> list[Connection]:
    return list(chat._people if isinstance(chat, Room) else chat.people)
