"""What a handshake is given to begin with: how its first message came, and what the handshakes of a listener share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from holepunch.relay.choice import NO_RELAY, RelayChoice

if TYPE_CHECKING:
    from collections.abc import Callable

    from holepunch.address import Address
    from holepunch.core import Role
    from holepunch.keys import KeyPair
    from holepunch.punch.environment import Environment, Introduce
    from holepunch.punch.messages import RelayInfo

__all__ = ["Arrival", "Listening"]


@dataclass(slots=True)
class Listening:
    """What the handshakes of one listener share."""

    environment: Environment
    key_pair: KeyPair
    local: bool
    """Tell clients the own local addresses, and look for clients in the own network."""
    relays: tuple[RelayInfo, ...] = ()
    relaying: RelayChoice = NO_RELAY
    """The blind relays that may carry connections."""
    introduce: Introduce | None = None
    relay_addresses: tuple[Address, ...] = ()
    is_relay: Callable[[Address], bool] = lambda _: False


class Arrival(NamedTuple):
    """How a client's first message came."""

    client: Address
    source: Address
    """Who carried it: a relay, or the client itself."""
    to: Address
    """This side as ``source`` sees it."""
    role: Role
    direct: bool
