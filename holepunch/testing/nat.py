"""Network address translation as RFC 4787 names its kinds: the table of one NAT box. Pure: the time comes in.

It knows no links and no packets, only which endpoint is which, and who may come in.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable

    from holepunch.address import Address
    from holepunch.core import Random

__all__ = ["Dependence", "NatBehaviour", "PortAllocation", "Translation"]

_LOWEST, _HIGHEST = 1024, 65535
"""The public ports a NAT gives out."""


class Dependence(Enum):
    """What a mapping, or a permission to come in, depends on (RFC 4787 sections 4.1 and 5)."""

    ENDPOINT_INDEPENDENT = "endpoint-independent"
    ADDRESS_DEPENDENT = "address-dependent"
    ADDRESS_AND_PORT_DEPENDENT = "address-and-port-dependent"

    def key(self, remote: Address) -> Hashable:
        """Remote addresses with equal keys are treated alike."""
        if self is Dependence.ENDPOINT_INDEPENDENT:
            return None
        return remote.host if self is Dependence.ADDRESS_DEPENDENT else remote


class PortAllocation(Enum):
    """Which public port a new mapping gets."""

    PRESERVE = "preserve"
    """The port of the endpoint inside while that is free, else a random one."""
    RANDOM = "random"
    SEQUENTIAL = "sequential"
    """One above the last."""


@dataclass(frozen=True, slots=True)
class NatBehaviour:
    """What kind of NAT a box is. The defaults are the usual home router's: a port-restricted cone."""

    mapping: Dependence = Dependence.ENDPOINT_INDEPENDENT
    filtering: Dependence = Dependence.ADDRESS_AND_PORT_DEPENDENT
    port_allocation: PortAllocation = PortAllocation.PRESERVE
    hairpin: bool = False
    """Whether hosts inside reach each other by their public addresses. What is turned around is not filtered."""
    expiry: float = 120.0
    """Seconds without traffic, in either direction, after which a mapping or a permission is gone."""
    forward_all: bool = False
    """What nobody inside asked for goes to the first host inside, port unchanged (a "DMZ host")."""
    udp: bool = True
    """False: no UDP passes at all."""


class _Mapping:
    """A public port on loan to an endpoint inside."""

    __slots__ = ("expires", "inside", "key", "permitted", "port", "sweep_at")

    def __init__(self, inside: Address, key: Hashable, port: int) -> None:
        self.inside = inside
        self.key = key
        self.port = port
        self.expires = 0.0
        self.permitted: dict[Hashable, float] = {}
        self.sweep_at = 64

    def touch(self, permission: Hashable, now: float, expiry: float) -> None:
        self.expires = self.permitted[permission] = now + expiry
        if len(self.permitted) >= self.sweep_at:
            self.permitted = {key: until for key, until in self.permitted.items() if until > now}
            self.sweep_at = max(64, 2 * len(self.permitted))


class Translation:
    """The translation table of one box."""

    def __init__(self, behaviour: NatBehaviour, random: Random) -> None:
        self.behaviour = behaviour
        self._random = random
        self._by_inside: dict[tuple[Address, Hashable], _Mapping] = {}
        self._by_port: dict[int, _Mapping] = {}
        self._moved = False
        self._next_port = self._any_port()

    def __len__(self) -> int:
        """Mappings in the table, those expired but not yet swept included."""
        return len(self._by_port)

    def outbound(self, inside: Address, remote: Address, now: float) -> int | None:
        """The public port that ``inside`` appears with at ``remote``. None when all ports are taken."""
        key = self.behaviour.mapping.key(remote)
        mapping = self._alive(self._by_inside.get((inside, key)), now)
        if mapping is None:
            port = self._allocate(inside.port, now)
            if port is None:
                return None
            mapping = self._by_port[port] = self._by_inside[inside, key] = _Mapping(inside, key, port)
        mapping.touch(self.behaviour.filtering.key(remote), now, self.behaviour.expiry)
        return mapping.port

    def inbound(self, port: int, remote: Address, now: float) -> Address | None:
        """The endpoint inside that a datagram from ``remote`` to the public ``port`` is for; None: drop it."""
        mapping = self._alive(self._by_port.get(port), now)
        if mapping is None:
            return None
        permission = self.behaviour.filtering.key(remote)
        if mapping.permitted.get(permission, now) <= now:
            return None
        mapping.touch(permission, now, self.behaviour.expiry)
        return mapping.inside

    def owner(self, port: int, now: float) -> Address | None:
        """The endpoint inside that holds a public port, whoever asks."""
        mapping = self._alive(self._by_port.get(port), now)
        return mapping.inside if mapping is not None else None

    def flush(self) -> None:
        """Forget all mappings, as a reboot does. Preserved ports come back the same."""
        self._by_inside.clear()
        self._by_port.clear()

    def rebind(self) -> None:
        """Forget all mappings and give out other ports from now on, preserved ones included."""
        self.flush()
        self._moved = True
        self._next_port = self._any_port()

    def _alive(self, mapping: _Mapping | None, now: float) -> _Mapping | None:
        if mapping is not None and mapping.expires <= now:
            self._remove(mapping)
            return None
        return mapping

    def _remove(self, mapping: _Mapping) -> None:
        del self._by_port[mapping.port]
        del self._by_inside[mapping.inside, mapping.key]

    def _allocate(self, wanted: int, now: float) -> int | None:
        preserve = self.behaviour.port_allocation is PortAllocation.PRESERVE and not self._moved
        if preserve and self._free(wanted, now):
            return wanted
        sequential = self.behaviour.port_allocation is PortAllocation.SEQUENTIAL
        start = self._next_port if sequential else self._any_port()
        for port in itertools.chain(range(start, _HIGHEST + 1), range(_LOWEST, start)):
            # A port that is not preserved differs from the one inside, or nobody could tell.
            if self._free(port, now) and (port != wanted or sequential):
                self._next_port = port + 1 if port < _HIGHEST else _LOWEST
                return port
        return None

    def _free(self, port: int, now: float) -> bool:
        return self._alive(self._by_port.get(port), now) is None

    def _any_port(self) -> int:
        return self._random.randrange(_LOWEST, _HIGHEST + 1)
