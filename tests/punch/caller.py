"""A client as a listener sees it: messages made by hand, and what comes back."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from holepunch.address import Address
from holepunch.core import CLIENT
from holepunch.keys import KeyPair
from holepunch.punch.messages import (
    NS_PEER_HANDSHAKE,
    HandshakeMessage,
    HolepunchMessage,
    HolepunchPayload,
    Mode,
    NoisePayload,
    SecurePayload,
    UdxInfo,
)
from holepunch.secure.noise import Handshake
from tests.punch.world import Peer, World, peer_behind

if TYPE_CHECKING:
    from holepunch.core import Role
    from holepunch.secure.noise import Session

HOME = Address("50.0.0.2", 4444)
"""Where the client calls from, unless told otherwise."""


class Caller:
    """A client as the listener sees it: its messages, and what it hears back."""

    def __init__(self, server: Peer, payload: NoisePayload | None = None, *, seed: int = 1) -> None:
        rng = random.Random(seed)
        self.server = server
        self.key_pair = KeyPair.from_seed(rng.randbytes(32))
        self.handshake = Handshake(
            "IK",
            True,
            self.key_pair,
            server.key_pair.public_key,
            NS_PEER_HANDSHAKE,
            KeyPair.from_seed(rng.randbytes(32)),
        )
        self.payload = NoisePayload(udx=UdxInfo(77), secret_stream=True) if payload is None else payload
        self.noise = self.handshake.write(self.payload.encode())
        self.heard: list[tuple[bytes, Role]] = []
        self.relay = server.world.nodes[0].address

    def call(self, client: Address | None = HOME, mode: Mode = Mode.FROM_RELAY, relay: Address | None = None) -> None:
        message = HandshakeMessage(mode, self.noise, client)
        to = Address("50.0.0.1", 2222)
        source = relay or self.relay
        self.server.listener.on_handshake(message, source, to, CLIENT, lambda *heard: self.heard.append(heard))

    def answer(self) -> tuple[NoisePayload, Session]:
        payload = NoisePayload.decode(self.handshake.read(self.heard[0][0]))
        return payload, self.handshake.session

    def punch(self, secure: SecurePayload, payload: HolepunchPayload, id: int = 0) -> None:
        message = HolepunchMessage(Mode.FROM_RELAY, id, secure.seal(payload, bytes(24)), HOME)
        to = Address("50.0.0.1", 2222)
        self.server.listener.on_holepunch(message, self.relay, to, CLIENT, lambda *heard: self.heard.append(heard))


def home_server(kind: str = "home") -> Peer:
    """A peer behind a router, that listens."""
    server = peer_behind(World(), kind, 1)
    server.listen()
    return server
