"""A virtual network to test applications on: hosts, NAT boxes and bad links, in one process and without waiting.

`VirtualNetwork` is the place to start. Whatever takes a ``network`` argument takes one of its hosts. `Internet` is the
same without trio, for simulations of many pure nodes on one `holepunch.core.Schedule`.
"""

from holepunch.testing.core import LAN, UPLINK, Internet, NatBox, Packet
from holepunch.testing.host import Host
from holepunch.testing.link import Link
from holepunch.testing.nat import Dependence, NatBehaviour, PortAllocation
from holepunch.testing.network import VirtualHost, VirtualNetwork, VirtualSocket
from holepunch.testing.presets import PLACES, ROUTERS

__all__ = [
    "LAN",
    "PLACES",
    "ROUTERS",
    "UPLINK",
    "Dependence",
    "Host",
    "Internet",
    "Link",
    "NatBehaviour",
    "NatBox",
    "Packet",
    "PortAllocation",
    "VirtualHost",
    "VirtualNetwork",
    "VirtualSocket",
]
