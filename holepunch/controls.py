"""A stream with frames beside the application's, for two peers of this implementation. Knows nothing of what they say.

A Node peer would take such a frame for data: they are agreed on in the handshake (`punch.messages.Greeting`), or never
sent. They are told apart by the tag that libsodium's secretstream gives each frame, which costs no byte.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from holepunch.channel import CHUNK
from holepunch.stream import EncryptedStream
from holepunch.udx import Event

if TYPE_CHECKING:
    from collections.abc import Callable

    from holepunch.ping import Ping
    from holepunch.secure.noise import Session

__all__ = ["ControlledStream"]


class ControlledStream(EncryptedStream):
    """An `EncryptedStream`, until `agree_on_controls`."""

    _quiet = False
    _on_control: Callable[[bytes], None] | None = None

    def agree_on_controls(self) -> None:
        """Before `start`: the peer has said that it tells control frames from the application's."""
        self._secret.controls = []

    @property
    def session(self) -> Session:
        """What the handshake left behind."""
        return self._session

    @property
    def controls_agreed(self) -> bool:
        return self._secret.controls is not None

    def keep_quiet(self) -> None:
        """Before `start`: say nothing at all, not even the header, until `break_silence`."""
        self._quiet = True

    def knock(self) -> bool:
        """Send a packet with nothing in it, for a peer that waits to see where this side's come from. False: it is not
        needed any more, the peer was heard."""
        if self.is_closed or self._raw.core.bytes_received:
            return False
        self._raw.core.send_message(b"")
        self._endpoint.touch(self._raw)
        return True

    def break_silence(self) -> None:
        if self._quiet and not self.is_closed:
            self._quiet = False
            self._send_header()
            self._endpoint.touch(self._raw)

    def on_controls(self, listener: Callable[[bytes], None]) -> None:
        """Call ``listener`` with each control frame, those that came already first."""
        self._on_control = listener
        self._hand_over()

    @property
    def may_send_controls(self) -> bool:
        """Whether they are agreed on, and the own direction is open."""
        return self.controls_agreed and not (self._eof_sent or self.is_closed)

    def send_control(self, data: bytes) -> bool:
        """Send a frame that is not the application's. False: it may not, or there is no room now."""
        if not self.may_send_controls or self._raw.core.writable <= 0:
            return False
        self._raw.core.write(self._secret.encrypt_control(data))
        self._wrote_at = self._endpoint.schedule.now
        self._endpoint.touch(self._raw)
        return True

    @property
    def message_bytes(self) -> tuple[int, int]:
        received, sent = super().message_bytes
        return max(0, received - self._secret.control_bytes_received), sent - self._secret.control_bytes_sent

    def ping(self) -> Ping | None:
        if self._quiet:
            self._wrote_at = self._endpoint.schedule.now
            return None
        return super().ping()

    def _send_header(self) -> None:
        if not self._quiet:
            super()._send_header()

    def _next_frame(self) -> bytes | None:
        frame = super()._next_frame()
        self._hand_over()
        return frame

    def _hand_over(self) -> None:
        controls = self._secret.controls
        while controls and self._on_control is not None:
            self._on_control(controls.pop(0))

    def _on_event(self, event: Event) -> None:
        if event is Event.READABLE and self.controls_agreed and self._secret.opened and self._is_unread():
            self._rest = self._next_frame() or b""
        super()._on_event(event)

    def _is_unread(self) -> bool:
        """Nobody receives: control frames are seen nevertheless, up to the first frame of the application's."""
        return not (self._rest or self._receiving.busy or self._secret.buffered > CHUNK)
