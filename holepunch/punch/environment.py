"""What a node lends to its dials and listeners. Decides nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, Protocol

from holepunch.address import is_lan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holepunch.address import Address
    from holepunch.core import Random, Role, Schedule, Sockets
    from holepunch.keys import PublicKey
    from holepunch.punch.limits import RandomPunchLimit
    from holepunch.punch.messages import Greeting, NoisePayload
    from holepunch.punch.relaying import Relays, RelayWay
    from holepunch.secure.noise import Session
    from holepunch.signaller import Cancel, Pong, Signaller

__all__ = ["AskWitness", "Environment", "Established", "Introduce", "ProbeTable", "Streams"]

AskWitness = Callable[["Role", Callable[["Pong | None"], None]], "Cancel"]
"""Asks one STUN server where packets of a socket come from. ``None``: it does not say. Calls back as `Signaller` does.
"""

Introduce = Callable[["PublicKey", bytes, "Greeting | None"], "Greeting | None"]
"""What to tell a peer in a handshake, besides. Gets its key, the ephemeral key that the handshake began with, and what
the peer said if it spoke first."""


class Streams(Protocol):
    """Raw UDX streams by local id."""

    def open(self, on_traffic: Callable[[Role, Address], bool]) -> int:
        """A new stream that is not connected: its id.

        ``on_traffic`` is asked about each packet for the stream while it is not connected, or that comes in on another
        socket than its own; True lets the packet in. It may call `connect` before it answers.
        """

    def connect(self, local_id: int, role: Role, address: Address, remote_id: int) -> None: ...

    def discard(self, local_id: int) -> None:
        """Forget a stream that was never connected."""


class Established(NamedTuple):
    """A path to a peer was found, and its raw stream connected. The peer has proven nothing on the stream yet."""

    local_id: int
    session: Session
    remote_payload: NoisePayload
    role: Role
    """The socket of the path. A punch socket (2 and above) belongs to the stream from now on."""
    address: Address
    relay: RelayWay | None = None
    """The path goes through a blind relay, for now."""

    @property
    def lan_hosts(self) -> frozenset[str]:
        """The peer's own hosts in its local networks: a path to one of them never leaves them."""
        return frozenset(address.host for address in self.remote_payload.addresses4 if is_lan(address.host))

    @property
    def lan(self) -> bool:
        return self.address.host in self.lan_hosts


class ProbeTable:
    """Whose one-byte datagrams arrive on which punch socket."""

    __slots__ = ("_listeners",)

    def __init__(self) -> None:
        self._listeners: dict[Role, Callable[[Role, Address], None]] = {}

    def listen(self, role: Role, on_probe: Callable[[Role, Address], None]) -> None:
        self._listeners[role] = on_probe

    def forget(self, role: Role) -> None:
        self._listeners.pop(role, None)

    def on_probe(self, role: Role, source: Address) -> None:
        """A one-byte datagram came in. On a socket that nobody punches with it means nothing."""
        listener = self._listeners.get(role)
        if listener is not None:
            listener(role, source)

    def __len__(self) -> int:
        return len(self._listeners)


class Environment:
    """What every dial and every listener of one endpoint shares."""

    __slots__ = ("probes", "random_punches", "relays", "rng", "schedule", "signaller", "sockets", "streams", "stun")

    def __init__(
        self,
        signaller: Signaller,
        sockets: Sockets,
        streams: Streams,
        schedule: Schedule,
        probes: ProbeTable,
        random_punches: RandomPunchLimit,
        rng: Random,
        *,
        relays: Relays | None = None,
        stun: Sequence[AskWitness] = (),
    ) -> None:
        self.signaller = signaller
        self.sockets = sockets
        self.streams = streams
        self.schedule = schedule
        self.probes = probes
        self.random_punches = random_punches
        self.rng = rng
        """Keys, nonces and tokens are drawn from it: outside of tests it must be ``random.SystemRandom()``."""
        self.relays = relays
        """None: no connection goes through a relay."""
        self.stun = stun
        """Witnesses besides the signalling network's, for a network too small to have enough of them."""
