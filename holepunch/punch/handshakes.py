"""Finds relays of a peer and shakes hands with it through several of them at once: the first valid answer wins.

Ends with a finished Noise handshake or a reason why there is none; chooses no path.
Node: hyperdht lib/connect.js (findAndConnect, connectThroughNode).
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from holepunch.errors import DecodeError, HandshakeError, Reason
from holepunch.keys import KeyPair, PublicKey, hash32
from holepunch.punch.limits import MAX_RELAYS
from holepunch.punch.messages import NS_PEER_HANDSHAKE, VERSION, Abort, NoisePayload
from holepunch.punch.rounds import Failure
from holepunch.punch.scope import Scope
from holepunch.secure.noise import Handshake

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from holepunch.address import Address
    from holepunch.punch.environment import Environment, Introduce
    from holepunch.punch.messages import UdxInfo
    from holepunch.secure.noise import Session
    from holepunch.signaller import HandshakeReply

__all__ = ["Answer", "Handshakes"]

KNOWN_LANE = 1
FOUND_LANE = 2
"""Attempts at a time through relays that were known before, and through those the search finds."""
HEDGE = 0.5
"""Seconds after which an attempt that has no answer yet no longer keeps the next one waiting."""


class Answer(NamedTuple):
    """The server's valid answer, and a handshake that is complete."""

    session: Session
    payload: NoisePayload
    udx: UdxInfo
    reply: HandshakeReply
    relays: tuple[Address, ...]
    """Relays that the peer can be reached through again, the one that answered first."""


class Lane:
    """Attempts one after another, ``width`` at a time."""

    __slots__ = ("queue", "running", "width")

    def __init__(self, width: int) -> None:
        self.width = width
        self.running = 0
        self.queue: deque[Address] = deque()


class Handshakes:
    """One Noise message, sent through every relay of the peer until one valid answer comes back."""

    def __init__(
        self,
        environment: Environment,
        key_pair: KeyPair,
        remote_public_key: bytes,
        payload: NoisePayload,
        *,
        relays: Sequence[Address],
        on_answer: Callable[[Answer], None],
        on_failed: Callable[[Failure], None],
        note: Callable[[str, str], None],
        introduce: Introduce | None = None,
    ) -> None:
        self._environment = environment
        self._key_pair = key_pair
        self._remote_public_key = remote_public_key
        self._payload = payload
        self._relays = relays
        self._on_answer = on_answer
        self._on_failed = on_failed
        self._note = note
        self._introduce = introduce
        self._target = hash32(remote_public_key)
        self._scope = Scope(environment.schedule)
        self._known = Lane(KNOWN_LANE)
        self._found = Lane(FOUND_LANE)
        self._tried: list[Address] = []
        self._searches_left = 1
        self._searching = False
        self._outstanding = 0
        self._answered = False
        self._found_any = False
        self._undecryptable = False
        self._noise = b""

    def start(self) -> None:
        """Begin. Nothing is called back before it returns."""
        ephemeral = KeyPair.from_seed(self._environment.rng.randbytes(32))
        self._handshake = Handshake("IK", True, self._key_pair, self._remote_public_key, NS_PEER_HANDSHAKE, ephemeral)
        payload = self._payload
        if self._introduce is not None:
            greeting = self._introduce(PublicKey(self._remote_public_key), ephemeral.public_key, None)
            payload = payload._replace(greeting=greeting)
        try:
            self._noise = self._handshake.write(payload.encode())
        except HandshakeError as error:
            self._scope.after(0, partial(self._end, Failure(Reason.HANDSHAKE_INVALID, str(error))))
            return
        known = list(self._relays) or list(self._environment.signaller.cached_relays(self._remote_public_key))
        if known:
            self._searches_left += 1
            for relay in known:
                self._add(self._known, relay)
        self._search(known)

    def close(self) -> None:
        self._scope.close()

    # -- finding relays

    def _search(self, seeds: Sequence[Address]) -> None:
        """Seeded with relays known before; if that leads nowhere, once more from the whole table."""
        self._searches_left -= 1
        self._searching = True
        self._note("searching", f"from {len(seeds)} known relays" if seeds else "")

        find = partial(self._environment.signaller.find_relays, self._target, seeds, self._on_relay)
        self._scope.begin(find, self._on_searched)

    def _on_relay(self, relay: Address) -> None:
        if not self._scope.closed:
            self._found_any = True
            self._add(self._found, relay)

    def _on_searched(self, answered: bool) -> None:
        self._searching = False
        self._answered = self._answered or answered
        self._check()

    # -- shaking hands

    def _add(self, lane: Lane, relay: Address) -> None:
        if relay not in self._tried and len(self._tried) < MAX_RELAYS:
            self._tried.append(relay)
            lane.queue.append(relay)
            self._fill(lane)

    def _fill(self, lane: Lane) -> None:
        while lane.queue and lane.running < lane.width and not self._scope.closed:
            self._attempt(lane, lane.queue.popleft())

    def _attempt(self, lane: Lane, relay: Address) -> None:
        lane.running += 1
        self._outstanding += 1
        self._note("handshake", f"through {relay}")
        in_lane = True

        def leave_lane() -> None:
            nonlocal in_lane
            if in_lane:
                in_lane = False
                lane.running -= 1
                self._fill(lane)

        stop_hedge = self._scope.after(HEDGE, leave_lane)

        def on_reply(reply: HandshakeReply | None) -> None:
            self._outstanding -= 1
            stop_hedge()
            leave_lane()
            if reply is None:
                self._note("no answer", f"from {relay}")
            else:
                self._on_reply(reply)
            self._check()

        self._scope.begin(partial(self._environment.signaller.handshake, self._target, self._noise, relay), on_reply)

    def _check(self) -> None:
        """Nothing was found so far: search again, or give up, once nothing is under way."""
        if self._scope.closed or self._searching or self._outstanding or self._known.queue or self._found.queue:
            return
        if self._searches_left:
            self._search(())
        elif self._undecryptable:
            self._end(Failure(Reason.HANDSHAKE_INVALID, remote=True))
        elif self._found_any:
            self._end(Failure(Reason.PEER_CONNECTION_FAILED, remote=True))
        else:
            self._end(Failure(Reason.PEER_NOT_FOUND if self._answered else Reason.OFFLINE))

    def _on_reply(self, reply: HandshakeReply) -> None:
        try:
            plain = self._handshake.read(reply.noise)
        except HandshakeError as error:
            # anyone on the way could have made it up: another relay may bring the real one
            self._undecryptable = True
            self._note("invalid answer", f"from {reply.relay}: {error}")
            return
        try:
            payload = NoisePayload.decode(plain)
        except DecodeError as error:
            self._end(Failure(Reason.SERVER_INCOMPATIBLE, str(error), remote=True))
            return
        if payload.version != VERSION or payload.error == Abort.VERSION_MISMATCH:
            self._end(Failure(Reason.SERVER_INCOMPATIBLE, f"version {payload.version}", remote=True))
        elif payload.error != Abort.NONE or payload.udx is None:
            self._end(Failure(Reason.SERVER_ERROR, f"error code {payload.error}", remote=True))
        else:
            relays = payload.relay_addresses or (reply.relay, *(r for r in self._tried if r != reply.relay))
            self.close()
            self._on_answer(Answer(self._handshake.session, payload, payload.udx, reply, relays[:MAX_RELAYS]))

    def _end(self, failure: Failure) -> None:
        self.close()
        self._on_failed(failure)
