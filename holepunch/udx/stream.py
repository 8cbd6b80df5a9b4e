"""A UDX stream: sender, receiver and life cycle put together (protocol note udx.md sections 3 to 6).

Pure: it never raises on bytes from the network, and knows time only as it is told.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from holepunch.udx.inbound import Inbound
from holepunch.udx.linger import Linger
from holepunch.udx.mtu import MAX_SIZE
from holepunch.udx.packet import DESTROY, HEADER_SIZE, HEARTBEAT, MESSAGE, SACK, header, sack_area
from holepunch.udx.receiver import Receiver
from holepunch.udx.sender import Sender
from holepunch.udx.values import Event, Reset, TimedOut, Transmit

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Sequence

    from holepunch.compact import Buffer
    from holepunch.errors import SwarmError
    from holepunch.udx.values import Route

__all__ = ["UdxStream"]

SEND_QUEUE: Final = 256 * 1024
"""Bytes queued, and not yet packets, at which a writer should wait: Node's mark (udx.md section 7)."""
QUEUE_ROOM: Final = SEND_QUEUE // 4
"""Room that is worth waking a writer for."""


class UdxStream:
    """One reliable, ordered, two-way stream of bytes, and a side channel of unordered messages.

    **After any batch of calls the driver calls `flush`, sends and clears `transmits`, handles and clears `events`, and
    looks at `deadline`.** When the deadline has come it calls `expire`, then does the same.

    Times are seconds of one clock that never goes back. Nothing here raises on what a peer sends.
    """

    __slots__ = (
        "_acknowledged",
        "_arrived",
        "_deadline",
        "_destroyed",
        "_drained",
        "_end_told",
        "_heard",
        "_inbound",
        "_queue_full",
        "_readable_told",
        "_receiver",
        "_sender",
        "_stalled",
        "closed",
        "error",
        "events",
        "local_id",
        "remote_id",
        "route",
        "transmits",
    )

    def __init__(self, local_id: int, *, now: float, first_seq: int = 0, first_ack: int = 0) -> None:
        """``first_seq`` and ``first_ack`` are the first packet numbers of each direction; HyperDHT always uses 0."""
        self.local_id = local_id
        self.remote_id = 0
        self.route: Route | None = None
        self.closed = False
        self.error: SwarmError | None = None
        """Why it closed, when not by both ends ending, nor by a `destroy` without a reason."""
        self.transmits: list[Transmit] = []
        self.events: list[Event] = []
        self._sender = Sender(first_seq, local_id, now)
        self._receiver = Receiver(first_ack)
        self._inbound = Inbound(self._sender, self._receiver, first_seq)
        self._destroyed = False
        self._readable_told = False
        self._end_told = False
        self._drained = False
        self._queue_full = False
        self._stalled = False
        self._heard = False
        self._arrived = now
        """When the newest packet did."""
        self._acknowledged = 0
        """Bytes received when an acknowledgement left last."""
        self._deadline = math.inf

    # for the application

    @property
    def readable(self) -> int:
        """Bytes that `take` would give."""
        return self._receiver.readable

    @property
    def owes_window(self) -> bool:
        """The peer may be waiting to hear how much was taken: `flush` tells it."""
        return self._receiver.owes_update()

    @property
    def ack_can_wait(self) -> bool:
        """No more than one packet in order is to be acknowledged. After `report`, `flush` may wait for the microseconds
        in which the application may write an answer, which then carries the ACK."""
        inbound, receiver = self._inbound, self._receiver
        if not inbound.ack_owed or self.closed or receiver.has_gaps or receiver.ended:
            return False
        return receiver.bytes_received - self._acknowledged <= MAX_SIZE - HEADER_SIZE

    @property
    def owes_ack(self) -> bool:
        """Something has arrived that no packet has acknowledged yet."""
        return self._inbound.ack_owed and not self.closed

    @property
    def idle(self) -> bool:
        """Nothing is queued, and nothing on its way that is not acknowledged."""
        return not self._sender.queued and self._inbound.ack == self._next

    @property
    def ended(self) -> bool:
        """The remote's END was reached, and everything before it taken."""
        return self._receiver.ended and not self._receiver.readable

    @property
    def rtt(self) -> float | None:
        """Smoothed round trip in seconds; None before the first sample."""
        return self._sender.recovery.rtt.smoothed

    @property
    def messages(self) -> deque[bytes]:
        """Unordered messages received, for the driver to pop from the left. A full queue drops the oldest."""
        return self._inbound.messages

    @property
    def packets_received(self) -> int:
        return self._inbound.packets

    @property
    def bytes_received(self) -> int:
        """Stream bytes received in order."""
        return self._receiver.bytes_received

    @property
    def bytes_sent(self) -> int:
        """Stream bytes that have left, retransmissions not counted."""
        return self._sender.bytes_sent

    @property
    def packets_sent(self) -> int:
        """Numbered packets that have left, retransmissions included."""
        return self._sender.packets_sent

    @property
    def packets_lost(self) -> int:
        return self._sender.recovery.lost

    @property
    def packets_retransmitted(self) -> int:
        return self._sender.resent

    @property
    def writable(self) -> int:
        """Bytes that may still be queued before the writer should wait for `Event.WRITABLE` (<= 0: wait)."""
        return SEND_QUEUE - self._sender.queued

    @property
    def max_message(self) -> int:
        """The largest message, in bytes, that the path is known to carry."""
        return self._sender.payload_size

    def write(self, chunks: Sequence[Buffer]) -> None:
        """Queue bytes, in order. The buffers are kept, and not to be changed any more. Never refuses: see `writable`.

        Raises ``ValueError`` after `write_end`. On a closed stream it does nothing.
        """
        if self.closed:
            return
        if self._sender.ending:
            raise ValueError("this direction of the stream has ended")
        self._sender.write(chunks)
        self._queue_full = self.writable <= 0

    def write_end(self) -> None:
        """End this direction after what is queued. Ending twice does nothing."""
        if not self.closed and not self._sender.ending:
            self._sender.end()

    def close_read(self) -> None:
        """The application reads no more. What is unread is dropped; once our own END is acknowledged, bytes that the
        remote still sends are answered by DESTROY, and the stream closes without an error (udx.md section 5)."""
        self._receiver.discard()

    def take(self, limit: int | None = None) -> list[Buffer]:
        """Ordered bytes not taken yet, at most ``limit``, in chunks that the caller owns.

        Works on a closed stream too. `flush` must follow when the stream `owes_window` then.
        """
        self._readable_told = False
        return self._receiver.take(limit)

    def send_message(self, data: Buffer) -> bool:
        """One unordered, unreliable message; empty ones are legal. False when it cannot go: not connected, closed, or
        larger than any datagram. Above `max_message` it may well be lost."""
        if self.closed or self.route is None or len(data) > MAX_SIZE - HEADER_SIZE:
            return False
        self._send_control(MESSAGE, bytes(data))
        return True

    def send_message_to(self, route: Route, remote_id: int, data: Buffer) -> None:
        """One message by another route than the stream's own: to find out what there is."""
        if not self.closed:
            receiver = self._receiver
            head = header(MESSAGE, remote_id, receiver.window(), self._next, receiver.expected)
            self.transmits.append(Transmit(*route, [head + bytes(data)], HEADER_SIZE + len(data)))

    def query(self) -> None:
        """Ask the peer for an ACK, which it sends at once even if it takes no data now (udx.md section 8)."""
        if not self.closed and self.route is not None:
            self._send_control(HEARTBEAT)

    def send_last_again(self) -> None:
        """Do not wait for the timer: the last packet that is not acknowledged leaves again at the next `flush`."""
        if not self.closed and not self._sender.recovery.flight.empty:
            self._sender.recovery.tail_probe_due = True

    # for the driver

    def connect(self, route: Route, remote_id: int, now: float) -> None:
        """Packets go there from now on. Sends nothing but, at the next `flush`, an ACK owed for early data."""
        if self.route is None and not self.closed:
            self.route = route
            self.remote_id = remote_id
            self._sender.change_path(route, remote_id, now)

    def change_route(self, route: Route, remote_id: int, now: float, *, leave: bool = False) -> None:
        """New packets go to the new route at once; what was sent before is sent again to the old one, or, with
        ``leave``, to the new one, too: the old one may be gone.

        `Event.ROUTE_CHANGED` follows when nothing goes to the old route any more.
        """
        if self.route is not None and not self.closed:
            self.route = route
            self.remote_id = remote_id
            self._sender.change_path(route, remote_id, now, leave=leave)

    def destroy(self, error: SwarmError | None = None) -> None:
        """Send one DESTROY, if connected, and close at once. Does nothing on a closed stream."""
        if not self.closed:
            self._close(error)
            if self.route is not None:
                self._destroyed = True
                self._send_control(DESTROY)

    def linger(self) -> Linger | None:
        """What should answer for this id after `Event.CLOSED`, for `LINGER_TIME`. None when nothing needs to."""
        if self.route is None or self.error is not None:
            return None
        flags = DESTROY if self._destroyed else 0
        receiver = self._receiver
        return Linger(self.route, self.remote_id, flags, receiver.window(), self._next, receiver.expected)

    def receive(self, view: memoryview, segment: int, route: Route, now: float) -> None:
        """One run of datagrams for this stream, each of ``segment`` bytes but the last. What is kept is copied.

        Also before `connect`, for packets that the firewall hook let pass. The route is not looked at: a stream does
        not follow its peer (udx.md section 2).
        """
        if not self.closed:
            self._arrived = now
            self._inbound.receive(view, segment, now)
            recovery = self._sender.recovery
            if (recovery.doubted or not recovery.heard) and route == self.route:
                self._heard = recovery.heard = True  # what comes from elsewhere says nothing of this path
            if self._inbound.destroyed:
                self._close(Reset())

    def flush(self, now: float) -> None:
        """Act on what was received, and send what is owed and what the windows and the pacer allow."""
        if self.closed:
            return
        sender, receiver, inbound = self._sender, self._receiver, self._inbound
        if inbound.ack > sender.recovery.flight.una:
            sender.acknowledge(inbound.ack, (), self._arrived)
        sender.recovery.settle(self._arrived)
        if self._heard and sender.recovery.doubted:
            sender.recovery.revive(now)
        self._heard = False
        if self._stalled and not sender.recovery.doubted:
            self._stalled = False
            self.events.append(Event.REVIVED)
        self._settle_ends()
        if self.route is not None and not self.closed:
            inbound.ack_owed = inbound.ack_owed or receiver.owes_update()
            window = receiver.window()
            if sender.pump(window, receiver.expected, now, self.transmits):
                receiver.advertised = window
                inbound.ack_owed = inbound.ack_owed and receiver.has_gaps
                self._acknowledged = receiver.bytes_received
            if sender.heartbeat_due:
                sender.heartbeat_due = False
                self._send_control(HEARTBEAT)
            if inbound.ack_owed:
                self._send_ack()
            if sender.end_acknowledged and receiver.ended:
                self._close(None)
        self.report()
        if not self.closed:
            self._deadline = sender.deadline()

    def deadline(self) -> float:
        """When `expire` wants to be called; ``math.inf`` when there is nothing to wait for. Valid after `flush`."""
        return self._deadline

    def expire(self, now: float) -> None:
        """The deadline has come. `flush` must follow."""
        if self.closed or self.route is None:
            return
        sender = self._sender
        sender.expire(now)
        if sender.recovery.timed_out:
            # only the ACK of our END is missing: the peer has closed and cannot repeat it (udx.md section 5)
            clean = sender.only_end_missing and self._receiver.ended
            self._close(None if clean else TimedOut())
        elif sender.recovery.stalled and not self._stalled:
            self._stalled = True
            self.events.append(Event.STALLED)

    # inside

    @property
    def _next(self) -> int:
        return self._sender.recovery.flight.next

    def _settle_ends(self) -> None:
        if self._sender.end_acknowledged and not self._drained:
            self._drained = True
            self.events.append(Event.DRAINED)
            # so that the peer, which cannot know that its ACK arrived, sees it (udx.md section 3, step 10)
            self._inbound.ack_owed = self._inbound.ack_owed or not self._receiver.ended
        if self._inbound.refused and self._drained:
            self.destroy()

    def report(self) -> None:
        """Only the events, as of now: `flush` must follow."""
        receiver, sender = self._receiver, self._sender
        if receiver.readable and not self._readable_told:
            self._readable_told = True
            self.events.append(Event.READABLE)
        if receiver.ended and not self._end_told:
            self._end_told = True
            self.events.append(Event.ENDED)
        if self._inbound.new_messages:
            self._inbound.new_messages = False
            self.events.append(Event.MESSAGE)
        if self._queue_full and self.writable >= QUEUE_ROOM:
            self._queue_full = False
            self.events.append(Event.WRITABLE)
        if sender.route_changed:
            sender.route_changed = False
            self.events.append(Event.ROUTE_CHANGED)

    def _send_ack(self) -> None:
        self._acknowledged = self._receiver.bytes_received
        blocks = self._receiver.sack_blocks()
        self._send_control(SACK if blocks else 0, sack_area(blocks))
        self._receiver.advertised = self._receiver.window()
        self._inbound.ack_owed = False

    def _send_control(self, flags: int, body: bytes = b"") -> None:
        assert self.route is not None
        receiver = self._receiver
        head = header(flags, self.remote_id, receiver.window(), self._next, receiver.expected)
        self.transmits.append(Transmit(*self.route, [head + body], HEADER_SIZE + len(body)))

    def _close(self, error: SwarmError | None) -> None:
        self.closed = True
        self.error = error
        self.report()
        self._sender.clear()
        self._deadline = math.inf
        self.events.append(Event.CLOSED)
