"""A server that answers what a test tells it to: for what a real one never says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holepunch.keys import KeyPair
from holepunch.punch.messages import (
    NS_PEER_HANDSHAKE,
    HolepunchInfo,
    HolepunchPayload,
    NoisePayload,
    RelayInfo,
    SecurePayload,
    UdxInfo,
    holepunch_secret,
)
from holepunch.secure.noise import Handshake

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from holepunch.address import Address
    from holepunch.core import Role
    from holepunch.punch.messages import HandshakeMessage, HolepunchMessage
    from tests.punch.world import Peer


class ScriptedServer:
    """Implements `holepunch.signaller.Receptionist`: one answer to each handshake, one to each hole-punch message."""

    def __init__(
        self,
        peer: Peer,
        payload: Callable[[NoisePayload], NoisePayload] = lambda payload: payload,
        *,
        answer: Callable[[HolepunchPayload], HolepunchPayload | None] = lambda message: None,
    ) -> None:
        self.peer = peer
        self.payload = payload
        self.answer = answer
        self.relays: tuple[RelayInfo, ...] = ()
        self.secure: SecurePayload | None = None
        self.heard: list[HolepunchPayload] = []
        self.reply: Callable[[bytes], bytes] = self.shake_hands
        self.replies: dict[bytes, bytes] = {}
        peer.receptionist = self
        peer.announce()

    def on_handshake(
        self,
        message: HandshakeMessage,
        source: Address,
        to: Address,
        role: Role,
        respond: Callable[[bytes, Role], None],
    ) -> None:
        if message.noise not in self.replies:
            self.replies[message.noise] = self.reply(message.noise)
        respond(self.replies[message.noise], role)

    def shake_hands(self, noise: bytes) -> bytes:
        rng = self.peer.world.rng
        ephemeral = KeyPair.from_seed(rng.randbytes(32))
        handshake = Handshake("IK", False, self.peer.key_pair, None, NS_PEER_HANDSHAKE, ephemeral)
        handshake.read(noise)
        plain = NoisePayload(holepunch=HolepunchInfo(0, self.relays), udx=UdxInfo(7), secret_stream=True)
        reply = handshake.write(self.payload(plain).encode())
        self.secure = SecurePayload(holepunch_secret(handshake.session.hash), rng.randbytes(32))
        return reply

    def on_holepunch(
        self,
        message: HolepunchMessage,
        source: Address,
        to: Address,
        role: Role,
        respond: Callable[[bytes, Role], None],
    ) -> None:
        assert self.secure is not None
        self.heard.append(self.secure.open(message.payload))
        answer = self.answer(self.heard[-1])
        if answer is not None:
            respond(self.secure.seal(answer, self.peer.world.rng.randbytes(24)), role)

    def on_relays(
        self, relays: Sequence[RelayInfo], addresses: Sequence[Address], is_relay: Callable[[Address], bool]
    ) -> None:
        self.relays = tuple(relays)

    def suspend(self) -> None:
        raise AssertionError("nothing here is suspended")

    def resume(self) -> None:
        raise AssertionError("nothing here is suspended")
