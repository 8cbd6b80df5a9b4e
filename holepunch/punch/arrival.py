"""What a handshake is given to begin with: how its first message came, and what the handshakes of a listener share."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from holepunch.punch.messages import HolepunchInfo, RelayInfo
from holepunch.relay.choice import NO_RELAY, RelayChoice

if TYPE_CHECKING:
    from collections.abc import Callable

    from holepunch.address import Address
    from holepunch.core import Role
    from holepunch.keys import KeyPair
    from holepunch.punch.environment import Environment, Introduce

__all__ = ["Arrival", "Listening"]


class Listening:
    """What the handshakes of one listener share."""

    __slots__ = ("environment", "introduce", "is_relay", "key_pair", "local", "relay_addresses", "relaying", "relays")

    def __init__(
        self,
        environment: Environment,
        key_pair: KeyPair,
        local: bool,
        *,
        relaying: RelayChoice = NO_RELAY,
        introduce: Introduce | None = None,
    ) -> None:
        self.environment = environment
        self.key_pair = key_pair
        self.local = local
        """Tell clients the own local addresses, and look for clients in the own network."""
        self.relaying = relaying
        """The blind relays that may carry connections."""
        self.introduce = introduce
        self.relays: tuple[RelayInfo, ...] = ()
        self.relay_addresses: tuple[Address, ...] = ()
        self.is_relay: Callable[[Address], bool] = lambda _: False

    def hole_punch_info(self, id: int, arrival: Arrival) -> HolepunchInfo:
        """What a client is told of the ways to punch.

        Where only a relay may carry the connection, each node is named as where it sees this side, too: nobody answers
        there, and no own address is told. (To say nothing would not do: then a client, Node's as well, takes this side
        for one that it can reach without a punch, and gives up the relay.)
        """
        if not self.relaying.required:
            return HolepunchInfo(id, self.relays)
        nodes = [relay.relay_address for relay in self.relays] or ([] if arrival.direct else [arrival.source])
        return HolepunchInfo(id, tuple(RelayInfo(node, node) for node in nodes))

    def relays_to_remember(self) -> tuple[Address, ...] | None:
        """Where the next dial is to begin: at this node itself only if its address is no secret."""
        own = self.environment.signaller.remote_address() if self.relaying.required else None
        return tuple(address for address in self.relay_addresses if address != own) or None


class Arrival(NamedTuple):
    """How a client's first message came."""

    client: Address
    source: Address
    """Who carried it: a relay, or the client itself."""
    to: Address
    """This side as ``source`` sees it."""
    role: Role
    direct: bool
