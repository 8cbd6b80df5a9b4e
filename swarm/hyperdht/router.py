"""PEER_HANDSHAKE and PEER_HOLEPUNCH as they arrive: handed to the server they are for, or sent on their way.

Every node relays, ephemeral ones too. Nothing is remembered per message: a relay's whole state is the forward that the
server left here. Protocol: HyperDHT sections 4 and 8 (the tables). Node: hyperdht lib/router.js.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from holepunch.admission import Budget, Rate
from holepunch.errors import DecodeError
from holepunch.punch.messages import HandshakeMessage, HolepunchMessage, Mode
from swarm.hyperdht.messages import Command

if TYPE_CHECKING:
    from holepunch.address import Address
    from holepunch.core import Role, Schedule
    from holepunch.signaller import Receptionist
    from swarm.hyperdht.generations import Generations
    from swarm.hyperdht.storage import Forward
    from swarm.kademlia.node import CommandHandler
    from swarm.kademlia.rpc import Request

__all__ = ["Router", "Server"]

HANDSHAKES_PER_CLIENT = Rate(20, 120)
"""Handshakes that one client host may bring to servers on this node. A dial sends up to 12: 4 through each of 3 relays.
Each new one costs half a millisecond of curve arithmetic before anything is known about the client."""
HANDSHAKES_PER_RELAY = Rate(100, 400)
"""Handshakes that come from one relay, which may make up its clients. All clients of a server come through three."""
HANDSHAKES_PER_NEIGHBOUR = Rate(200, 1_000)
"""Both, for a private or loopback host: whole test networks share one."""
HANDSHAKES = Rate(300, 1_000)
"""Handshakes in total: at most a sixth of one core."""

RELAYED_PER_HOST = Rate(50, 200)
"""Messages relayed to one host. Who asks for it may name any host, so this bounds what strangers can have us send
there. A server that is announced here gets some five messages for each connection."""
RELAYED_PER_NEIGHBOUR = Rate(1_000, 5_000)
RELAYED = Rate(1_000, 2_000)
"""Messages relayed in total."""


class Server(NamedTuple):
    """A key that is listened for on this node."""

    receptionist: Receptionist
    record: bytes
    """Its encoded `PeerRecord`, for those who look it up here."""


class Router:
    """The relaying and the serving side of one node. Registers itself for both commands."""

    def __init__(
        self, schedule: Schedule, commands: dict[int, CommandHandler], forwards: Generations[bytes, Forward]
    ) -> None:
        self._schedule = schedule
        self._forwards = forwards
        self._servers: dict[bytes, Server] = {}
        self._clients = Budget(HANDSHAKES_PER_CLIENT, HANDSHAKES, neighbours=HANDSHAKES_PER_NEIGHBOUR)
        self._relays = Budget(HANDSHAKES_PER_RELAY, HANDSHAKES, neighbours=HANDSHAKES_PER_NEIGHBOUR)
        self._relayed = Budget(RELAYED_PER_HOST, RELAYED, neighbours=RELAYED_PER_NEIGHBOUR)
        commands[Command.PEER_HANDSHAKE] = self._on_handshake
        commands[Command.PEER_HOLEPUNCH] = self._on_holepunch

    def serve(self, target: bytes, server: Server) -> None:
        """Hand messages for ``target``, the hash of a public key, to ``server``. ``ValueError`` when one is there."""
        if target in self._servers:
            raise ValueError("this key is already listened for on this node")
        self._servers[target] = server

    def stop_serving(self, target: bytes) -> None:
        self._servers.pop(target, None)

    def suspend(self) -> None:
        """Have every server drop what is under way, until `resume`."""
        for server in self._servers.values():
            server.receptionist.suspend()

    def resume(self) -> None:
        for server in self._servers.values():
            server.receptionist.resume()

    def own_record(self, target: bytes) -> bytes | None:
        server = self._servers.get(target)
        return None if server is None else server.record

    # handshakes

    def _on_handshake(self, request: Request) -> None:
        try:
            message = HandshakeMessage.decode(request.value or b"")
        except DecodeError:
            return
        if not message.noise:
            return
        server = None if request.target is None else self._servers.get(request.target)
        if server is None:
            self._relay_handshake(request, message)
        else:
            self._serve_handshake(request, message, server)

    def _serve_handshake(self, request: Request, message: HandshakeMessage, server: Server) -> None:
        source, now = request.from_, self._schedule.now
        if message.mode == Mode.FROM_CLIENT:
            # direct by its mode: an address in it would let the client pass for relayed
            message = message._replace(peer_address=None)
            client, back_to = source, None
        else:
            known = message.peer_address
            back_to = {Mode.FROM_RELAY: source, Mode.FROM_SECOND_RELAY: message.relay_address}.get(message.mode)
            if known is None or back_to is None or not self._relays.admit(source.host, now):
                return
            client = known
        if not self._clients.admit(client.host, now):
            return

        def respond(noise: bytes, role: Role) -> None:
            if back_to is None:
                reply = HandshakeMessage(Mode.REPLY, noise)
                request.reply(reply.encode(), token=False, closer=False, role=role)
            else:
                reply = HandshakeMessage(Mode.FROM_SERVER, noise, peer_address=client)
                request.relay(back_to, reply.encode(), role=role)

        server.receptionist.on_handshake(message, source, request.to, request.role, respond)

    def _relay_handshake(self, request: Request, message: HandshakeMessage) -> None:
        source, noise, client = request.from_, message.noise, message.peer_address
        forward = self._forward(request.target)
        match message.mode:
            case Mode.FROM_CLIENT:
                to = message.relay_address or forward
                if to is None:
                    request.reply(token=False)  # nothing but closer nodes, to route by
                else:
                    self._relay(request, to, HandshakeMessage(Mode.FROM_RELAY, noise, source))
            case Mode.FROM_RELAY if forward is not None and client is not None:
                self._relay(request, forward, HandshakeMessage(Mode.FROM_SECOND_RELAY, noise, client, source))
            case Mode.FROM_SERVER if client is not None:
                # the source is the server's address as seen here: what the client will connect to
                self._deliver(request, client, HandshakeMessage(Mode.REPLY, noise, source))

    # hole punching

    def _on_holepunch(self, request: Request) -> None:
        try:
            message = HolepunchMessage.decode(request.value or b"")
        except DecodeError:
            return
        source, id, payload, peer = request.from_, message.id, message.payload, message.peer_address
        match message.mode:
            case Mode.FROM_CLIENT:
                to = peer or self._forward(request.target)
                if to is not None:
                    self._relay(request, to, HolepunchMessage(Mode.FROM_RELAY, id, payload, source))
            case Mode.FROM_RELAY:
                self._serve_holepunch(request, message)
            case Mode.FROM_SERVER if peer is not None:
                self._deliver(request, peer, HolepunchMessage(Mode.REPLY, id, payload, source))

    def _serve_holepunch(self, request: Request, message: HolepunchMessage) -> None:
        server = None if request.target is None else self._servers.get(request.target)
        client = message.peer_address
        if server is None or client is None:
            return

        def respond(payload: bytes, role: Role) -> None:
            reply = HolepunchMessage(Mode.FROM_SERVER, 0, payload, client)
            request.relay(request.from_, reply.encode(), role=role)

        server.receptionist.on_holepunch(message, request.from_, request.to, request.role, respond)

    # on their way

    def _forward(self, target: bytes | None) -> Address | None:
        forward = None if target is None else self._forwards.get(target)
        return None if forward is None else forward.relay

    def _relay(self, request: Request, to: Address, message: HandshakeMessage | HolepunchMessage) -> None:
        """Towards the server: a request with the client's tid, which the final response will have too."""
        if self._admitted(to):
            request.relay(to, message.encode())

    def _deliver(self, request: Request, client: Address, message: HandshakeMessage | HolepunchMessage) -> None:
        """To the client: the response to what it once asked here."""
        if self._admitted(client):
            request.reply(message.encode(), to=client, token=False, closer=False)

    def _admitted(self, to: Address) -> bool:
        return to.port != 0 and self._relayed.admit(to.host, self._schedule.now)
