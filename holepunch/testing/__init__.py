"""A virtual network to test applications on: hosts, NAT boxes and bad links, in one process and without waiting.

`VirtualNetwork` is the place to start. Whatever takes a ``network`` argument takes one of its hosts.
"""

from holepunch.testing.core import LAN as LAN
from holepunch.testing.core import UPLINK as UPLINK
from holepunch.testing.core import Internet as Internet
from holepunch.testing.core import NatBox as NatBox
from holepunch.testing.core import Packet as Packet
from holepunch.testing.host import Host as Host
from holepunch.testing.link import Link as Link
from holepunch.testing.nat import Dependence as Dependence
from holepunch.testing.nat import NatBehaviour as NatBehaviour
from holepunch.testing.nat import PortAllocation as PortAllocation
from holepunch.testing.network import VirtualHost as VirtualHost
from holepunch.testing.network import VirtualNetwork as VirtualNetwork
from holepunch.testing.network import VirtualSocket as VirtualSocket
from holepunch.testing.presets import PLACES as PLACES
from holepunch.testing.presets import ROUTERS as ROUTERS
