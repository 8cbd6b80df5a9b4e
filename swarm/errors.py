"""Errors of the swarm layer; the rest, and the root, are in `holepunch.errors`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holepunch.errors import SwarmError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holepunch.address import Address

__all__ = ["BootstrapError", "NotAMember", "StorageError"]


class BootstrapError(SwarmError):
    """No bootstrap node answered."""

    def __init__(
        self, addresses: Sequence[str], local_addresses: Sequence[Address], unresolved: Sequence[str] = ()
    ) -> None:
        self.addresses = tuple(addresses)
        """What was tried: each bootstrap node as it was given, then the addresses that were asked, those that names
        resolved to and those remembered from an earlier run among them."""
        self.local_addresses = tuple(local_addresses)
        """This side's, from which they were asked."""
        self.unresolved = tuple(unresolved)
        """Those of the bootstrap nodes whose name DNS gave no address for."""
        super().__init__(self.addresses, self.local_addresses, self.unresolved)

    def __str__(self) -> str:
        asked = ", ".join(self.addresses) or "none were given"
        local = ", ".join(map(str, self.local_addresses)) or "no local address"
        unresolved = f"; does not resolve: {', '.join(self.unresolved)}" if self.unresolved else ""
        return (
            f"no bootstrap node answered (asked: {asked}{unresolved}; from: {local}). "
            "Is this host online, and does its firewall let UDP out?"
        )


class NotAMember(SwarmError):
    """A peer has not proven the secret of the group. The ``__cause__`` of a dial that failed so."""


class StorageError(SwarmError):
    """No node of the DHT took a value. ``errors`` are the codes of those that refused it: see
    `swarm.hyperdht.messages.PutError`."""

    def __init__(self, message: str, errors: Sequence[int] = ()) -> None:
        self.errors = tuple(errors)
        super().__init__(message)
