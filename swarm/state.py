"""The directory of ``Swarm(state=...)``: what `swarm.remembered` keeps, as files. Decides nothing about peers.

A file is replaced as a whole: written aside, synchronised, renamed. Whatever moment the process or the machine ends in,
the next start finds the old one or the new one.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import trio

from holepunch.errors import DecodeError
from holepunch.files import PART, written_aside
from swarm.remembered import MAX_FILE, Peers, decode_nodes, encode_nodes, merge_nodes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from holepunch.address import Address

__all__ = ["State"]

T = TypeVar("T")
logger = logging.getLogger(__name__)

NODES_FILE = "nodes.msgpack"
PEERS_FILE = "peers.msgpack"
UNREADABLE = (".unreadable", *(f".unreadable.{number}" for number in range(2, 10)))
"""Behind the name of a file that was set aside: the first that is free, else the last, so that there are never more."""
ABANDONED = 60.0
"""Seconds after which a file that was being written is one whose writer is gone."""

SETTLE = 1.0
"""Seconds that a change waits for others before it is written."""
PAUSE = 10.0
"""Seconds at least between two writes: a crowded topic must not wear out a flash card."""
NODES_FIRST = 20.0
"""Seconds after the start when the nodes met by then are written first, and"""
NODES_EVERY = 600.0
"""seconds between later times."""
DIALLED = 16
"""Peers of a topic that are dialled before the first look-up answers. A few that are there lead to the others; a dial
that fails costs as much as one that does not."""


class State:
    """Remembers from `load` on; `keep` writes what changed, and `save` what there is at the end."""

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        """Touches nothing. Raises ``TypeError`` for what is no path."""
        self._directory = Path(os.fspath(directory)).expanduser()
        self._peers = Peers()
        self._earlier_nodes: list[Address] = []
        self._written: dict[str, bytes] = {}
        self._writing = trio.Lock()
        self._changed = trio.Event()
        self._failing = False

    def load(self) -> Sequence[Address]:
        """Read what an earlier run left, and give its nodes. Raises ``OSError`` when there can be no such directory.

        A file that cannot be understood is set aside with a warning.
        """
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._sweep()
        self._earlier_nodes = self._read(NODES_FILE, decode_nodes) or []
        self._peers = self._read(PEERS_FILE, Peers.decode) or Peers()
        return self._earlier_nodes

    # -- what is remembered ------------------------------------------------------------------------------------------

    def peers_of(self, topic: bytes) -> list[tuple[bytes, tuple[Address, ...]]]:
        """Those to dial first, and their relays."""
        return self._peers.of(topic, DIALLED)

    def met(self, topics: Sequence[bytes], public_key: bytes, relays: Sequence[Address]) -> None:
        """A connection to this peer was made, and these are the topics that it shares."""
        for topic in topics:
            self._peers.met(topic, public_key, relays)
        if topics:
            self._changed.set()

    def lost(self, public_key: bytes) -> None:
        """The network does not know this peer any more."""
        self._peers.lost(public_key)
        self._changed.set()

    # -- writing -----------------------------------------------------------------------------------------------------

    async def keep(self, nodes: Callable[[], Sequence[Address]]) -> None:
        """Write what changes, until cancelled. ``nodes`` gives those of the routing table that were heard."""
        due = trio.current_time() + NODES_FIRST
        while True:
            with trio.move_on_at(due):
                await self._changed.wait()
                await trio.sleep(SETTLE)
            self._changed = trio.Event()
            if trio.current_time() >= due:
                due = trio.current_time() + NODES_EVERY
                await self.save(nodes())
            else:
                await self._write(PEERS_FILE, self._peers.encode())
            await trio.sleep(PAUSE)

    async def save(self, nodes: Sequence[Address]) -> None:
        """Write everything, as far as it changed. What cannot be written is logged, once, and costs nothing else.

        Cancelled: it is done all the same, and takes as long as the disk does.
        """
        with trio.CancelScope(shield=True):
            await self._write(NODES_FILE, encode_nodes(merge_nodes(nodes, self._earlier_nodes)))
            await self._write(PEERS_FILE, self._peers.encode())

    async def _write(self, name: str, data: bytes) -> None:
        async with self._writing:
            if self._written.get(name) == data:
                return
            try:
                await trio.to_thread.run_sync(replace, self._directory / name, data)
            except OSError as error:
                if not self._failing:
                    logger.warning("%s cannot be written, what was learnt is lost: %s", self._directory / name, error)
                self._failing = True
            else:
                self._written[name] = data
                self._failing = False

    # -- reading -----------------------------------------------------------------------------------------------------

    def _read(self, name: str, decode: Callable[[bytes], T]) -> T | None:
        file = self._directory / name
        try:
            with file.open("rb") as handle:
                data = handle.read(MAX_FILE + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            logger.warning("%s cannot be read, starting without it: %s", file, error)
            return None
        try:
            if len(data) > MAX_FILE:
                raise DecodeError(f"it has more than {MAX_FILE} bytes")
            value = decode(data)
        except DecodeError as error:
            self._set_aside(file, error)
            return None
        self._written[name] = data
        return value

    def _set_aside(self, file: Path, error: DecodeError) -> None:
        names = [file.with_name(file.name + suffix) for suffix in UNREADABLE]
        aside = next((name for name in names if not name.exists()), names[-1])
        try:
            os.replace(file, aside)
        except OSError as problem:
            logger.warning("%s is no state of a swarm (%s) and cannot be set aside: %s", file, error, problem)
        else:
            logger.warning("%s is no state of a swarm: %s. It is %s now; starting without it", file, error, aside.name)

    def _sweep(self) -> None:
        """Remove what killed writers left."""
        for name in (NODES_FILE, PEERS_FILE):
            for part in self._directory.glob(f".{name}.*{PART}"):
                with contextlib.suppress(OSError):
                    if time.time() - part.stat().st_mtime > ABANDONED:
                        part.unlink()


def replace(file: Path, data: bytes) -> None:
    """Make ``data`` the contents of a file, or leave it as it is. Raises ``OSError``."""
    with written_aside(file, data) as part:
        os.replace(part, file)
    if os.name == "posix":  # the name lasts only once the directory is on disk, too
        directory = os.open(file.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
