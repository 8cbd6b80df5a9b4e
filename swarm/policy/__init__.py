"""Everything that Hyperswarm decides: whom to look for, dial, let in and keep. Pure; the swarm drives it."""

from swarm.policy.context import Limits
from swarm.policy.events import (
    BanLifted,
    ConnectionClosed,
    ConnectionOpened,
    DialFailed,
    DialStarted,
    Event,
    PeerBanned,
    PeerFound,
    RefreshFailed,
    TopicRefreshed,
)
from swarm.policy.peers import PeerInfo
from swarm.policy.policy import Policy
from swarm.policy.retry import Backoffs
from swarm.policy.session import Session

__all__ = [
    "Backoffs",
    "BanLifted",
    "ConnectionClosed",
    "ConnectionOpened",
    "DialFailed",
    "DialStarted",
    "Event",
    "Limits",
    "PeerBanned",
    "PeerFound",
    "PeerInfo",
    "Policy",
    "RefreshFailed",
    "Session",
    "TopicRefreshed",
]
