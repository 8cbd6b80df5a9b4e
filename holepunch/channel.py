"""A secret stream over a UDX stream, from the first header to the end: opening, keeping alive, decrypting, closing.

Owns no task; the one timer is an entry on the endpoint's schedule. Waits for nothing: `holepunch.stream` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import trio

from holepunch.core import STEP
from holepunch.errors import DecodeError
from holepunch.path import Path
from holepunch.path.following import Following
from holepunch.ping import Ping
from holepunch.secure.secretstream import EMPTY_FRAME, SecretStream
from holepunch.udx import Event
from holepunch.udx.stream import SEND_QUEUE

if TYPE_CHECKING:
    from collections.abc import Callable, Container
    from types import TracebackType

    from holepunch.core import Entry, Random
    from holepunch.endpoint import Endpoint
    from holepunch.keys import PublicKey
    from holepunch.rawstreams import RawStream
    from holepunch.secure.noise import Session
    from holepunch.udx.values import Route

__all__ = ["CHUNK", "KEEP_ALIVE", "Direction", "SecureChannel"]

CHUNK = 1 << 16
"""`send_all` cuts into frames of this size, and `receive_some` joins up to it."""
KEEP_ALIVE = 5.0
"""Seconds without an own write after which an empty frame is written (hyperdht's connection keep-alive). Between two
peers of this implementation a frame of the peer's counts as well: the ACK for it keeps the NATs' mappings open, too. A
program on Node may count on frames of this side (secret-stream's ``setTimeout``).

Rounded down to multiples of `STEP`, so that many idle streams share one wake-up. Of two peers of this implementation
one waits for two more, so that one frame serves both; which one, a bit of the handshake hash decides: a side with many
streams has half of the work."""
OPEN_TIMEOUT = 10.0
"""Seconds for the peer's header frame to arrive after a path was found."""
CLOSE_TIMEOUT = 15.0
"""Seconds for a closed stream to have its end acknowledged; UDX itself gives up after 13."""


class Direction:
    """One half of a stream: one task at a time, which may wait."""

    __slots__ = ("_verb", "busy", "waiting")

    def __init__(self, verb: str) -> None:
        self._verb = verb
        self.busy = False
        self.waiting: trio.lowlevel.Task | None = None

    def __enter__(self) -> None:
        if self.busy:
            raise trio.BusyResourceError(f"another task is {self._verb} on this stream")
        self.busy = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.busy = False

    async def wait(self) -> None:
        self.waiting = trio.lowlevel.current_task()

        def abort(_: object) -> trio.lowlevel.Abort:
            self.waiting = None
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)

    def wake(self) -> None:
        task, self.waiting = self.waiting, None
        if task is not None:
            trio.lowlevel.reschedule(task)


class SecureChannel:
    """What the two halves of an `EncryptedStream` share."""

    def __init__(
        self, endpoint: Endpoint, raw: RawStream, session: Session, rng: Random, *, yield_after: int = SEND_QUEUE
    ) -> None:
        self._endpoint = endpoint
        self._raw = raw
        self._session = session
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
        self._closed = False
        self._eof_sent = False
        self._cause: BaseException | None = None
        self._wrote_at = self._heard_at = self._path_since = endpoint.now()
        self._path = Path.to(raw.core.route[1], rtt=None, since=self._path_since) if raw.core.route else None
        self._waits = session.initiator == bool(session.hash[0] & 1)
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

    def start(self) -> None:
        """Send the header; from here on the stream is alive. The raw stream is connected already."""
        self._raw.on_event = self._on_event
        self._raw.on_shutdown = self.destroy
        self._timer = self._endpoint.schedule.after(OPEN_TIMEOUT, self._never_opened)
        if self._raw.core.closed:  # by the peer, which found the path first, and left
            self._endpoint.touch(self._raw)
            self._on_event(Event.CLOSED)
            return
        # before the header: the two sides may have taken different ways, and it comes from elsewhere then
        self.follow_peer()
        self._send_header()
        self._endpoint.touch(self._raw)
        self._try_open()

    def _send_header(self) -> None:
        self._raw.core.write([self._secret.header()])

    # -- what it is --------------------------------------------------------------------------------------------------

    @property
    def remote_public_key(self) -> PublicKey:
        return self._session.remote_public_key

    @property
    def is_initiator(self) -> bool:
        """Whether this side dialled."""
        return self._session.initiator

    @property
    def handshake_hash(self) -> bytes:
        """64 bytes that both ends of this connection, and nobody else, share: bind application proofs to it."""
        return self._session.hash

    @property
    def opened(self) -> bool:
        """Whether the peer's header was verified: it holds its key and is there now."""
        return self._secret.opened

    @property
    def _closed_here(self) -> bool:
        """Whether this side closed it, or the block that it belonged to was left: then nothing of it is left either."""
        return self._closed or self._endpoint.over

    @property
    def is_closed(self) -> bool:
        """Whether the stream is over, whoever ended it."""
        return self._closed or self._raw.core.closed

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
        """Encrypted bytes of frames received and sent, headers not counted (for the rule on duplicate connections)."""
        core = self._raw.core
        header = len(self._secret.header())
        return max(0, core.bytes_received - header), max(0, core.bytes_sent - header)

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
                chunks = core.take(CHUNK)
                if not chunks:
                    return None
                self._secret.feed(chunks)
                if core.owes_window:
                    self._endpoint.touch(self._raw)
        except DecodeError as error:
            self.destroy(error)
            return None

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

    def _close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._timer.cancel()
        core = self._raw.core
        if not core.closed:
            core.close_read()
            self._timer = self._endpoint.schedule.after(CLOSE_TIMEOUT, self.destroy)
            self._end()
        self._wake()
        self._tell_closed()

    def _end(self) -> None:
        if not self._eof_sent:
            self._eof_sent = True
            self._seal()
            self._raw.core.write_end()
            self._raw.ending = True
        self._endpoint.touch(self._raw)

    def _wake(self) -> None:
        self._sending.wake()
        self._receiving.wake()
        self._datagrams.wake()

    def _raise_if_broken(self) -> None:
        if self._cause is not None or self._raw.core.closed:
            self._raise_broken()

    def _raise_broken(self) -> NoReturn:
        cause = self.cause
        raise trio.BrokenResourceError(str(cause) if cause is not None else "the stream is over") from cause

    # -- what the endpoint reports -----------------------------------------------------------------------------------

    def _on_event(self, event: Event) -> None:
        match event:
            case Event.READABLE:
                self._heard_at = self._endpoint.schedule.now
                if not self._secret.opened:
                    self._try_open()
                elif self._is_keep_alive():
                    self._next_frame()
                    return
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
            self._timer = self._endpoint.schedule.at(self._keep_alive_at(), self._keep_alive)
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
        if self._endpoint.schedule.now >= self._keep_alive_at():
            self.ping()
        # the same expression as in the comparison: another could round to a time that never comes
        self._timer = self._endpoint.schedule.at(self._keep_alive_at(), self._keep_alive)

    def _keep_alive_at(self) -> float:
        at = self._wrote_at + KEEP_ALIVE
        if self._secret.controls is not None:
            at = max(self._wrote_at, self._heard_at) + KEEP_ALIVE + self._waits * 2 * STEP
        return at // STEP * STEP

    def ping(self) -> Ping | None:
        """Write an empty frame. A peer that is gone is noticed within UDX's 13 s, or sooner by who looks at the `Ping`.
        None: nothing can be written any more."""
        if self._eof_sent or self.is_closed:
            return None
        self._wrote_at = self._endpoint.schedule.now
        ping = Ping(self._raw.core, self._wrote_at)
        self._raw.core.write(self._secret.encrypt(b""))
        self._endpoint.touch(self._raw)
        return ping
