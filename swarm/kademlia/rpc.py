"""Requests and replies: their packets, tokens, and which socket a datagram leaves from.

Knows no command's meaning and keeps no routing policy. Protocol: dht-rpc sections 1, 4, 6 and 12. Reference: dht-rpc
lib/io.js.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from holepunch.core import CLIENT, SERVER
from holepunch.errors import DecodeError
from swarm.kademlia.ids import node_id
from swarm.kademlia.inflight import RETRIES, Call, InFlight
from swarm.kademlia.packets import (
    INVALID_TOKEN,
    OK,
    PING_NAT,
    REQUEST,
    RESPONSE,
    RequestPacket,
    ResponsePacket,
    closer_room,
    decode_request,
    decode_response,
    encode_request,
    encode_response,
)
from swarm.kademlia.table import K
from swarm.kademlia.tokens import Tokens

if TYPE_CHECKING:
    from holepunch.address import Address
    from holepunch.admission import Budget
    from holepunch.compact import Buffer
    from holepunch.core import Random, Role, Schedule, Sockets
    from holepunch.signaller import Cancel
    from swarm.kademlia.table import Table

__all__ = ["OnReply", "Reply", "Request", "Rpc"]


class Reply(NamedTuple):
    """A response to one of the own requests."""

    from_: Address
    """Who sent it: not always who was asked (PING_NAT, relayed handshakes). Callers that care compare."""
    to: Address
    """This side as the sender sees it."""
    id: bytes | None
    """The sender's node id, only when it proved right for ``from_``."""
    token: bytes | None
    closer: list[Address]
    error: int
    value: bytes | None
    role: Role
    """The socket it came in on."""
    rtt: float
    """Seconds since the first send."""


OnReply = Callable[[Reply | None], None]
"""Called once: with the reply, or with None when every attempt timed out, or the node was suspended."""


class Request:
    """A request of another node, to be answered at most once: at once, later, or never."""

    __slots__ = (
        "_answered",
        "_rpc",
        "command",
        "from_",
        "id",
        "internal",
        "role",
        "target",
        "tid",
        "to",
        "token",
        "token_valid",
        "value",
    )

    def __init__(self, rpc: Rpc, packet: RequestPacket, from_: Address, id: bytes | None, role: Role) -> None:
        self._rpc = rpc
        self._answered = False
        self.tid = packet.tid
        self.internal = packet.internal
        self.command = packet.command
        self.target = packet.target
        """32 bytes, or None."""
        self.value = packet.value
        """None when absent; may be empty."""
        self.token = packet.token
        """What announcements sign, too. None when absent; a wrong one never reaches a handler."""
        self.token_valid = packet.token is not None
        """A token came along and is right: a request with a wrong one never reaches a handler."""
        self.from_ = from_
        self.to = packet.to
        """This side as the sender addressed it."""
        self.id = id
        """The sender's node id, only when it proved right for ``from_``."""
        self.role = role
        """The socket it came in on."""

    def reply(
        self,
        value: bytes | None = None,
        *,
        error: int = OK,
        token: bool | None = None,
        closer: bool = True,
        to: Address | None = None,
        role: Role | None = None,
    ) -> None:
        """Send the response; a second call does nothing.

        ``token`` None: one goes along unless ``error`` is another than INVALID_TOKEN. ``closer``: with closer nodes, if
        the request had a target. ``to``: another address than the source, with the same tid. ``role``: from another
        socket than the one the request came in on.
        """
        if self._answered:
            return
        self._answered = True
        if token is None:
            token = error in (OK, INVALID_TOKEN)
        target = self.target if closer else None
        self._rpc.respond(
            self.role if role is None else role, self.from_ if to is None else to, self.tid, target, token, error, value
        )

    def relay(self, to: Address, value: bytes, *, role: Role | None = None) -> None:
        """Send the request on, as a request with a new value: same tid, command and target, no token, nothing awaited.

        The final node's response, which has the same tid, then matches at the one who asked first.
        """
        self._rpc.forward(self.role if role is None else role, to, self, value)


class Rpc:
    """The requests of one node, both directions."""

    def __init__(
        self,
        sockets: Sockets,
        schedule: Schedule,
        rng: Random,
        table: Table,
        budget: Budget,
        *,
        firewalled: bool,
        on_request: Callable[[Request], None],
        on_reply: Callable[[Reply], None],
        on_silence: Callable[[Address], None],
    ) -> None:
        """``on_request`` gets every request to be answered; ``on_reply`` every matched reply before its caller does.
        ``on_silence`` is told of each node that a request of its own timed out at for good, before its caller is."""
        self.table = table
        self.firewalled = firewalled
        self.ephemeral = True
        self.suspended = False
        self.closed = False
        self.responses = 0
        """Own requests that were answered."""
        self._sockets = sockets
        self._schedule = schedule
        self._budget = budget
        self._on_request = on_request
        self._on_reply = on_reply
        self._tokens = Tokens(rng)
        self._in_flight: InFlight[Reply] = InFlight(sockets, schedule, rng.randrange(0, 1 << 16), on_silence)

    @property
    def main_role(self) -> Role:
        """While firewalled the client socket, so that no own traffic opens the NAT for the server socket's port."""
        return CLIENT if self.firewalled else SERVER

    @property
    def in_flight(self) -> int:
        """Own requests under way."""
        return len(self._in_flight)

    def is_silent(self, address: Address) -> bool:
        """Whether a node has left unanswered what it was asked last, a few seconds ago or right now."""
        return self._in_flight.silence.of(address, self._schedule.now)

    def asked(self) -> list[Address]:
        """Nodes that are to answer on the main socket."""
        return self._in_flight.asked(self.main_role)

    @property
    def timeouts(self) -> int:
        """Own requests given up."""
        return self._in_flight.timeouts

    @property
    def retries(self) -> int:
        """Sends beyond each own request's first."""
        return self._in_flight.retries

    # asking

    def request(
        self,
        to: Address,
        on_reply: OnReply,
        *,
        command: int,
        internal: bool = False,
        target: bytes | None = None,
        value: bytes | None = None,
        token: bytes | None = None,
        role: Role | None = None,
        retries: int = RETRIES,
        delay: float = 0.0,
        hops: int = 1,
        force: bool = False,
        on_timeout: Callable[[int], None] | None = None,
    ) -> Cancel:
        """Send one request up to ``1 + retries`` times, the same bytes each time; fail after a second for each.

        ``hops``: how many nodes it passes until it is answered; ``delay``: how many seconds more the last one is asked
        to wait. ``role`` None: the main socket. ``force``: the congestion window does not hold it back. ``on_timeout``
        is told the number of each attempt that timed out. ``on_reply`` is never called before this returns, nor after
        the returned `Cancel` was. A reply with an error number is a reply. While suspended, and when far too many are
        under way, a request fails at once.
        """
        if role is None:
            role = self.main_role
        call = Call(self._in_flight, role, to, on_reply)
        if self.closed:
            return call.cancel
        if self.suspended or not self._in_flight.begin(call):
            self._in_flight.fail_later(call)
            return call.cancel
        call.retries = retries
        call.delay = delay
        call.hops = hops
        # silence to others may be the peer's behind it, a firewall's, or that of a NAT which forgot
        call.is_plain = hops == 1 and not delay and role <= CLIENT and not (internal and command == PING_NAT)
        call.on_timeout = on_timeout
        call.data = encode_request(
            RequestPacket(call.tid, to, self._id_from(role), token, internal, command, target, value)
        )
        self._in_flight.send(call, force)
        return call.cancel

    # answering

    def respond(
        self, role: Role, to: Address, tid: int, target: bytes | None, token: bool, error: int, value: bytes | None
    ) -> None:
        """See `Request.reply`. ``target`` None: without closer nodes, of which a large value leaves less room."""
        if self.suspended:
            return
        limit = K if value is None else min(K, closer_room(len(value)))
        packet = ResponsePacket(
            tid,
            to,
            self._id_from(role),
            self._tokens.issue(to.host, self._schedule.now) if token else None,
            [contact.address for contact in self.table.closest(target, limit)] if target is not None else [],
            error,
            value,
        )
        self._sockets.send(role, encode_response(packet), to)

    def forward(self, role: Role, to: Address, request: Request, value: bytes) -> None:
        """See `Request.relay`."""
        if self.suspended:
            return
        packet = RequestPacket(
            request.tid, to, self._id_from(role), None, request.internal, request.command, request.target, value
        )
        self._sockets.send(role, encode_request(packet), to)

    def _id_from(self, role: Role) -> bytes | None:
        """The own id, for packets of a persistent node that leave from the address the id stands for."""
        return None if self.ephemeral or role != SERVER else self.table.id

    # receiving

    def receive(self, role: Role, data: Buffer, source: Address) -> bool:
        """One datagram of two bytes or more. What is broken is dropped. False: it is of another protocol."""
        if len(data) < 2 or data[0] not in (REQUEST, RESPONSE):
            return False
        if self.suspended or not 0 < source.port < 65536:
            return True
        try:
            if data[0] == RESPONSE:
                self._receive_response(role, data, source)
            elif self._budget.admit(source.host, self._schedule.now):
                self._receive_request(role, bytes(data), source)
        except DecodeError:
            return True
        return True

    def _receive_request(self, role: Role, data: bytes, source: Address) -> None:
        packet = decode_request(data)
        self._in_flight.silence.heard(source)
        request = Request(self, packet, source, _proven(packet.id, source), role)
        if packet.token is None or self._tokens.valid(packet.token, source.host, self._schedule.now):
            self._on_request(request)
        else:
            request.reply(error=INVALID_TOKEN)

    def _receive_response(self, role: Role, data: Buffer, source: Address) -> None:
        # by tid alone: some answers rightly come from other addresses (dht-rpc section 1). Looked up before decoding,
        # so that a long one nobody asked for costs nothing
        call = self._in_flight.find(int.from_bytes(data[2:4], "little"))
        if call is None:
            return
        packet = decode_response(bytes(data))
        self._in_flight.silence.heard(source)
        reply = Reply(
            source,
            packet.to,
            _proven(packet.id, source),
            packet.token,
            packet.closer,
            packet.error,
            packet.value,
            role,
            self._in_flight.answered(call),
        )
        self.responses += 1
        self._on_reply(reply)
        call.on_reply(reply)

    # life

    def suspend(self) -> None:
        """Fail every request under way. Until `resume` nothing is sent, and what comes is ignored."""
        self.suspended = True
        self._in_flight.fail_all()

    def resume(self) -> None:
        self.suspended = False

    def close(self) -> None:
        """Forget every request; none is told."""
        self.suspended = self.closed = True
        self._in_flight.close()


def _proven(id: bytes | None, source: Address) -> bytes | None:
    """An id counts only for the address it is the hash of."""
    return id if id is not None and id == node_id(source) else None
