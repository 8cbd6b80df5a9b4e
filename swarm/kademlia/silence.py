"""Nodes that did not answer lately, so that not every search of this node has to find out anew. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from holepunch.address import Address

__all__ = ["GONE", "Silence"]

GONE = 2
"""Attempts after which a node that has not answered is taken for gone, where others answered the first."""
KEPT = 30.0
"""Seconds. Whoever is thought to be silent is asked all the same, but not waited for as long."""
MOST = 256
"""Nodes remembered, those that fell silent last."""


class Silence:
    """By address, when it was noticed. Any packet of a node ends it."""

    __slots__ = ("_since",)

    def __init__(self) -> None:
        self._since: dict[Address, float] = {}

    def noticed(self, address: Address, now: float) -> None:
        """`GONE` attempts of a request or more had no answer."""
        self._since.pop(address, None)
        self._since[address] = now
        if len(self._since) > MOST:
            del self._since[next(iter(self._since))]

    def heard(self, address: Address) -> None:
        """It is there."""
        self._since.pop(address, None)

    def of(self, address: Address, now: float) -> bool:
        """Whether it was silent to what was asked last."""
        since = self._since.get(address)
        return since is not None and now - since < KEPT

    def clear(self) -> None:
        """Forget them all."""
        self._since.clear()
