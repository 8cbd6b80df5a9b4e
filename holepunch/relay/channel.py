"""One channel of a `Protomux`, and what a mux keeps about channels. Decides nothing about which are accepted."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from holepunch.compact import Reader, Writer
from holepunch.relay import frames
from holepunch.relay.frames import Item, Open

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from holepunch.relay.protomux import Protomux

__all__ = ["Channel", "Key", "Notice", "Pairing", "Remote"]

Key = tuple[str, bytes]
"""Protocol and id."""


class Pairing:
    """The channels of one protocol and id, while there are any."""

    __slots__ = ("incoming", "keys", "notified", "opened", "outgoing")

    def __init__(self, keys: list[Key]) -> None:
        self.keys = keys
        self.outgoing: deque[int] = deque()
        """Own opens that the remote did not answer yet."""
        self.incoming: deque[int] = deque()
        """The remote's opens that this side did not answer yet."""
        self.notified = 0
        """Who was told of one of them, and has not decided yet."""
        self.opened = 0


class Remote:
    """A channel as the remote opened it."""

    __slots__ = ("channel", "handshake", "waiting")

    def __init__(self, handshake: bytes) -> None:
        self.handshake = handshake
        self.channel: Channel | None = None
        self.waiting: list[bytes] = []


class Notice:
    """The remote opened a channel that this side may answer. It is rejected when the handler returns without having
    opened one, or, after `hold`, when `release` is called."""

    __slots__ = ("_settle", "held", "id")

    def __init__(self, id: bytes, settle: Callable[[], None]) -> None:
        self.id = id
        self.held = False
        self._settle = settle

    def hold(self) -> None:
        self.held = True

    def release(self) -> None:
        """Releasing again does nothing."""
        if self.held:
            self.held = False
            self._settle()


class Channel:
    """One protocol between the two sides. Made by `Protomux.create`; it exists for the remote once `open` was called.

    ``receivers`` are called with the bodies of the message types 0, 1, ...; None reserves a number.
    """

    __slots__ = (
        "_mux",
        "_pairing",
        "closed",
        "id",
        "local_id",
        "on_close",
        "on_open",
        "opened",
        "protocol",
        "receivers",
        "remote_id",
    )

    def __init__(
        self,
        mux: Protomux,
        pairing: Pairing,
        protocol: str,
        id: bytes,
        receivers: Sequence[Callable[[bytes], None] | None],
        on_open: Callable[[bytes], None] | None,
        on_close: Callable[[bool], None] | None,
    ) -> None:
        self._mux = mux
        self._pairing = pairing
        self.remote_id = 0
        self.protocol = protocol
        self.id = id
        self.receivers = receivers
        self.on_open = on_open
        self.on_close = on_close
        self.local_id = 0
        """0 before `open`, and after the end."""
        self.opened = False
        self.closed = False

    def open(self, handshake: bytes = b"") -> None:
        """Tell the remote. Messages may follow at once; ``on_open`` says when the remote has opened it, too."""
        if self.closed or self.local_id:
            return
        mux = self._mux
        self.local_id = mux.take_local_id(self)
        self._pairing.opened += 1
        if not self.remote_id:
            self._pairing.outgoing.append(self.local_id)
        mux.send(frames.open_(Open(self.local_id, self.protocol, self.id, handshake)))
        if self.remote_id:
            mux.open_fully(self, self.remote_id)

    def send(self, type: int, body: bytes = b"") -> bool:
        """False when the channel is not open on this side: nothing is sent then."""
        if not self.local_id or (type < len(self.receivers) and self.receivers[type] is None):
            return False
        self._mux.send(Item(self.local_id, Writer().uint(type).raw(body).to_bytes()))
        return True

    def close(self) -> None:
        """Closing again does nothing."""
        if not self.closed:
            local_id = self.local_id
            self.end(by_remote=False)
            if local_id:
                self._mux.send(frames.close(local_id))

    def end(self, *, by_remote: bool) -> None:
        if self.closed:
            return
        self.closed = True
        local_id, self.local_id = self.local_id, 0
        self._mux.forget(self._pairing, local_id, self.remote_id)
        self.remote_id = 0
        if self.on_close is not None:
            self.on_close(by_remote)

    def receive(self, payload: bytes) -> None:
        r = Reader(payload)
        type = r.uint()
        receiver = self.receivers[type] if type < len(self.receivers) else None
        if receiver is not None:
            receiver(r.rest())
