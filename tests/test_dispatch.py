"""What an endpoint does with what comes in, without sockets: whose it is, whatever it looks like."""

from __future__ import annotations

import math
import random
import struct
from typing import TYPE_CHECKING, cast

from hypothesis import example, given, settings
from hypothesis import strategies as st

from holepunch.address import Address
from holepunch.core import SERVER
from holepunch.endpoint import Endpoint
from holepunch.relay.forwarding import Budget, Leg, join
from holepunch.udp import Received
from holepunch.udx.packet import ACK_WORD, DATA, DATA_WORD, DESTROY, END, SACK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holepunch.compact import Buffer
    from holepunch.core import Role
    from holepunch.udp import Network, UdpSocket

PEER = Address("192.0.2.1", 1000)
WINDOW = 4 << 20


class Socket:
    """Remembers what was sent: for each run its bytes and its segment size."""

    local_address = Address("192.0.2.2", 2000)

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, int]] = []

    def send(self, buffers: Sequence[Buffer], to: Address, ttl: int = 0) -> bool:
        self.sent.append((b"".join(buffers), sum(map(len, buffers))))
        return True

    def send_segments(self, buffers: Sequence[Buffer], segment: int, to: Address, fragment: bool = False) -> bool:
        self.sent.append((b"".join(buffers), segment))
        return True

    def close(self) -> None:
        pass


class Bound:
    """A network that binds one kind of socket."""

    def __init__(self) -> None:
        self.sockets: list[Socket] = []

    def bind(self, host: str, port: int) -> UdpSocket:
        self.sockets.append(Socket())
        return cast("UdpSocket", self.sockets[-1])


class World:
    """An endpoint with a stream, one that lingers, and a pair of streams that it forwards."""

    def __init__(self) -> None:
        self.endpoint = Endpoint(cast("Network", Bound()), "0.0.0.0", random.Random(1))
        sockets, streams = self.endpoint.sockets, self.endpoint.streams
        sockets.on_open = lambda role, socket: None
        sockets.bind(SERVER, 0)
        self.datagrams: list[bytes] = []
        self.endpoint.on_datagram = self._on_datagram
        self.own, gone = (streams.open(lambda role, source: True) for _ in range(2))
        for local_id in (self.own, gone):
            streams.connect(local_id, SERVER, PEER, 5)
            streams[local_id].on_event = lambda event: None
        streams.discard(gone)
        self.legs = [streams.add_leg(self._leg) for _ in range(2)]
        join(*self.legs)
        for leg in self.legs:
            leg.heard_at = 0.0
        self.ids = [self.own, gone, *(leg.local_id for leg in self.legs)]

    def _leg(self, local_id: int) -> Leg:
        return Leg(local_id, 5, lambda: (SERVER, PEER), Budget(math.inf, 0.0), lambda: None)

    def _on_datagram(self, role: Role, view: memoryview, source: Address) -> bool:
        self.datagrams.append(bytes(view))
        return True

    def receive(self, data: bytes, segment: int) -> None:
        touched: dict[int, object] = {}
        received = Received(memoryview(data), segment, PEER)
        self.endpoint._dispatch(SERVER, received, 0.0, touched)  # type: ignore[arg-type]
        for raw in touched.values():
            self.endpoint.streams.flush(raw, 0.0)  # type: ignore[arg-type]


def headers(flags: int = DATA, offset: int = 0) -> int:
    return ACK_WORD | flags << 16 | offset << 24


FIRST_WORDS = st.sampled_from(
    [DATA_WORD, ACK_WORD, headers(SACK), headers(SACK, 8), headers(END), headers(DESTROY), headers(255, 255), 0]
)
ID = st.integers(0, 3)
SMALL = st.integers(0, 20) | st.just(WINDOW)
DATAGRAM = st.tuples(FIRST_WORDS, ID, SMALL, SMALL, SMALL, st.lists(SMALL, max_size=12))
SEGMENT = st.integers(1, 64) | st.sampled_from([4, 8, 12, 16, 20, 24])


@settings(max_examples=400, deadline=None)
@given(st.lists(DATAGRAM, min_size=1, max_size=4), SEGMENT, st.integers(1, 5), st.integers(0, 40), st.booleans())
@example([(DATA_WORD, 0, WINDOW, 0, 0, [])], 16, 2, 0, True)
@example([(DATA_WORD, 2, WINDOW, 0, 0, [])], 16, 2, 0, True)
def test_runs_of_anything_in_segments_of_any_size_raise_nothing(
    datagrams: list[tuple[int, int, int, int, int, list[int]]], segment: int, repeats: int, rest: int, numbered: bool
) -> None:
    world = World()
    run = b""
    for number in range(repeats * len(datagrams)):
        first, which, window, seq, ack, more = datagrams[number % len(datagrams)]
        words = (first, world.ids[which], window, seq + number * numbered, ack, *more)
        run += struct.pack(f"<{len(words)}I", *words)[:segment].ljust(segment, b"\0")
    world.receive(run + run[:segment][:rest], segment)
    for leg in world.legs:
        leg.destroy(0.0)


def test_datagrams_too_short_for_a_header_are_nobodys_stream_alone_or_in_a_run() -> None:
    world = World()
    short = struct.pack("<4I", DATA_WORD, world.own, WINDOW, 0)
    world.receive(short * 3, len(short))
    world.receive(short, len(short))
    assert world.datagrams == [short] * 4
