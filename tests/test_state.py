"""The files of ``Swarm(state=...)``: written whole or not at all, and a bad one costs only itself."""

from __future__ import annotations

import logging
import os
import random
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from holepunch.address import Address
from swarm import KeyPair, Swarm, Topic
from swarm.remembered import decode_nodes
from swarm.state import NODES_FILE, PEERS_FILE, State, replace

if TYPE_CHECKING:
    from pathlib import Path

NODES = [Address("88.99.3.1", 1), Address("88.99.3.2", 2)]
TOPIC = Topic.from_name("remembered")
PEER = KeyPair.from_seed(bytes(32)).public_key


async def remember(directory: Path) -> None:
    state = State(directory)
    state.load()
    state.met([TOPIC], PEER, NODES)
    await state.save(NODES)


async def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    directory = tmp_path / "made" / "if needed"
    await remember(directory)
    state = State(directory)
    assert state.load() == NODES
    assert state.peers_of(TOPIC) == [(PEER, tuple(NODES))]
    assert directory.stat().st_mode & 0o777 == 0o700
    assert {file.name: file.stat().st_mode & 0o777 for file in directory.iterdir()} == {
        NODES_FILE: 0o600,
        PEERS_FILE: 0o600,
    }


@pytest.mark.parametrize("damage", [b"", b"mine, not yours", bytes(2 << 20)])
async def test_bad_file_is_set_aside_with_a_warning_and_nothing_else_is_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: bytes
) -> None:
    await remember(tmp_path)
    (tmp_path / PEERS_FILE).write_bytes(damage)
    (tmp_path / "diary.txt").write_text("mine")
    state = State(tmp_path)
    assert state.load() == NODES
    assert state.peers_of(TOPIC) == []
    (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert PEERS_FILE in record.getMessage()
    assert (tmp_path / (PEERS_FILE + ".unreadable")).read_bytes() == damage
    assert (tmp_path / "diary.txt").read_text() == "mine"
    await state.save(NODES)
    assert State(tmp_path).load() == NODES


async def test_directory_that_cannot_be_written_is_said_once_and_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    directory = tmp_path / "gone"
    state = State(directory)
    state.load()
    directory.rmdir()
    await state.save(NODES)
    await state.save(NODES)
    assert caplog.text.count("cannot be written") == 1


async def test_path_that_is_a_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(OSError, match="file"):
        async with Swarm(bootstrap=[], host="127.0.0.1", state=file):
            pytest.fail("it was entered")


def test_leftovers_of_killed_writers_go_once_they_are_old(tmp_path: Path) -> None:
    old, new = (tmp_path / f".{NODES_FILE}.{n}.ab.part" for n in (1, 2))
    for part in (old, new):
        part.write_bytes(b"half")
    os.utime(old, (0, 0))
    State(tmp_path).load()
    assert [file.name for file in tmp_path.iterdir()] == [new.name]


def test_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    file = tmp_path / NODES_FILE
    file.mkdir()  # a directory cannot be replaced by a file
    with pytest.raises(OSError):
        replace(file, b"new")
    assert [entry.name for entry in tmp_path.iterdir()] == [NODES_FILE]


WRITER = """
import itertools, sys
from pathlib import Path
from holepunch.address import Address
from swarm.remembered import encode_nodes
from swarm.state import NODES_FILE, replace
for port in itertools.count(1):
    replace(Path(sys.argv[1]) / NODES_FILE, encode_nodes([Address("10.0.0.1", port % 65535 + 1)] * 64))
    print(port, flush=True)
"""


def test_writer_killed_at_any_moment_leaves_a_whole_file(tmp_path: Path) -> None:
    for _ in range(10):
        with subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            for _ in range(random.randrange(1, 40)):
                written = int(writer.stdout.readline())
            writer.send_signal(signal.SIGKILL)
            written = max([written, *map(int, writer.stdout.read().split())])
        (port,) = {address.port for address in decode_nodes((tmp_path / NODES_FILE).read_bytes())}
        assert port - 1 in (written, written + 1)
