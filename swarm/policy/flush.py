"""Who waits until every peer known at some moment has been tried once. Dials nobody.

Node counts completions against a tick and forgets dials of explicit peers, so that its flush may never end; a set of
keys cannot miscount.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["Flushes"]


class Flushes:
    """Calls each waiter once. Callables are called last, with the state already right."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: list[tuple[set[bytes], Callable[[bool], None]]] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, outstanding: Iterable[bytes], on_done: Callable[[bool], None]) -> None:
        """Wait for these peers, of which there is at least one."""
        self._waiting.append((set(outstanding), on_done))

    def tried(self, public_key: bytes) -> None:
        """This peer was dialled, or will not be."""
        done = []
        for entry in self._waiting:
            entry[0].discard(public_key)
            if not entry[0]:
                done.append(entry)
        if done:
            self._waiting = [entry for entry in self._waiting if entry[0]]
            for _, on_done in done:
                on_done(True)

    def release(self, result: bool) -> None:
        """Nobody waits any longer."""
        waiting, self._waiting = self._waiting, []
        for _, on_done in waiting:
            on_done(result)
