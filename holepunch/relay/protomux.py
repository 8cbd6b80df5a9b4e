"""Protomux: many message protocols over one stream of frames. A pure core; rules and numbers in protomux.md.

It does not encode messages: a channel's handlers and senders deal in bytes. Node: protomux index.js.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from holepunch.compact import Reader
from holepunch.errors import DecodeError
from holepunch.relay import frames
from holepunch.relay.channel import Channel, Key, Notice, Pairing, Remote
from holepunch.relay.frames import CONTROL, Item, Open

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from holepunch.compact import Buffer

__all__ = ["Channel", "Notice", "Protomux"]

MAX_BATCH: Final = 8 << 20
"""Bytes collected at which a batch is sent before more is added, as in Node."""
MAX_BUFFERED: Final = 32768
"""Bytes that wait for channels which the remote opened and this side did not yet; more of it and reading should
pause."""
BUFFERED_EACH: Final = 512
"""What one waiting message counts on top of its length, as in Node."""
MAX_CHANNELS: Final = 1024
"""Channels that the remote may have open, or waiting, at one time. (Node sets no limit.)"""


class Protomux:
    """Frames come in through `receive`; what is to be sent collects in ``outgoing``, which the driver empties.

    Once ``failed`` is set the peer broke the protocol, and the stream must be destroyed.
    """

    def __init__(self) -> None:
        self.outgoing: list[bytes] = []
        self.on_outgoing: Callable[[], None] | None = None
        """Called when there is something to send: a message on one stream may be answered on others."""
        self.failed: DecodeError | None = None
        self._local: list[Channel | None] = []
        self._free: list[int] = []
        self._remote: list[Remote | None] = []
        self._pairings: dict[Key, Pairing] = {}
        self._handlers: dict[Key, Callable[[Notice], None]] = {}
        self._buffered = 0
        self._corked = 0
        self._batch: list[Item] = []
        self._batch_size = 0

    # -- what the application wants

    def create(
        self,
        protocol: str,
        id: bytes = b"",
        *,
        aliases: Sequence[str] = (),
        unique: bool = True,
        receivers: Sequence[Callable[[bytes], None] | None] = (),
        on_open: Callable[[bytes], None] | None = None,
        on_close: Callable[[bool], None] | None = None,
    ) -> Channel | None:
        """A channel, to be opened. None when one of this protocol and id is open already, unless not ``unique``.

        ``on_open`` is told the remote's handshake, ``on_close`` whether the remote closed it. ``aliases`` are other
        names of the protocol; they only work when both sides know both (protomux.md section 2).
        """
        pairing = self._pairing(protocol, id, aliases)
        if self.failed is not None or (unique and pairing.opened):
            return None
        channel = Channel(self, pairing, protocol, id, receivers, on_open, on_close)
        if pairing.incoming:
            remote_id = pairing.incoming.popleft()
            remote = self._remote[remote_id - 1]
            if remote is None:
                return None
            remote.channel = channel
            channel.remote_id = remote_id
        return channel

    def pair(self, protocol: str, on_notice: Callable[[Notice], None], id: bytes | None = None) -> None:
        """Be told when the remote opens this protocol: with this id, or with any that has no handler of its own."""
        self._handlers[protocol, id or b""] = on_notice

    def unpair(self, protocol: str, id: bytes | None = None) -> None:
        self._handlers.pop((protocol, id or b""), None)

    def is_open(self, protocol: str, id: bytes = b"") -> bool:
        """Whether a channel of this protocol and id is open on this side."""
        pairing = self._pairings.get((protocol, id))
        return pairing is not None and pairing.opened > 0

    @property
    def idle(self) -> bool:
        """No channel is open on this side, and no number is kept for an answer of the remote."""
        return len(self._local) == len(self._free)

    @property
    def paused(self) -> bool:
        """So much waits for channels this side did not open yet that nothing more should be read."""
        return self._buffered > MAX_BUFFERED

    @contextmanager
    def corked(self) -> Iterator[None]:
        """What is sent inside leaves as one batch."""
        self.cork()
        try:
            yield
        finally:
            self.uncork()

    def cork(self) -> None:
        """Collect what is sent until as many calls of `uncork`. A handler that answers later may, too: its answer
        then goes with those of the others to the same batch."""
        self._corked += 1

    def uncork(self) -> None:
        self._corked -= 1
        if not self._corked:
            self._send_batch()

    def close(self) -> None:
        """The stream is over: so is every channel."""
        for channel in self._local:
            if channel is not None:
                channel.end(by_remote=True)
        self.outgoing.clear()

    # -- what the peer sends

    def receive(self, frame: Buffer) -> None:
        """One whole frame. Never raises on what the peer sends: see ``failed``."""
        if not len(frame) or self.failed is not None:
            return
        try:
            self._receive_frame(frame)
        except DecodeError as error:
            self.failed = error
            self.close()

    def _receive_frame(self, frame: Buffer) -> None:
        messages = frames.items(frame)
        first = next(messages, None)
        if first is None:
            return
        second = next(messages, None)
        if second is None:
            self._on_item(first)
            return
        # answers to a batch are a batch
        with self.corked():
            self._on_item(first)
            self._on_item(second)
            for item in messages:
                self._on_item(item)

    def _on_item(self, item: Item) -> None:
        if item.channel == CONTROL:
            self._on_control(Reader(item.payload))
            return
        remote = self._remote[item.channel - 1] if item.channel <= len(self._remote) else None
        if remote is None:
            return  # closed, or rejected: it was sent before the remote knew
        if remote.channel is None or not remote.channel.opened:
            remote.waiting.append(item.payload)
            self._buffered += BUFFERED_EACH + len(item.payload)
        else:
            remote.channel.receive(item.payload)

    def _on_control(self, r: Reader) -> None:
        match r.uint():
            case frames.OPEN:
                self._on_open(Open.decode(r))
            case frames.REJECT:
                self._on_reject(r.uint())
            case frames.CLOSE:
                self._on_close(r.uint())

    def _on_open(self, message: Open) -> None:
        remote_id = message.local_id
        slot = remote_id - 1
        if slot == len(self._remote) < MAX_CHANNELS:
            self._remote.append(None)
        if not 0 <= slot < len(self._remote) or self._remote[slot] is not None:
            raise DecodeError(f"the remote opens channel {remote_id}, which is not the next free one")
        pairing = self._pairing(message.protocol, message.id)
        if pairing.outgoing:
            local_id = pairing.outgoing.popleft()
            channel = self._local[local_id - 1]
            if channel is None:
                self._free.append(local_id)  # closed meanwhile; this answers that
                self._collect(pairing)
                return
            remote = self._remote[slot] = Remote(message.handshake)
            remote.channel = channel
            channel.remote_id = remote_id
            self.open_fully(channel, remote_id)
            return
        self._remote[slot] = Remote(message.handshake)
        pairing.incoming.append(remote_id)
        pairing.notified += 1
        notice = Notice(message.id, lambda: self._decided(pairing))
        handler = self._handlers.get((message.protocol, message.id)) or self._handlers.get((message.protocol, b""))
        if handler is not None:
            handler(notice)
        if not notice.held:
            self._decided(pairing)

    def _decided(self, pairing: Pairing) -> None:
        """Whoever was told of the remote's opens has opened a channel for them, or will not."""
        pairing.notified -= 1
        if pairing.notified:
            return
        while pairing.incoming:
            remote_id = pairing.incoming.popleft()
            self._drop_remote(remote_id)
            self.send(frames.reject(remote_id))
        self._collect(pairing)

    def _on_reject(self, local_id: int) -> None:
        pairing = next((p for p in self._pairings.values() if local_id in p.outgoing), None)
        if pairing is None:
            raise DecodeError(f"the remote rejects channel {local_id}, which does not wait for an answer")
        pairing.outgoing.remove(local_id)
        channel = self._local[local_id - 1]
        self._free.append(local_id)
        if channel is not None:
            channel.end(by_remote=True)
        self._collect(pairing)

    def _on_close(self, remote_id: int) -> None:
        remote = self._remote[remote_id - 1] if 0 < remote_id <= len(self._remote) else None
        if remote is not None and remote.channel is not None:
            remote.channel.end(by_remote=True)

    # -- tables

    def _pairing(self, protocol: str, id: bytes, aliases: Sequence[str] = ()) -> Pairing:
        pairing = self._pairings.get((protocol, id))
        if pairing is None:
            pairing = Pairing([(name, id) for name in (protocol, *aliases)])
            for key in pairing.keys:
                self._pairings[key] = pairing
        return pairing

    def _collect(self, pairing: Pairing) -> None:
        if not (pairing.opened or pairing.outgoing or pairing.incoming):
            for key in pairing.keys:
                if self._pairings.get(key) is pairing:
                    del self._pairings[key]

    def take_local_id(self, channel: Channel) -> int:
        """The number released last is used first; if there is none, the next one. The remote counts on that."""
        if self._free:
            local_id = self._free.pop()
            self._local[local_id - 1] = channel
            return local_id
        self._local.append(channel)
        return len(self._local)

    def open_fully(self, channel: Channel, remote_id: int) -> None:
        """Both sides have opened it. What the remote sent meanwhile is delivered, in order."""
        remote = self._remote[remote_id - 1]
        assert remote is not None  # it was bound
        waiting, remote.waiting = remote.waiting, []
        self._buffered -= _weight(waiting)
        channel.opened = True
        if channel.on_open is not None:
            channel.on_open(remote.handshake)
        for payload in waiting:
            if not channel.closed:
                channel.receive(payload)

    def forget(self, pairing: Pairing, local_id: int, remote_id: int) -> None:
        """A channel ended. Its number is free once the remote has opened its side, too: until then an answer to it may
        be on the way."""
        if local_id:
            pairing.opened -= 1
            self._local[local_id - 1] = None
        if remote_id:
            self._drop_remote(remote_id)
            if local_id:
                self._free.append(local_id)
        self._collect(pairing)

    def _drop_remote(self, remote_id: int) -> None:
        remote = self._remote[remote_id - 1]
        self._remote[remote_id - 1] = None
        if remote is not None:
            self._buffered -= _weight(remote.waiting)

    # -- what is sent

    def send(self, item: Item) -> None:
        if not self._corked:
            self._emit(item.encode())
            return
        if self._batch_size >= MAX_BATCH:
            self._send_batch()
        self._batch.append(item)
        self._batch_size += len(item.payload)

    def _send_batch(self) -> None:
        collected, self._batch, self._batch_size = self._batch, [], 0
        if collected:
            self._emit(frames.batch(collected))

    def _emit(self, frame: bytes) -> None:
        self.outgoing.append(frame)
        if self.on_outgoing is not None:
            self.on_outgoing()


def _weight(payloads: Sequence[bytes]) -> int:
    return sum(BUFFERED_EACH + len(payload) for payload in payloads)
