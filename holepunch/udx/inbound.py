"""What a peer sends, packet by packet: the steps of udx.md section 3, in their order.

Bytes go to the receiver, SACKs and windows to the sender; what can wait for the end of the batch is noted for
`UdxStream.flush`. It answers nothing and decides nothing.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from holepunch.errors import DecodeError
from holepunch.udx.packet import (
    ACK_WORD,
    DATA,
    DATA_WORD,
    DESTROY,
    END,
    HEADER_SIZE,
    HEARTBEAT,
    MASK,
    MESSAGE,
    decode,
    expand,
    header_words,
    in_order_data_run,
    join_payloads,
    newest_of_acks,
)

if TYPE_CHECKING:
    from holepunch.udx.receiver import Receiver
    from holepunch.udx.sender import Sender

__all__ = ["MAX_MESSAGES", "Inbound"]

MAX_MESSAGES: Final = 256
"""Unordered messages that wait for the application. They may be lost anyway; beyond this the oldest are."""
_NO_MESSAGES: deque[bytes] = deque(maxlen=0)
"""Shared by streams that never got one: an empty deque of its own would be a fifth of an idle stream."""


class Inbound:
    __slots__ = (
        "_receiver",
        "_sender",
        "ack",
        "ack_owed",
        "destroyed",
        "messages",
        "new_messages",
        "packets",
        "refused",
    )

    def __init__(self, sender: Sender, receiver: Receiver, first: int) -> None:
        self._sender = sender
        self._receiver = receiver
        self.ack = first
        """The newest cumulative ack seen. The sender acts once per flush, not once per packet."""
        self.ack_owed = False
        self.destroyed = False
        """The peer sent DESTROY. Nothing that follows counts."""
        self.refused = False
        """The peer sent bytes that nobody will read."""
        self.messages = _NO_MESSAGES
        self.new_messages = False
        self.packets = 0

    def receive(self, view: memoryview, segment: int, now: float) -> None:
        """One run of datagrams, each of ``segment`` bytes but the last."""
        size = len(view)
        if size <= segment:
            self._receive_one(view, now)
            return
        whole = size // segment
        at = 0
        if segment == HEADER_SIZE:
            if self._receive_acks(view, whole):
                return
        elif whole > 1 and self._receive_bulk(view, segment, whole):
            at = whole * segment
        while at < size and not self.destroyed:
            self._receive_one(view[at : at + segment], now)
            at += segment

    def _receive_bulk(self, view: memoryview, segment: int, count: int) -> bool:
        """A run of plain DATA that continues exactly where the last one ended, taken in one piece. False: it is not."""
        receiver = self._receiver
        size = count * (segment - HEADER_SIZE)
        if not receiver.takes_run(size) or not in_order_data_run(view, segment, count, receiver.expected):
            return False
        receiver.accept_run(count, join_payloads(view, segment, count))
        self.packets += count
        # all left in one burst: what the last one acknowledges is the newest
        _, _, window, _, ack = header_words(view[(count - 1) * segment :])
        if self._note(receiver.expected - 1, ack, window):
            self.ack_owed = True
        return True

    def _receive_acks(self, view: memoryview, count: int) -> bool:
        """A run of plain ACKs in the order in which they left: the last one says all. False: it is not."""
        last = newest_of_acks(view, count)
        if last is None:
            return False
        _, _, window, seq, ack = last
        if not self._note(expand(seq, self._receiver.expected), ack, window):
            return False  # those before it may be true
        self.packets += count
        return True

    def _receive_one(self, datagram: memoryview, now: float) -> None:
        """The two packets that nearly all are, in few steps; others in all of them."""
        if len(datagram) < HEADER_SIZE:
            return
        receiver = self._receiver
        first, _, window, seq, ack = header_words(datagram)
        if first == ACK_WORD:
            self.packets += 1
            self._note(expand(seq, receiver.expected), ack, window)
        elif first == DATA_WORD and seq == receiver.expected & MASK and receiver.takes_run(len(datagram) - HEADER_SIZE):
            self.packets += 1
            receiver.accept_run(1, bytes(datagram[HEADER_SIZE:]))
            if self._note(receiver.expected - 1, ack, window):
                self.ack_owed = True
        else:
            self._receive_any(datagram, now)

    def _receive_any(self, datagram: memoryview, now: float) -> None:
        try:
            packet = decode(datagram)
        except DecodeError:
            return
        self.packets += 1
        flags = packet.flags
        if flags & HEARTBEAT:
            self.ack_owed = True
            return
        receiver = self._receiver
        seq = expand(packet.seq, receiver.expected)
        if seq >= receiver.expected:
            if flags & (DATA | END):
                if receiver.takes(flags, seq, packet.payload):
                    receiver.accept(flags, seq, packet.payload)
                elif receiver.refuses(flags, packet.payload):
                    self.refused = True
                    flags &= ~(DATA | END)
            if flags & DESTROY:
                self.destroyed = True
                return
        if flags & MESSAGE:
            self._keep_message(bytes(packet.payload))
        if self._note(seq, packet.ack, packet.window):
            if packet.sacks:
                una = self.ack
                blocks = [(expand(low, una), expand(high, una)) for low, high in packet.sacks]
                self._sender.acknowledge(una, blocks, now)
            if flags & (DATA | END):
                self.ack_owed = True

    def _keep_message(self, message: bytes) -> None:
        if self.messages is _NO_MESSAGES:
            self.messages = deque(maxlen=MAX_MESSAGES)
        self.messages.append(message)
        self.new_messages = True

    def _note(self, seq: int, ack: int, window: int) -> bool:
        """Take down what a packet says of our own packets. False: it acknowledges what was never sent, and is to be
        neither believed nor acknowledged."""
        ack = expand(ack, self.ack)
        if ack > self._sender.recovery.flight.next:
            return False
        self._sender.on_window(seq, ack, window)
        if ack > self.ack:
            self.ack = ack
        return True
