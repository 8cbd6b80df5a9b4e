"""A virtual internet that is driven by hand, and sockets that remember what they got."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from holepunch.address import Address
from holepunch.core import Schedule
from holepunch.testing import Host, Internet

__all__ = ["Port", "World"]


class World(Internet[Host[Any]]):
    """An internet and its time."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(Schedule(), Host, seed=seed)

    def settle(self) -> None:
        """Let all packets get where they go."""
        while self.schedule.deadline() < math.inf:
            self.schedule.advance(self.schedule.deadline())

    def wait(self, seconds: float) -> None:
        """Let time pass when nothing is under way any more."""
        self.settle()
        self.schedule.advance(self.schedule.now + seconds)


@dataclass
class Port:
    """An open socket of a host, and what it got."""

    host: Host[Any]
    port: int = 0
    address: Address = field(init=False)
    payloads: list[bytes] = field(default_factory=list)
    segments: list[int] = field(default_factory=list)
    sources: list[Address] = field(default_factory=list)
    times: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        bound = self.host.open(self._accept, port=self.port)
        self._bound = bound
        self.address = Address(self.host.addresses[0], bound.port)

    def _accept(self, data: bytes, segment: int, source: Address) -> None:
        self.payloads.append(data)
        self.segments.append(segment)
        self.sources.append(source)
        self.times.append(self.host.internet.schedule.now)

    def send(self, data: bytes, to: Address, *, segment: int = 0, ttl: int = 0) -> None:
        self.host.send(self._bound, data, segment or len(data), to, ttl)

    def close(self) -> None:
        self.host.shut(self._bound)
