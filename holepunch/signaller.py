"""What dialling and accepting ask of the network that carries their signals, as protocols. HyperDHT is such a network.

Pure: every method returns at once; answers come later, through the callable that was handed over, exactly once, unless
the returned `Cancel` was called. A callable is never called before the method that took it has returned.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holepunch.address import Address
    from holepunch.core import Role
    from holepunch.punch.messages import HandshakeMessage, HolepunchMessage, RelayInfo

__all__ = ["Cancel", "HandshakeReply", "HolepunchReply", "Pong", "Receptionist", "Signaller"]

Cancel = Callable[[], None]


class HandshakeReply(NamedTuple):
    """The server's Noise message, as the asked relay (or the server itself) delivered it."""

    noise: bytes
    relayed: bool
    server_address: Address
    """The server as the relay sees it; the asked address itself when not relayed."""
    client_address: Address
    """This side as the asked address sees it."""
    relay: Address
    """The address that was asked."""
    role: Role
    """The socket that the reply came in on."""


class HolepunchReply(NamedTuple):
    """The server's encrypted holepunch payload, as the asked relay delivered it."""

    payload: bytes
    peer_address: Address
    """Where the server answered from, as the relay sees it."""
    to: Address
    """The punch socket that asked, as the relay sees it: a NAT sample, referred by ``relay``."""
    relay: Address


class Pong(NamedTuple):
    """An answer to a ping. ``to`` is this side's socket as ``source`` sees it: a NAT sample."""

    source: Address
    to: Address
    role: Role


class Signaller(Protocol):
    """The signalling network as dialling and accepting see it."""

    @property
    def firewalled(self) -> bool:
        """False only when strangers were shown to reach the server socket."""

    @property
    def main_role(self) -> Role:
        """The socket that own requests leave from: the client socket while firewalled, else the server socket."""

    def remote_address(self) -> Address | None:
        """The own public address, known only when not firewalled and the port is the server socket's own."""

    def local_addresses(self) -> Sequence[Address]:
        """Local IPv4 hosts, each with the server socket's port."""

    def proven_local_addresses(self) -> Sequence[Address]:
        """Those of them that were shown to deliver: what a client is told, who would wait for the others in vain."""

    def witnesses(self) -> Sequence[Address]:
        """Nodes that can tell a socket its address, those heard last first."""

    def cached_relays(self, public_key: bytes) -> Sequence[Address]:
        """Relays through which this peer was reached before, best first."""

    def remember_relays(self, public_key: bytes, relays: Sequence[Address]) -> None: ...

    def find_relays(
        self,
        target: bytes,
        seeds: Sequence[Address],
        on_relay: Callable[[Address], None],
        on_end: Callable[[bool], None],
    ) -> Cancel:
        """Search for nodes that the peer announced itself to; each is reported once. ``on_end`` is told whether any
        node answered at all, that knows the peer or not."""

    def handshake(
        self, target: bytes, noise: bytes, relay: Address, on_reply: Callable[[HandshakeReply | None], None]
    ) -> Cancel:
        """Deliver a Noise message through ``relay``. ``None``: no acceptable answer within the retries."""

    def holepunch(
        self,
        target: bytes,
        id: int,
        payload: bytes,
        relay: Address,
        peer_address: Address,
        role: Role,
        on_reply: Callable[[HolepunchReply | None], None],
    ) -> Cancel:
        """Deliver an encrypted holepunch payload through ``relay``, from the socket ``role``."""

    def ping(self, to: Address, role: Role, retries: int, on_pong: Callable[[Pong | None], None]) -> Cancel:
        """Ask one node to answer, from the socket ``role``; 1 s for each of 1 + ``retries`` sends."""


class Receptionist(Protocol):
    """What the signalling network hands messages for one listening key to (`holepunch.punch.accept`).

    ``source``, ``to`` and ``role`` are of the packet that carried the message. The network answers on the wire as the
    mode asks when ``respond`` is called; not calling it is silence.
    """

    def on_handshake(
        self,
        message: HandshakeMessage,
        source: Address,
        to: Address,
        role: Role,
        respond: Callable[[bytes, Role], None],
    ) -> None:
        """``respond(noise, from_role)`` sends the reply from that socket: at once, or later, or never."""

    def on_holepunch(
        self,
        message: HolepunchMessage,
        source: Address,
        to: Address,
        role: Role,
        respond: Callable[[bytes, Role], None],
    ) -> None:
        """``respond(payload, from_role)``, likewise."""

    def on_relays(
        self, relays: Sequence[RelayInfo], addresses: Sequence[Address], is_relay: Callable[[Address], bool]
    ) -> None:
        """A new announce cycle ended: what to tell clients, and which sources count as own relays from now on."""

    def suspend(self) -> None:
        """This node leaves the network: drop what is under way, its sockets and timers, and begin nothing."""

    def resume(self) -> None:
        """It is back."""
