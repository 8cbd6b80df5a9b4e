"""The HyperDHT as dialling sees it: the `holepunch.signaller.Signaller` of one node. The client side of routing.

Keeps no state but the relays that led to a peer before, and the searches for them under way.
Protocol: HyperDHT sections 4, 6 and 8. Node: hyperdht lib/router.js (``peerHandshake``, ``peerHolepunch``),
lib/connect.js.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from holepunch.errors import DecodeError
from holepunch.keys import hash32
from holepunch.punch.messages import HandshakeMessage, HolepunchMessage, Mode
from holepunch.signaller import HandshakeReply, HolepunchReply, Pong
from swarm.hyperdht.messages import Command
from swarm.hyperdht.searching import RelaySearches

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from holepunch.address import Address
    from holepunch.core import Role
    from holepunch.signaller import Cancel
    from swarm.hyperdht.generations import Generations
    from swarm.hyperdht.storage import Forward
    from swarm.kademlia.node import Node
    from swarm.kademlia.rpc import Reply

__all__ = ["DhtSignaller"]

MAX_CACHED_PEERS = 512
MAX_CACHED_RELAYS = 4
"""Of one peer: the three it announces to, and its own address."""
HOPS = 2
"""Of what goes through a relay to a peer, which answers the same way."""
WITNESSES = 64
FEW_WITNESSES = 8
"""A puncher asks 4 at a time, and each one once, also when it takes a new socket."""


class DhtSignaller:
    """Implements `holepunch.signaller.Signaller` on a node and what was announced to it."""

    def __init__(
        self,
        node: Node,
        forwards: Generations[bytes, Forward],
        local_addresses: Callable[[], Sequence[Address]],
        proven_local_addresses: Callable[[], Sequence[Address]],
    ) -> None:
        """For the local addresses see `Signaller`; only the shell knows the interfaces."""
        self._node = node
        self._forwards = forwards
        self._local_addresses = local_addresses
        self._proven_local_addresses = proven_local_addresses
        self._searches = RelaySearches(node)
        self._relays: dict[bytes, tuple[Address, ...]] = {}  # the peer reached last is last

    # this side

    @property
    def firewalled(self) -> bool:
        return self._node.firewalled

    @property
    def main_role(self) -> Role:
        return self._node.main_role

    def remote_address(self) -> Address | None:
        return self._node.remote_address()

    def local_addresses(self) -> Sequence[Address]:
        return self._local_addresses()

    def proven_local_addresses(self) -> Sequence[Address]:
        return self._proven_local_addresses()

    def witnesses(self) -> Sequence[Address]:
        heard = self._node.latest(WITNESSES)
        if len(heard) < FEW_WITNESSES:
            # a node that has just started knows hardly one, but asks many at this very moment
            heard += [a for a in self._node.rpc.asked() if a not in heard]
        return heard[:WITNESSES]

    # relays

    def cached_relays(self, public_key: bytes) -> Sequence[Address]:
        """For a server that announced itself to this very node: its own address, which no search would find."""
        forward = self._forwards.get(hash32(public_key))
        if forward is not None:
            return (forward.relay,)
        return self._relays.get(public_key, ())

    def remember_relays(self, public_key: bytes, relays: Sequence[Address]) -> None:
        self._relays.pop(public_key, None)
        if relays:
            self._relays[public_key] = tuple(relays[:MAX_CACHED_RELAYS])
            if len(self._relays) > MAX_CACHED_PEERS:
                del self._relays[next(iter(self._relays))]

    def find_relays(
        self,
        target: bytes,
        seeds: Sequence[Address],
        on_relay: Callable[[Address], None],
        on_end: Callable[[bool], None],
    ) -> Cancel:
        return self._searches.find(target, seeds, on_relay, on_end)

    # messages

    def handshake(
        self, target: bytes, noise: bytes, relay: Address, on_reply: Callable[[HandshakeReply | None], None]
    ) -> Cancel:
        def on_answer(reply: Reply | None) -> None:
            on_reply(None if reply is None else _handshake_reply(reply, relay))

        value = HandshakeMessage(Mode.FROM_CLIENT, noise).encode()
        return self._node.rpc.request(
            relay, on_answer, command=Command.PEER_HANDSHAKE, target=target, value=value, hops=HOPS
        )

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
        def on_answer(reply: Reply | None) -> None:
            on_reply(None if reply is None else _holepunch_reply(reply, relay))

        value = HolepunchMessage(Mode.FROM_CLIENT, id, payload, peer_address).encode()
        return self._node.rpc.request(
            relay, on_answer, command=Command.PEER_HOLEPUNCH, target=target, value=value, role=role, hops=HOPS
        )

    def ping(self, to: Address, role: Role, retries: int, on_pong: Callable[[Pong | None], None]) -> Cancel:
        def on_answer(reply: Reply | None) -> None:
            on_pong(None if reply is None else Pong(reply.from_, reply.to, reply.role))

        return self._node.ping(to, on_answer, role=role, retries=retries)


def _handshake_reply(reply: Reply, relay: Address) -> HandshakeReply | None:
    """None for what is no answer of the server's. Requests match by tid alone, so the source is compared here."""
    try:
        message = HandshakeMessage.decode(reply.value or b"")
    except DecodeError:
        return None
    if message.mode != Mode.REPLY or not message.noise or reply.from_ != relay:
        return None
    return HandshakeReply(
        noise=message.noise,
        relayed=message.peer_address is not None,
        server_address=message.peer_address or relay,
        client_address=reply.to,
        relay=relay,
        role=reply.role,
    )


def _holepunch_reply(reply: Reply, relay: Address) -> HolepunchReply | None:
    try:
        message = HolepunchMessage.decode(reply.value or b"")
    except DecodeError:
        return None
    if message.mode != Mode.REPLY or reply.from_ != relay:
        return None
    return HolepunchReply(payload=message.payload, peer_address=message.peer_address or relay, to=reply.to, relay=relay)
