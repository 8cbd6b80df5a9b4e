"""The own public address, as many nodes see it over time. Pure; it judges no NAT (see `holepunch.nat.classifier`).

Node: nat-sampler 1.0.1, which the DHT decides by whether a node becomes persistent: the counting is the same.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Sampler"]

KEPT = 16
"""Samples that count: an address that changed is noticed after as many."""
RECENT = 4
"""Only the last samples are looked through for an equal one, as in Node: what returns later is counted anew."""


class _Count:
    __slots__ = ("hits", "host", "port")

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port
        self.hits = 0


class Sampler:
    """The address that nearly all of the last samples agree on.

    ``host`` is None while they do not agree; ``port`` is 0 while they agree on no more than the host.
    """

    __slots__ = ("_address", "_host", "_samples", "host", "port", "size")

    def __init__(self) -> None:
        self.host: str | None = None
        self.port = 0
        self.size = 0
        """Samples that count, at most 16."""
        # Every sample counts twice: its address, and its host with port 0.
        self._samples: deque[tuple[_Count, _Count]] = deque()
        # The most frequent of each; when its count goes down, it stays until another one has more.
        self._address = self._host = _Count("", 0)

    @property
    def threshold(self) -> int:
        """How many samples must agree: all of the first three, later all but one, two or three."""
        return self.size - min(self.size // 4, 3)

    def add(self, host: str, port: int) -> None:
        """A node sees this side at ``host`` and ``port``."""
        recent = list(self._samples)[: -RECENT - 1 : -1]
        address = _count((a for a, _ in recent), host, port)
        only_host = _count((h for _, h in recent), host, 0)
        self._samples.append((address, only_host))
        if len(self._samples) > KEPT:
            for count in self._samples.popleft():
                count.hits -= 1
        self.size = len(self._samples)
        if self._address.hits < address.hits:
            self._address = address
        if self._host.hits < only_host.hits:
            self._host = only_host
        self.host, self.port = None, 0
        if self._address.hits >= self.threshold:
            self.host, self.port = self._address.host, self._address.port
        elif self._host.hits >= self.threshold:
            self.host = self._host.host


def _count(recent: Iterable[_Count], host: str, port: int) -> _Count:
    found = next((c for c in recent if c.host == host and c.port == port), None) or _Count(host, port)
    found.hits += 1
    return found
