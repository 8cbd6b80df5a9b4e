"""One stream, and a peer that the test plays packet by packet, on a virtual clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holepunch.udx import UdxStream
from holepunch.udx.packet import HEARTBEAT, SACK, Packet, decode, header, sack_area
from tests.udx.pair import route

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holepunch.udx import Event, Route

WINDOW = 4 * 1024 * 1024
LOCAL, REMOTE = 99, 77


def packet(
    flags: int,
    seq: int,
    payload: bytes = b"",
    *,
    ack: int = 0,
    window: int = WINDOW,
    offset: int = 0,
    sacks: Sequence[tuple[int, int]] = (),
) -> bytes:
    area = sack_area(sacks) if sacks else bytes(offset)
    return header(flags | (SACK if sacks else 0), LOCAL, window, seq, ack, offset) + area + payload


class Scripted:
    def __init__(
        self, *, connected: bool = True, local_id: int = LOCAL, remote_id: int = REMOTE, **numbers: int
    ) -> None:
        self.now = 500.0
        self.stream = UdxStream(local_id, now=self.now, **numbers)
        self.events: list[Event] = []
        self.sent_to: list[Route] = []
        """Where each packet that `drain` gave went."""
        if connected:
            self.stream.connect(route(remote_id), remote_id, self.now)

    def drain(self) -> list[Packet]:
        """Flush, and what left."""
        self.stream.flush(self.now)
        self.events += self.stream.events
        self.stream.events.clear()
        packets: list[Packet] = []
        for transmit in self.stream.transmits:
            joined = memoryview(b"".join(transmit.buffers))
            for at in range(0, len(joined), transmit.segment):
                packets.append(decode(joined[at : at + transmit.segment]))
                self.sent_to.append((transmit.role, transmit.to))
        self.stream.transmits.clear()
        return packets

    def receive(self, datagram: bytes) -> None:
        self.stream.receive(memoryview(datagram), len(datagram), route(REMOTE), self.now)

    def feed(self, datagram: bytes) -> list[Packet]:
        """One packet in, one flush, and what left."""
        self.receive(datagram)
        return self.drain()

    def write(self, data: bytes) -> list[Packet]:
        self.stream.write([data])
        return self.drain()

    def repairs(self, seconds: float) -> list[tuple[float, Packet]]:
        """As `wait`, without the HEARTBEATs that ask whether the path is still there."""
        return [(at, sent) for at, sent in self.wait(seconds) if sent.flags != HEARTBEAT]

    def wait(self, seconds: float) -> list[tuple[float, Packet]]:
        """Let time pass, deadline by deadline. What left, and how many seconds after the start of the wait."""
        start, end = self.now, self.now + seconds
        sent: list[tuple[float, Packet]] = []
        for _ in range(10_000):
            deadline = self.stream.deadline()
            if deadline > end:
                self.now = end
                return sent
            self.now = max(self.now, deadline)
            self.stream.expire(self.now)
            sent += [(self.now - start, packet) for packet in self.drain()]
        raise AssertionError("the stream wakes without end")

    def take(self) -> bytes:
        return b"".join(self.stream.take())
