"""The files of ``Swarm(state=...)``: written whole or not at all, and a bad one costs only itself."""

from __future__ import annotations

import logging
import os
import random
import sys
from typing import TYPE_CHECKING

import pytest
import trio

from holepunch.address import Address
from swarm import KeyPair, Swarm, Topic
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


def test_file_that_was_set_aside_is_not_replaced_by_the_next_one_and_there_are_only_so_many(tmp_path: Path) -> None:
    for number in range(12):
        (tmp_path / PEERS_FILE).write_bytes(b"bad file %d" % number)
        State(tmp_path).load()
    kept = sorted(file.read_bytes() for file in tmp_path.iterdir())
    assert kept == sorted(b"bad file %d" % number for number in (*range(8), 11))


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


KILLER = '''
"""Kills writers of the state in a directory at random moments, and reads after each what the next start would."""
import os, random, resource, signal, sys, time
from pathlib import Path

from holepunch.address import Address
from swarm import KeyPair, Topic
from swarm.remembered import MAX_PEERS, MAX_TOPICS, Peers
from swarm.state import PEERS_FILE, State, replace

directory, how, kills, seed = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
rng = random.Random(seed)
file = directory / PEERS_FILE
topic = Topic(bytes(32))


def contents(number):
    """Some 120 KB in which every peer has the same relay, by which the version is known."""
    peers = Peers()
    relays = [Address("88.99.3.1", number)] * 4
    for topic in range(MAX_TOPICS // 2):
        for peer in range(MAX_PEERS if topic else 4):
            peers.met(topic.to_bytes(32, "big"), peer.to_bytes(32, "big"), relays)
    return peers.encode()


versions = {number: contents(number) for number in (1, 2)}
replace(file, versions[1])
for _ in range(kills):
    cut, pause = rng.randrange(len(versions[1])), rng.random() * 0.02
    started, start = os.pipe()
    child = os.fork()
    if child == 0:
        if how == "in the middle":
            resource.setrlimit(resource.RLIMIT_FSIZE, (cut, cut))
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # the system ends the process at that byte
        os.write(start, b".")
        while True:
            for number in (2, 1):
                replace(file, versions[number])
    os.read(started, 1)
    os.close(started)
    os.close(start)
    if how == "at random":
        time.sleep(pause)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == (signal.SIGKILL if how == "at random" else signal.SIGXFSZ), status
    state = State(directory)
    state.load()
    known = {relays for _, relays in state.peers_of(bytes(32))}
    assert known in ({(Address("88.99.3.1", 1),) * 4}, {(Address("88.99.3.1", 2),) * 4}), known
    assert file.read_bytes() in versions.values()
'''


@pytest.mark.parametrize(("how", "kills"), [("in the middle", 30), ("at random", 40)])
async def test_writer_killed_at_any_moment_leaves_a_whole_file_and_the_next_swarm_starts(
    tmp_path: Path, how: str, kills: int, caplog: pytest.LogCaptureFixture
) -> None:
    killer = [sys.executable, "-c", KILLER, str(tmp_path), how, str(kills), str(random.randrange(1 << 32))]
    done = await trio.run_process(killer, capture_stderr=True, check=False)
    assert done.returncode == 0, f"{killer[-1]}: {done.stderr.decode()}"
    async with Swarm(bootstrap=[], host="127.0.0.1", state=tmp_path) as swarm:
        swarm.join(Topic(bytes(32)), server=False)
        assert len(swarm.peers) == 4
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
