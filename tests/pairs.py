"""Two ends of one encrypted stream in one process, each with an endpoint of its own. No DHT is needed."""

from __future__ import annotations

import random
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from holepunch.channel import CHUNK
from holepunch.core import SERVER, Role
from holepunch.endpoint import Endpoint
from holepunch.keys import KeyPair
from holepunch.secure.noise import Handshake
from holepunch.stream import EncryptedStream
from holepunch.udp.system import SystemNetwork

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from holepunch.udp import Network

__all__ = ["connected", "stream_pair"]


def connected(
    a: Endpoint, b: Endpoint, *, yield_after: int = CHUNK, b_sends_to: Role = SERVER
) -> tuple[EncryptedStream, EncryptedStream]:
    """A stream from ``a`` to ``b``, both ends started. ``b_sends_to``: the socket of ``a`` that ``b`` takes for its."""
    rng = random.Random(1)
    keys = [KeyPair.from_seed(bytes([n]) * 32) for n in (1, 2, 3, 4)]
    dialler = Handshake("IK", True, keys[0], keys[1].public_key, b"", keys[2])
    server = Handshake("IK", False, keys[1], None, b"", keys[3])
    server.read(dialler.write())
    dialler.read(server.write())
    ids = [endpoint.streams.open(lambda role, source: False) for endpoint in (a, b)]
    streams = []
    for own, other, handshake, n, role in ((a, b, dialler, 0, SERVER), (b, a, server, 1, b_sends_to)):
        own.now()
        own.streams.connect(ids[n], SERVER, other.sockets.local_address(role), ids[1 - n])
        streams.append(EncryptedStream(own, own.streams[ids[n]], handshake.session, rng, yield_after=yield_after))
    for stream in streams:
        stream.start()
    return streams[0], streams[1]


@asynccontextmanager
async def stream_pair(
    hosts: tuple[Network, Network] | None = None, *, yield_after: int = CHUNK, b_sends_to: Role = SERVER
) -> AsyncIterator[tuple[EncryptedStream, EncryptedStream]]:
    """Over real sockets on loopback, or over the given hosts of a virtual network."""
    network = SystemNetwork()
    a_net, b_net = hosts or (network, network)
    host_of = [net.local_hosts()[0] if hosts else "127.0.0.1" for net in (a_net, b_net)]
    a = Endpoint(a_net, host_of[0], random.Random(2))
    b = Endpoint(b_net, host_of[1], random.Random(3))
    async with a.running(0), b.running(0):
        yield connected(a, b, yield_after=yield_after, b_sends_to=b_sends_to)
