"""What the cores ask of the signalling network, over the packets of one peer."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from holepunch.address import Address
from holepunch.core import CLIENT, SERVER
from holepunch.punch.messages import HandshakeMessage, HolepunchMessage, Mode
from holepunch.signaller import HandshakeReply, HolepunchReply, Pong
from tests.punch.internet import Ask

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from holepunch.core import Role
    from holepunch.signaller import Cancel
    from tests.punch.world import Peer


class PeerSignaller:
    """Implements `holepunch.signaller.Signaller` over the packets of its peer."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.firewalled = True
        self.public: Address | None = None
        """The server socket's address outside, if a port is forwarded to it."""
        self.pending: dict[int, Callable[[Role, Address, Ask], bool]] = {}
        self.searches = 0
        self.online = True
        self.witness_limit = 64
        self.cache: dict[bytes, tuple[Address, ...]] = {}
        self.local_hosts = [peer.host]

    @property
    def main_role(self) -> Role:
        return CLIENT if self.firewalled else SERVER

    def remote_address(self) -> Address | None:
        return None if self.firewalled else self.public or self.peer.sockets.by_role[SERVER]

    def local_addresses(self) -> Sequence[Address]:
        return [Address(host, self.peer.sockets.by_role[SERVER].port) for host in self.local_hosts]

    def proven_local_addresses(self) -> Sequence[Address]:
        return self.local_addresses()

    def witnesses(self) -> Sequence[Address]:
        return [node.address for node in self.peer.world.nodes[: self.witness_limit]]

    def cached_relays(self, public_key: bytes) -> Sequence[Address]:
        return self.cache.get(public_key, ())

    def remember_relays(self, public_key: bytes, relays: Sequence[Address]) -> None:
        self.cache[public_key] = tuple(relays)

    def ask(
        self,
        ask: Callable[[int], Ask],
        to: Address,
        role: Role,
        retries: int,
        on_reply: Callable[[tuple[Role, Address, Ask] | None], None],
    ) -> Cancel:
        """Send, again each second, until an answer comes, from ``to`` or not."""
        tid = self.peer.world.rng.randrange(0, 1 << 48)
        packet = ask(tid)
        sends = 0

        def cancel() -> None:
            self.pending.pop(tid, None)

        def send() -> None:
            nonlocal sends
            if tid not in self.pending:
                return
            if sends > retries:
                cancel()
                on_reply(None)
                return
            sends += 1
            self.peer.sockets.transmit(role, packet, to)
            self.peer.world.schedule.after(1.0, send)

        def accept(role: Role, source: Address, answer: Ask) -> bool:
            if source != to:
                return False
            cancel()
            on_reply((role, source, answer))
            return True

        self.pending[tid] = accept
        send()
        return cancel

    def find_relays(
        self,
        target: bytes,
        seeds: Sequence[Address],
        on_relay: Callable[[Address], None],
        on_end: Callable[[bool], None],
    ) -> Cancel:
        live = True
        self.searches += 1

        def cancel() -> None:
            nonlocal live
            self.searches -= live
            live = False

        def found(relay: Address) -> None:
            if live:
                on_relay(relay)

        def end() -> None:
            if live:
                cancel()
                on_end(self.online)

        for relay in self.peer.world.announced.get(target, ()):
            self.peer.world.schedule.after(0.06, partial(found, relay))
        self.peer.world.schedule.after(0.12, end)
        return cancel

    def handshake(
        self, target: bytes, noise: bytes, relay: Address, on_reply: Callable[[HandshakeReply | None], None]
    ) -> Cancel:
        value = HandshakeMessage(Mode.FROM_CLIENT, noise).encode()

        def answered(answer: tuple[Role, Address, Ask] | None) -> None:
            if answer is None:
                on_reply(None)
                return
            role, _, ask = answer
            assert ask.to is not None
            m = HandshakeMessage.decode(ask.value)
            server = m.peer_address or relay
            on_reply(HandshakeReply(m.noise, m.peer_address is not None, server, ask.to, relay, role))

        return self.ask(lambda tid: Ask("handshake", tid, target, value), relay, self.main_role, 3, answered)

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
        value = HolepunchMessage(Mode.FROM_CLIENT, id, payload, peer_address).encode()

        def answered(answer: tuple[Role, Address, Ask] | None) -> None:
            if answer is None:
                on_reply(None)
                return
            ask = answer[2]
            assert ask.to is not None
            m = HolepunchMessage.decode(ask.value)
            on_reply(HolepunchReply(m.payload, m.peer_address or relay, ask.to, relay))

        return self.ask(lambda tid: Ask("holepunch", tid, target, value), relay, role, 3, answered)

    def ping(self, to: Address, role: Role, retries: int, on_pong: Callable[[Pong | None], None]) -> Cancel:
        def answered(answer: tuple[Role, Address, Ask] | None) -> None:
            if answer is None:
                on_pong(None)
                return
            role, source, ask = answer
            assert ask.to is not None
            on_pong(Pong(source, ask.to, role))

        return self.ask(lambda tid: Ask("ping", tid), to, role, retries, answered)
