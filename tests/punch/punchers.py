"""Single punchers, whose peer says what a test has it say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holepunch.address import Address
from holepunch.nat.classifier import Firewall
from holepunch.punch.messages import HolepunchPayload
from holepunch.punch.puncher import Puncher

if TYPE_CHECKING:
    from tests.punch.world import Peer

__all__ = ["PEER", "RANDOM_PEER", "Ends", "puncher_of", "told"]

PEER = Address("50.0.0.77", 7777)
RANDOM_PEER = Address("50.0.0.77", 0)


class Ends:
    """What a puncher reported."""

    def __init__(self) -> None:
        self.hits: list[Address] = []
        self.aborts = 0

    def on_hit(self, role: int, source: Address) -> None:
        self.hits.append(source)

    def on_abort(self) -> None:
        self.aborts += 1


def puncher_of(peer: Peer, *, initiator: bool = True) -> tuple[Puncher, Ends]:
    """A puncher that knows its own NAT."""
    ends = Ends()
    puncher = Puncher(
        peer.environment,
        initiator=initiator,
        on_hit=ends.on_hit,
        on_abort=ends.on_abort,
    )
    puncher.meet(Firewall.UNKNOWN, [PEER.host])
    peer.world.run(1)
    return puncher, ends


def told(firewall: Firewall, *addresses: Address) -> HolepunchPayload:
    return HolepunchPayload(firewall=firewall, addresses=addresses, punching=True)
