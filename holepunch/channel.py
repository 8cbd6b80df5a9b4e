"""A secret stream over a UDX stream, from the first header to the end: opening, keeping alive, decrypting, and frames
beside the application's.

Owns no task; the one timer is an entry on the endpoint's schedule. Waits for nothing: `holepunch.stream` does.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from holepunch.direction import Direction
from holepunch.errors import DecodeError
from holepunch.keepalive import KeepAlive
from holepunch.path import Path
from holepunch.path.following import Following
from holepunch.ping import Ping
from holepunch.secure.secretstream import EMPTY_FRAME, SecretStream
from holepunch.udx import Event
from holepunch.udx.stream import SEND_QUEUE

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from holepunch.core import Entry, Random
    from holepunch.endpoint import Endpoint
    from holepunch.keys import PublicKey
    from holepunch.rawstreams import RawStream
    from holepunch.secure.noise import Session
    from holepunch.udx.values import Route

__all__ = ["CHUNK", "SecureChannel"]

CHUNK = 1 << 16
"""`send_all` cuts into frames of this size, and `receive_some` joins up to it."""
OPEN_TIMEOUT = 10.0
"""Seconds for the peer's header frame to arrive after a path was found."""


class SecureChannel:
    """An `EncryptedStream` as far as nobody awaits anything: what it is, and what it does by itself."""

    def __init__(
        self, endpoint: Endpoint, raw: RawStream, session: Session, rng: Random, *, yield_after: int = SEND_QUEUE
    ) -> None:
        self._endpoint = endpoint
        self._raw = raw
        self.session = session
        """What the handshake left behind."""
        self._secret = SecretStream(session, header_seed=rng.randbytes(24), counter=rng.randbytes(8))
        self._yield_after = yield_after
        self._since_yield = 0
        self._unsealed = bytearray()
        """Small writes that are no frame yet: they leave as one."""
        self._sending = Direction("sending")
        self._receiving = Direction("receiving")
        self._datagrams = Direction("receiving datagrams")
        self._rest: bytes = b""
        """The part of a frame that `receive_some` left."""
        self._decrypting = False
        self._quiet = False
        self._on_control: Callable[[bytes], None] | None = None
        self._closed = False
        self._eof_sent = False
        self._cause: BaseException | None = None
        self._path_since = endpoint.now()
        self._path = Path.to(raw.core.route[1], rtt=None, since=self._path_since) if raw.core.route else None
        # which side waits, a bit of the hash decides: one with many streams has half of the work
        self._alive = KeepAlive(self._path_since, waits=session.initiator == bool(session.hash[0] & 1))
        self._timer: Entry
        self.lan_hosts: Container[str] = ()
        """The peer's own hosts in its local networks, as far as it told."""
        self.relay: PublicKey | None = None
        """The blind relay that the stream goes through now."""
        self.on_decrypted: Callable[[], None] | None = None
        """Called when more of the stream may have decrypted."""
        self.on_open: Callable[[], None] | None = None
        """Called once, when the peer's header was verified."""
        self.on_close: Callable[[], None] | None = None
        """Called once, when either side, or the network, ended the stream."""
        self.on_stall: Callable[[bool], None] | None = None
        """Called with True when nothing has got through for about 3 s, and with False when something does again."""

    def start(self, *, quiet: bool = False) -> None:
        """Send the header; from here on the stream is alive. The raw stream is connected already.

        ``quiet``: say nothing at all, not even the header, until `break_silence`.
        """
        self._quiet = quiet
        self._raw.on_event = self._on_event
        self._raw.on_shutdown = self.destroy
        self._timer = self._endpoint.schedule.after(OPEN_TIMEOUT, self._never_opened)
        if self._raw.core.closed:  # by the peer, which found the path first, and left
            self._endpoint.touch(self._raw)
            self._on_event(Event.CLOSED)
            return
        # before the header: the two sides may have taken different ways, and it comes from elsewhere then
        self.follow_peer()
        if not quiet:
            self._raw.core.write([self._secret.header()])
        self._endpoint.touch(self._raw)
        self._try_open()

    def break_silence(self) -> None:
        if self._quiet and not self.is_closed:
            self._quiet = False
            self._raw.core.write([self._secret.header()])
            self._endpoint.touch(self._raw)

    def knock(self) -> bool:
        """Send a packet with nothing in it, for a peer that waits to see where this side's come from. False: it is not
        needed any more, the peer was heard."""
        if self.is_closed or self._raw.core.bytes_received:
            return False
        self._raw.core.send_message(b"")
        self._endpoint.touch(self._raw)
        return True

    # -- what it is --------------------------------------------------------------------------------------------------

    @property
    def remote_public_key(self) -> PublicKey:
        return self.session.remote_public_key

    @property
    def is_initiator(self) -> bool:
        """Whether this side dialled."""
        return self.session.initiator

    @property
    def handshake_hash(self) -> bytes:
        """64 bytes that both ends of this connection, and nobody else, share: bind application proofs to it."""
        return self.session.hash

    @property
    def opened(self) -> bool:
        """Whether the peer's header was verified: it holds its key and is there now."""
        return self._secret.opened

    @property
    def is_closed(self) -> bool:
        """Whether the stream is over, whoever ended it."""
        return self._closed or self._raw.core.closed

    @property
    def is_over(self) -> bool:
        """Whether this side closed it, or it ended and everything that came before has been received."""
        unread = self._rest or not self._nothing_there
        return self._closed or self._cause is not None or (self.is_closed and not unread)

    @property
    def path(self) -> Path:
        """How the bytes travel now; after the close, how they did last."""
        route = self._raw.core.route
        if route is not None:
            host = route[1].host
            lan = host in self.lan_hosts or host.startswith("127.")
            rtt, since = self._raw.core.rtt, self._path_since
            self._path = Path.to(route[1], relay=self.relay, lan=lan, rtt=rtt, since=since)
        assert self._path is not None
        return self._path

    @property
    def route(self) -> Route | None:
        """The socket and the address that packets go through now; None once nothing is left to send them."""
        return None if self._raw.core.closed else self._raw.core.route

    @property
    def bytes_decrypted(self) -> int:
        """How far into what the peer sent it is proven to be the peer's, in bytes of the raw stream."""
        secret = self._secret
        if not secret.opened:
            return 0
        return len(secret.header()) + secret.message_bytes_received + secret.control_bytes_received

    @property
    def message_bytes(self) -> tuple[int, int]:
        """Encrypted bytes of the application's frames received and sent (for the rule on duplicate connections)."""
        core, secret = self._raw.core, self._secret
        header = len(secret.header())
        received = core.bytes_received - header - secret.control_bytes_received
        return max(0, received), max(0, core.bytes_sent - header - secret.control_bytes_sent)

    def __repr__(self) -> str:
        state = "closed" if self.is_closed else "open" if self.opened else "opening"
        return f"<{type(self).__name__} {state} to {self.remote_public_key.short}>"

    # -- decrypting --------------------------------------------------------------------------------------------------

    def _next_frame(self) -> bytes | None:
        """Decrypt one frame of what has arrived in order."""
        if self._decrypting:
            return None  # an event that came of taking bytes below: who decrypts already goes on by itself
        self._decrypting = True
        try:
            frame = self._decrypt_frame()
        finally:
            self._decrypting = False
        if self.on_decrypted is not None:
            self.on_decrypted()
        self._hand_over()
        return frame

    @property
    def _nothing_there(self) -> bool:
        return not (self._secret.buffered or self._raw.core.readable)

    def _decrypt_frame(self) -> bytes | None:
        if self._nothing_there:
            return None
        core = self._raw.core
        try:
            while True:
                frame = self._secret.next_frame()
                if frame is not None:
                    return frame
                chunks = core.take(self._secret.missing or CHUNK + EMPTY_FRAME)
                if not chunks:
                    return None
                self._secret.feed(chunks)
                if core.owes_window:
                    self._endpoint.touch(self._raw)
        except DecodeError as error:
            self.destroy(error)
            return None

    # -- control frames ----------------------------------------------------------------------------------------------
    # A Node peer would take them for data: they are agreed on in the handshake (`punch.messages.Greeting`), or never
    # sent. They are told apart by the tag that libsodium's secretstream gives each frame, which costs no byte.

    def agree_on_controls(self) -> None:
        """Before `start`: the peer has said that it tells control frames from the application's."""
        self._secret.controls = []

    @property
    def controls_agreed(self) -> bool:
        return self._secret.controls is not None

    @property
    def may_send_controls(self) -> bool:
        """Whether they are agreed on, and the own direction is open."""
        return self.controls_agreed and not (self._eof_sent or self.is_closed)

    def send_control(self, data: bytes) -> bool:
        """Send a frame that is not the application's. False: it may not, or there is no room now."""
        if not self.may_send_controls or self._raw.core.writable <= 0:
            return False
        self._raw.core.write(self._secret.encrypt_control(data))
        self._alive.wrote_at = self._endpoint.schedule.now
        self._endpoint.touch(self._raw)
        return True

    def on_controls(self, listener: Callable[[bytes], None]) -> None:
        """Call ``listener`` with each control frame, those that came already first."""
        self._on_control = listener
        self._hand_over()

    def _hand_over(self) -> None:
        controls = self._secret.controls
        while controls and self._on_control is not None:
            self._on_control(controls.pop(0))

    # -- encrypting --------------------------------------------------------------------------------------------------

    def _seal(self) -> None:
        """Make a frame of what was joined."""
        if self._unsealed and not self._raw.core.closed:
            data, self._unsealed = self._unsealed, bytearray()
            self._raw.core.write(self._secret.encrypt(data))

    # -- its end --------------------------------------------------------------------------------------------------

    def destroy(self, cause: BaseException | None = None) -> None:
        """End it now, in both directions: the peer is told once, what was not delivered is lost.

        With a ``cause``, later use raises ``trio.BrokenResourceError`` from it; without, ``trio.ClosedResourceError``.
        """
        if cause is None:
            self._closed = True
        elif self._cause is None:
            self._cause = cause
        self._seal()
        self._endpoint.touch(self._raw)  # what was written may still leave
        self._raw.core.destroy()
        self._endpoint.touch(self._raw)
        self._wake()

    @property
    def cause(self) -> BaseException | None:
        """Why the stream ended, when not in order."""
        return self._cause or self._raw.core.error

    def _wake(self) -> None:
        self._sending.wake()
        self._receiving.wake()
        self._datagrams.wake()

    # -- what the endpoint reports -----------------------------------------------------------------------------------

    def _on_event(self, event: Event) -> None:
        match event:
            case Event.READABLE:
                self._alive.heard_at = self._endpoint.schedule.now
                if not self._secret.opened:
                    self._try_open()
                elif self._is_keep_alive():
                    self._next_frame()
                    return
                elif self.controls_agreed and self._is_unread():
                    self._rest = self._next_frame() or b""
                self._receiving.wake()
            case Event.ENDED:
                self._receiving.wake()
                self._datagrams.wake()
            case Event.WRITABLE:
                self._sending.wake()
            case Event.MESSAGE:
                self._datagrams.wake()
            case Event.STALLED | Event.REVIVED:
                if self.on_stall is not None:
                    self.on_stall(event is Event.STALLED)
            case Event.ROUTE_CHANGED:
                self._path_since = self._endpoint.schedule.now
            case Event.CLOSED:
                self._timer.cancel()
                self._wake()
                self._tell_closed()

    def _is_keep_alive(self) -> bool:
        """What has arrived can only be an empty frame, which is nothing to wake anybody for."""
        return self._raw.core.readable == EMPTY_FRAME and not self._secret.buffered

    def _is_unread(self) -> bool:
        """Nobody receives: control frames are seen nevertheless, up to the first frame of the application's."""
        return not (self._rest or self._receiving.busy or self._secret.buffered > CHUNK)

    def _tell_closed(self) -> None:
        tell, self.on_close = self.on_close, None
        if tell is not None:
            tell()

    def _try_open(self) -> None:
        """Verify the peer's header as soon as it is there, whether or not anybody receives."""
        frame = self._next_frame()
        if frame is not None:
            self._rest = frame
        if self._secret.opened:
            self._timer.cancel()
            self._timer = self._endpoint.schedule.at(self._alive.due(self.controls_agreed), self._keep_alive)
            if self.on_open is not None:
                self.on_open()

    def follow_peer(self) -> None:
        """From now on the stream goes where the peer proves to have moved."""
        following = Following(
            self._raw.core,
            self._endpoint.schedule,
            decrypted=lambda: self.bytes_decrypted,
            touch=lambda: self._endpoint.touch(self._raw),
        )
        self._raw.follow = following
        self.on_decrypted = following.check

    def _never_opened(self) -> None:
        self.destroy(TimeoutError(f"the peer's header did not arrive within {OPEN_TIMEOUT:g} s"))

    def _keep_alive(self) -> None:
        if self._eof_sent or self.is_closed:
            return
        if self._endpoint.schedule.now >= self._alive.due(self.controls_agreed):
            self.send_nothing()
        # the same expression as in the comparison: another could round to a time that never comes
        self._timer = self._endpoint.schedule.at(self._alive.due(self.controls_agreed), self._keep_alive)

    def send_nothing(self) -> None:
        """Write an empty frame: a peer that is gone, and so does not acknowledge it, is noticed within 13 s."""
        if self._eof_sent or self.is_closed:
            return
        self._alive.wrote_at = self._endpoint.schedule.now
        if not self._quiet:
            self._raw.core.write(self._secret.encrypt(b""))
            self._endpoint.touch(self._raw)

    def ping(self) -> Ping | None:
        """Ask the peer for a sign of life. None: the stream is closed, or has not said anything yet."""
        if self.is_closed or self._quiet:
            return None
        touch = partial(self._endpoint.touch, self._raw)
        return Ping(self._raw.core, self._endpoint.schedule, touch, self.send_nothing)
