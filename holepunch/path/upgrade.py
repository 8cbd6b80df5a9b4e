"""From the relay to the direct path, under a connection in use and without losing a byte. A pure core.

**The stream follows its peer to another address only once something that arrived from there is proven to be the
peer's; and the relay is let go only once traffic of both directions takes the direct path.** Proofs, any of them:

* the answer to a challenge that was sent there (`challenge`). Both sides challenge whatever the punch turns up, and
  whatever challenges them;
* ordered data that continued the stream and decrypts: the next frame of a Node peer, which knows no challenges and
  changes over on its own, at the latest its keep-alive after 5 s.

Node: hyperdht lib/relay-connection.js (confirmDirectUpgrade). There any packet is taken for a proof, and the relay is
let go at the second one, which may be before its next frame. So where the own punch was answered by a message of the
stream, which anyone could have sent, the end of the relay is not yet the end of the connection: that frame is waited
for, and until it has decrypted nothing goes anywhere else.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from holepunch.path.challenge import NONCE
from holepunch.udx.packet import DESTROY, HEADER_SIZE, MESSAGE

if TYPE_CHECKING:
    from collections.abc import Callable

    from holepunch.core import Random, Schedule
    from holepunch.path.challenge import Challenges
    from holepunch.signaller import Cancel
    from holepunch.udx import UdxStream
    from holepunch.udx.values import Route

__all__ = ["Upgrade"]

FIRST_FLIGHT: Final = (0.1, 0.25, 0.5)
"""Seconds after which the first packets are sent again on a relayed path. Node's relay drops what comes for a peer that
it has not heard yet, and UDX alone would wait a second."""
CHALLENGES: Final = (0.0, 0.1, 0.3, 0.7, 1.5, 3.1)
"""Seconds after which a candidate is asked (again)."""
GIVE_UP: Final = 6.0
"""Seconds after which a candidate that did not answer may be asked anew."""
LAST_FRAME: Final = 7.0
"""Seconds after the end of the relay in which a peer that seems to have changed over must be heard: its keep-alive
comes every 5 s, and again a second later if it is lost."""
MAX_CANDIDATES: Final = 4
"""Addresses that are asked at a time: each was heard from, in a punch or in an authentic challenge."""


class _Candidate:
    """A route that may be the direct path."""

    __slots__ = ("nonce", "punched", "timers")

    def __init__(self, nonce: bytes) -> None:
        self.nonce = nonce
        self.punched = False
        """This side's own punch was answered from there."""
        self.timers: list[Cancel] = []


class Upgrade:
    """One relayed connection. Its owner tells it of all packets, before and after the stream takes them."""

    __slots__ = (
        "_answered",
        "_candidates",
        "_challenges",
        "_core",
        "_decrypted",
        "_direct_id",
        "_mark",
        "_on_direct",
        "_on_done",
        "_on_lost",
        "_orphaned",
        "_received",
        "_relay_route",
        "_rng",
        "_schedule",
        "_timers",
        "_touch",
        "direct",
        "done",
    )

    def __init__(
        self,
        core: UdxStream,
        direct_id: int,
        challenges: Challenges,
        schedule: Schedule,
        rng: Random,
        *,
        decrypted: Callable[[], int],
        touch: Callable[[], None],
        on_direct: Callable[[Route], None],
        on_done: Callable[[], None],
        on_lost: Callable[[], None],
    ) -> None:
        """``core`` is connected to the relay; ``direct_id`` is the peer's own stream.

        ``decrypted`` counts the bytes of the stream that decrypted so far; ``touch`` has the core drained after it was
        changed outside of `before` and `after`. ``on_direct``: the path is direct now, and this side should say
        something in order on it. ``on_done``: the relay has nothing left to do. ``on_lost``: the relay ended some
        time ago, and nothing of the peer came by another path.
        """
        assert core.route is not None
        self._core = core
        self._direct_id = direct_id
        self._challenges = challenges
        self._schedule = schedule
        self._rng = rng
        self._decrypted = decrypted
        self._touch = touch
        self._on_direct = on_direct
        self._on_done = on_done
        self._on_lost = on_lost
        self._relay_route = core.route
        self._candidates: dict[Route, _Candidate] = {}
        self._answered = False
        """The own punch, and then a message of the stream, came from one place: a Node peer that has changed over."""
        self._orphaned = False
        """The relay has ended, and the peer's next frame is waited for."""
        self._mark: tuple[Route, int] | None = None
        """Data that continued the stream came from there; proven once more than so many bytes have decrypted."""
        self._received = 0
        self._timers: list[Cancel] = [schedule.after(delay, self._repeat_first).cancel for delay in FIRST_FLIGHT]
        self.direct = False
        self.done = False

    # -- what may be the direct path

    def offer(self, route: Route) -> None:
        """The punch got an answer from there."""
        candidate = self._consider(route)
        if candidate is not None:
            candidate.punched = True
            self._touch()

    def _consider(self, route: Route) -> _Candidate | None:
        """Challenge a route, if it may be a better one. None: it is of no interest."""
        if self.direct or route == self._relay_route:
            return None
        candidate = self._candidates.get(route)
        if candidate is None and len(self._candidates) < MAX_CANDIDATES:
            candidate = self._candidates[route] = _Candidate(self._rng.randbytes(NONCE))
            self._challenge(route, candidate)
            for delay in CHALLENGES[1:]:
                again = partial(self._challenge_again, route, candidate)
                candidate.timers.append(self._schedule.after(delay, again).cancel)
            candidate.timers.append(self._schedule.after(GIVE_UP, partial(self._drop, route)).cancel)
        return candidate

    def _drop(self, route: Route) -> None:
        del self._candidates[route]

    def _challenge(self, route: Route, candidate: _Candidate) -> None:
        self._core.send_message_to(route, self._direct_id, self._challenges.challenge(candidate.nonce))

    def _challenge_again(self, route: Route, candidate: _Candidate) -> None:
        self._challenge(route, candidate)
        self._touch()

    # -- packets

    def before(self, view: memoryview, segment: int, route: Route) -> bool:
        """A run of packets for the stream came in. True: it is dealt with, and not for the stream."""
        self._received = self._core.bytes_received
        flags = view[2]
        if route == self._relay_route and flags & DESTROY:
            return self.survives()
        if flags & MESSAGE and len(view) <= segment:
            return self._on_message(view[HEADER_SIZE:], route)
        return False

    def _on_message(self, data: memoryview, route: Route) -> bool:
        message = self._challenges.read(data)
        if message is None:
            candidate = self._candidates.get(route)
            if candidate is not None and candidate.punched:
                self._answered = True
            return not len(data)
        if message.is_answer:
            candidate = self._candidates.get(route)
            if candidate is not None and candidate.nonce == message.nonce:
                self._prove(route)
        else:
            self._core.send_message_to(route, self._direct_id, self._challenges.answer(message.nonce))
            self._consider(route)
        return True

    def after(self, route: Route) -> None:
        """The stream has taken what `before` left to it."""
        if route != self._relay_route and self._core.bytes_received > self._received:
            if self.direct:
                # in order, so everything that the peer sent through the relay has arrived, too
                self._finish()
            elif self._mark is None or self._mark[0] != route:
                self._mark = (route, self._received)
        self.check()

    def check(self) -> None:
        """Something may have decrypted."""
        if self._mark is not None and not self.direct and self._decrypted() > self._mark[1]:
            self._prove(self._mark[0])

    # -- changing over

    def survives(self) -> bool:
        """The relay has ended. Whether the connection may go on without it: it is direct, or about to be. In the
        latter case ``on_lost`` follows, unless the path becomes direct."""
        if not self.direct and self._answered and not self._orphaned:
            self._orphaned = True
            self._timers.append(self._schedule.after(LAST_FRAME, self._give_up).cancel)
        return self.direct or self._orphaned

    def _give_up(self) -> None:
        # where something did come, it decrypts, or breaks the stream, once the application has read what is before it
        if self._mark is None:
            self._on_lost()

    def _prove(self, route: Route) -> None:
        if self.direct:
            return
        self.direct = True
        peer_is_there = self._mark is not None and self._mark[0] == route
        self._stop()
        self._core.change_route(route, self._direct_id, self._schedule.now, leave=True)
        # a Node peer sees by it that this side is on the direct path
        self._core.send_message(b"")
        self._on_direct(route)
        if peer_is_there:
            self._finish()

    def _finish(self) -> None:
        if not self.done:
            self.done = True
            self._on_done()

    def _repeat_first(self) -> None:
        if not self.direct:
            self._core.send_last_again()
            self._touch()

    def _stop(self) -> None:
        for cancel in self._timers:
            cancel()
        for candidate in self._candidates.values():
            for cancel in candidate.timers:
                cancel()
        self._timers.clear()
        self._candidates.clear()
        self._mark = None

    def close(self) -> None:
        """The connection is over."""
        self.direct = self.done = True
        self._stop()
