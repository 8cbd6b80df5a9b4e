"""Find the peers that share a topic, get through the NATs in between, and get encrypted trio streams.

::

    import trio
    from swarm import Swarm

    async def main():
        async with Swarm() as swarm:
            swarm.join("rooms/python")
            async for connection in swarm:
                await connection.send_all(b"hello")

    trio.run(main)

`Swarm` is what most programs need; `DHT` is the network under it, usable alone.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from holepunch.errors import Attempt as Attempt
    from holepunch.errors import ConnectError as ConnectError
    from holepunch.errors import Reason as Reason
    from holepunch.errors import Stage as Stage
    from holepunch.errors import SwarmError as SwarmError
    from holepunch.keys import KeyPair as KeyPair
    from holepunch.keys import PublicKey as PublicKey
    from holepunch.nursery import InternalError as InternalError
    from holepunch.path import Path as Path
    from swarm.connection import Connection as Connection
    from swarm.dht.dht import DHT as DHT
    from swarm.discovery import Discovery as Discovery
    from swarm.errors import BootstrapError as BootstrapError
    from swarm.errors import NotAMember as NotAMember
    from swarm.errors import StorageError as StorageError
    from swarm.eventstream import EventStream as EventStream
    from swarm.kademlia.bootstrap import PUBLIC_BOOTSTRAP as PUBLIC_BOOTSTRAP
    from swarm.messages import MessageChannel as MessageChannel
    from swarm.nat import Nat as Nat
    from swarm.nat import Witness as Witness
    from swarm.policy.events import BanLifted as BanLifted
    from swarm.policy.events import ConnectionClosed as ConnectionClosed
    from swarm.policy.events import ConnectionOpened as ConnectionOpened
    from swarm.policy.events import DialFailed as DialFailed
    from swarm.policy.events import DialStarted as DialStarted
    from swarm.policy.events import EventsMissed as EventsMissed
    from swarm.policy.events import PeerBanned as PeerBanned
    from swarm.policy.events import PeerFound as PeerFound
    from swarm.policy.events import RefreshFailed as RefreshFailed
    from swarm.policy.events import TopicRefreshed as TopicRefreshed
    from swarm.policy.peers import PeerInfo as PeerInfo
    from swarm.stats import NodeStats as NodeStats
    from swarm.stats import Stats as Stats
    from swarm.swarm import Swarm as Swarm
    from swarm.topic import Topic as Topic

_NAMES = {
    "holepunch.errors": "Attempt ConnectError Reason Stage SwarmError",
    "holepunch.keys": "KeyPair PublicKey",
    "holepunch.nursery": "InternalError",
    "holepunch.path": "Path",
    "swarm.connection": "Connection",
    "swarm.kademlia.bootstrap": "PUBLIC_BOOTSTRAP",
    "swarm.dht.dht": "DHT",
    "swarm.discovery": "Discovery",
    "swarm.errors": "BootstrapError NotAMember StorageError",
    "swarm.eventstream": "EventStream",
    "swarm.messages": "MessageChannel",
    "swarm.nat": "Nat Witness",
    "swarm.policy.events": "BanLifted ConnectionClosed ConnectionOpened DialFailed DialStarted "
    "EventsMissed PeerBanned PeerFound RefreshFailed TopicRefreshed",
    "swarm.policy.peers": "PeerInfo",
    "swarm.stats": "NodeStats Stats",
    "swarm.swarm": "Swarm",
    "swarm.topic": "Topic",
}
_HOMES = {name: module for module, names in _NAMES.items() for name in names.split()}

__all__ = list(_HOMES)


def __getattr__(name: str) -> object:
    """Imported when first used: the command line's ``--version``, and who needs one part, do not pay for all."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
