"""Own requests under way: transaction ids, retries, and the line in front of the congestion window.

Knows no packet layout. Protocol: dht-rpc section 7. Reference: dht-rpc lib/io.js.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

from swarm.kademlia.congestion import CongestionWindow
from swarm.kademlia.patience import Patience
from swarm.kademlia.silence import GONE, Silence

if TYPE_CHECKING:
    from collections.abc import Callable

    from holepunch.address import Address
    from holepunch.core import Entry, Role, Schedule, Sockets

__all__ = ["MAX_IN_FLIGHT", "RETRIES", "TIMEOUT", "Call", "InFlight"]

R = TypeVar("R")

MAX_IN_FLIGHT = 4096
"""Requests under way or held back: more than the window lets out in a minute, so a caller ran away."""
RETRIES = 3
TIMEOUT = 1.0
"""Seconds per attempt. The first ones are shorter where nodes are known to answer sooner, and the last longer by as
much."""


class Call(Generic[R]):
    """One request, from when it is made until it is answered, given up or cancelled."""

    __slots__ = (
        "_calls",
        "data",
        "delay",
        "first_sent",
        "hops",
        "is_plain",
        "on_reply",
        "on_timeout",
        "retries",
        "role",
        "sent",
        "spared",
        "tid",
        "timer",
        "to",
    )

    def __init__(self, calls: InFlight[R], role: Role, to: Address, on_reply: Callable[[R | None], None]) -> None:
        self._calls = calls
        self.role = role
        self.to = to
        self.on_reply = on_reply
        self.on_timeout: Callable[[int], None] | None = None
        self.retries = RETRIES
        self.delay = 0.0
        self.hops = 1
        self.is_plain = False
        """The asked node itself answers, at once, to the socket that asks: that it does not says that it is gone."""
        self.spared = 0.0
        """How much sooner the last attempt leaves, so far."""
        self.tid = -1
        self.data = b""
        self.sent = 0
        self.first_sent = 0.0
        self.timer: Entry | None = None

    def cancel(self) -> None:
        self._calls.drop(self)

    def fail(self) -> None:
        self._calls.fail(self)

    def expire(self) -> None:
        self._calls.expire(self)


class InFlight(Generic[R]):
    """All calls of one node, by transaction id."""

    __slots__ = (
        "_calls",
        "_closed",
        "_held",
        "_next_tid",
        "_on_silence",
        "_patience",
        "_release_timer",
        "_schedule",
        "_sockets",
        "_window",
        "retries",
        "silence",
        "timeouts",
    )

    def __init__(
        self,
        sockets: Sockets,
        schedule: Schedule,
        first_tid: int,
        on_silence: Callable[[Address], None] = lambda to: None,
    ) -> None:
        """``on_silence`` is told of each node that left every attempt of a plain call unanswered."""
        self.retries = 0
        """Sends beyond each request's first."""
        self.timeouts = 0
        """Requests given up."""
        self.silence = Silence()
        self._sockets = sockets
        self._schedule = schedule
        self._next_tid = first_tid
        self._on_silence = on_silence
        self._patience = Patience()
        self._window = CongestionWindow(schedule.now)
        self._calls: dict[int, Call[R]] = {}
        self._held: deque[Call[R]] = deque()
        self._release_timer: Entry | None = None
        self._closed = False

    def __len__(self) -> int:
        return len(self._calls)

    def asked(self, role: Role) -> list[Address]:
        """Who is to answer on this socket, the longest asked first."""
        return [call.to for call in self._calls.values() if call.role == role]

    def begin(self, call: Call[R]) -> bool:
        """Give the call a transaction id. False when there are too many."""
        if len(self._calls) >= MAX_IN_FLIGHT or len(self._held) >= MAX_IN_FLIGHT:
            return False
        while self._next_tid in self._calls:
            self._next_tid = (self._next_tid + 1) & 0xFFFF
        call.tid = self._next_tid
        self._next_tid = (call.tid + 1) & 0xFFFF
        self._calls[call.tid] = call
        return True

    def send(self, call: Call[R], force: bool = False) -> None:
        """One attempt: now, or when the window has room, unless forced."""
        now = self._schedule.now
        if not force and self._window.full(now):
            self._held.append(call)
            self._arm_release()
            return
        if not call.sent:
            call.first_sent = now
        call.sent += 1
        self._window.sent(now)
        self._sockets.send(call.role, call.data, call.to)
        wait = self._patience.wait(call.hops, call.sent, TIMEOUT)
        if call.sent > call.retries:
            wait = TIMEOUT + call.spared
        else:
            call.spared += TIMEOUT - wait
        call.timer = self._schedule.after(call.delay + wait, call.expire)

    def fail_later(self, call: Call[R]) -> None:
        """A call that cannot even begin."""
        call.timer = self._schedule.after(0, call.fail)

    def find(self, tid: int) -> Call[R] | None:
        """The call that a response with this transaction id answers."""
        call = self._calls.get(tid)
        return call if call is not None and call.sent else None

    def answered(self, call: Call[R]) -> float:
        """The answer came: forget the call. Seconds since its first send."""
        rtt = self._schedule.now - call.first_sent
        # of an answer after two sends it is not known to which: taken for one to the first, so that nodes which always
        # take longer than that are learnt to be slow
        if call.sent <= 2 and call.hops == 1 and not call.delay:
            self._patience.answered(rtt)
        self.drop(call)
        return rtt

    def drop(self, call: Call[R]) -> None:
        """Forget a call: what still comes for it finds nothing."""
        _stop(call)
        if self._calls.get(call.tid) is call:
            del self._calls[call.tid]
            if call.sent:  # one that was held back all the time has taken no room
                self._window.settled(self._schedule.now)
                if self._held:
                    self._release_soon()

    def fail(self, call: Call[R]) -> None:
        self.drop(call)
        if not self._closed:
            call.on_reply(None)

    def expire(self, call: Call[R]) -> None:
        """An attempt timed out."""
        call.timer = None
        if call.is_plain and call.sent >= GONE:
            self.silence.noticed(call.to, self._schedule.now)
        if call.on_timeout is not None:
            call.on_timeout(call.sent)
            if self._calls.get(call.tid) is not call:
                return
        if call.sent <= call.retries:
            self.retries += 1
            self.send(call)
        else:
            self.timeouts += 1
            if call.is_plain:
                self._on_silence(call.to)
            self.fail(call)

    def fail_all(self) -> None:
        """Tell every call that it failed, and start with an empty window."""
        calls = self._clear()
        self.silence.clear()  # the network may be another one when it goes on
        for call in calls:
            call.on_reply(None)

    def close(self) -> None:
        """Forget every call; none is told."""
        self._closed = True
        self._clear()

    def _arm_release(self) -> None:
        if self._release_timer is None:
            self._release_timer = self._schedule.at(self._window.turns_at, self._release)

    def _release_soon(self) -> None:
        """An answer made room. Later: whoever got it may drop others, held ones too."""
        if self._release_timer is not None and self._release_timer.at > self._schedule.now:
            self._release_timer.cancel()
            self._release_timer = self._schedule.after(0, self._release)

    def _release(self) -> None:
        self._release_timer = None
        while self._held and not self._window.full(self._schedule.now):
            call = self._held.popleft()
            if self._calls.get(call.tid) is call:
                self.send(call)
        if self._held:
            self._arm_release()

    def _clear(self) -> list[Call[R]]:
        calls = list(self._calls.values())
        for call in calls:
            _stop(call)
        self._calls.clear()
        self._held.clear()
        self._window.clear()
        if self._release_timer is not None:
            self._release_timer.cancel()
            self._release_timer = None
        return calls


def _stop(call: Call[R]) -> None:
    if call.timer is not None:
        call.timer.cancel()
        call.timer = None
