"""The kinds of NAT that peers are found behind, by the names people use for them."""

from __future__ import annotations

from dataclasses import replace

from holepunch.testing.nat import Dependence, NatBehaviour, PortAllocation

__all__ = ["CARRIERS", "PLACES", "PUBLIC", "ROUTERS"]

_FULL_CONE = NatBehaviour(filtering=Dependence.ENDPOINT_INDEPENDENT, hairpin=True)
_RESTRICTED = NatBehaviour(filtering=Dependence.ADDRESS_DEPENDENT)
_HOME = NatBehaviour()
_SYMMETRIC = NatBehaviour(mapping=Dependence.ADDRESS_AND_PORT_DEPENDENT, port_allocation=PortAllocation.RANDOM)


def _other_ports(behaviour: NatBehaviour) -> NatBehaviour:
    return replace(behaviour, port_allocation=PortAllocation.RANDOM)


ROUTERS = {
    "dmz": replace(_FULL_CONE, forward_all=True),
    "fullcone": _FULL_CONE,
    "fullcone-rand": _other_ports(_FULL_CONE),
    "restricted": _RESTRICTED,
    "restricted-rand": _other_ports(_RESTRICTED),
    "home": _HOME,
    "home-rand": _other_ports(_HOME),
    "home-hairpin": replace(_HOME, hairpin=True),
    "addrdep": replace(_SYMMETRIC, mapping=Dependence.ADDRESS_DEPENDENT),
    "symmetric": _SYMMETRIC,
    "symmetric-seq": replace(_SYMMETRIC, port_allocation=PortAllocation.SEQUENTIAL),
    "udpblocked": NatBehaviour(udp=False),
}
"""A box with one public address. "home", port-restricted and port-preserving, is the usual one."""

PUBLIC = {"firewall": NatBehaviour()}
"""A stateful firewall in front of a host that has a public address of its own: nothing is translated."""

CARRIERS = {
    "cgnat": ROUTERS["home-rand"],
    "cgnat-hairpin": replace(ROUTERS["home-rand"], hairpin=True),
    "cgnat-symmetric": ROUTERS["symmetric"],
}
"""The outer of two boxes, a carrier's; the inner one is a "home"."""

PLACES = ("open", *PUBLIC, *ROUTERS, *CARRIERS)
"""All that `VirtualNetwork.place` knows."""
