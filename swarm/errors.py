"""Errors of the swarm layer; the rest, and the root, are in `holepunch.errors`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holepunch.errors import SwarmError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holepunch.address import Address

__all__ = ["BootstrapError", "NotAMember", "StorageError"]


class BootstrapError(SwarmError):
    """No bootstrap node answered. ``addresses`` were asked, from ``local_addresses``."""

    def __init__(self, addresses: Sequence[str], local_addresses: Sequence[Address]) -> None:
        self.addresses = tuple(addresses)
        self.local_addresses = tuple(local_addresses)
        super().__init__(self.addresses, self.local_addresses)

    def __str__(self) -> str:
        asked = ", ".join(self.addresses) or "none were given"
        local = ", ".join(map(str, self.local_addresses)) or "no local address"
        return (
            f"no bootstrap node answered (asked: {asked}; from: {local}). "
            "Is this host online, and does its firewall let UDP out?"
        )


class NotAMember(SwarmError):
    """A peer has not proven the secret of the group. The ``__cause__`` of a dial that failed so."""


class StorageError(SwarmError):
    """No node of the DHT took a value. ``errors`` are the codes of those that refused it: see
    `swarm.dht.messages.PutError`."""

    def __init__(self, message: str, errors: Sequence[int] = ()) -> None:
        self.errors = tuple(errors)
        super().__init__(message)
