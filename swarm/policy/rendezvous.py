"""Keeps one topic announced and looked up while anyone holds a session of it. Dials nobody.

Node: hyperswarm lib/peer-discovery.js. Two differences. There, peers that join at the same instant both look before
either is stored, and miss each other until the next refresh; here a look-up follows the first announce, and a few
more follow within seconds. And a refresh that failed is tried again within seconds, not after ten minutes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from swarm.policy.events import RefreshFailed, TopicRefreshed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from holepunch.address import Address
    from holepunch.core import Entry
    from swarm.policy.context import Context
    from swarm.policy.effects import Search
    from swarm.policy.finding import Finder
    from swarm.policy.session import Session
    from swarm.topic import Topic

__all__ = ["Rendezvous"]

REFRESH_INTERVAL = 600.0
REFRESH_JITTER = 120.0
"""Seconds. Storing nodes keep a record for 13 minutes at least (hyperdht, stored-record limits)."""

EARLY_LOOKUPS = (0.5, 2.0, 8.0)
"""Seconds after the first refresh, each give or take a quarter, of further look-ups."""

EARLY_AT_LEAST = 2
"""So many of them are done even if somebody was found. A Node peer looks only once, so of it and us who join at one
instant each may miss the other, while third peers are found; the last look-up is for who found nobody."""

FIRST_RETRY = 2.0
LAST_RETRY = 300.0
"""Seconds until a failed refresh is tried again: doubled each time, and up to half as much more by chance."""

WAKE_JITTER = 2.0
"""Seconds, at most, until the refresh after a sleep: hosts that wake together do not ask in one instant."""

MAX_FOUND = 512
"""Peers taken from one search. A full honest answer is 20 nodes with 20 records each, most of them the same."""

MAX_NODES = 40
"""Nodes remembered as those that may hold the own record: the 20 closest of this search and of the last."""


class _Run:
    """One search, until it has ended or was cancelled."""

    __slots__ = ("_owner", "announces", "room", "search", "seen", "whole")

    def __init__(self, owner: Rendezvous, whole: bool, announces: bool, room: int | None) -> None:
        self._owner: Rendezvous | None = owner
        self.whole = whole
        """A refresh, not merely one more look."""
        self.announces = announces
        self.room = room
        """How many peers may be dialled because of it; None is any number."""
        self.seen: set[bytes] = set()
        self.search: Search | None = None

    def on_found(self, public_key: bytes, relay_addresses: Sequence[Address]) -> None:
        if self._owner is not None and public_key not in self.seen and len(self.seen) < MAX_FOUND:
            self._owner.found(self, public_key, relay_addresses)

    def takes(self, active: bool) -> bool:
        """Whether a peer may be dialled because of this search. One that is dialled, or connected, costs no place."""
        if active or self.room is None:
            return True
        if self.room == 0:
            return False
        self.room -= 1
        return True

    def on_end(self, ok: bool) -> None:
        owner, self._owner = self._owner, None
        if owner is not None:
            owner.ended(self, ok)

    def cancel(self) -> None:
        self._owner = None
        if self.search is not None:
            self.search.cancel()


class Rendezvous:
    __slots__ = (
        "_announced",
        "_context",
        "_early",
        "_early_base",
        "_early_step",
        "_failures",
        "_finder",
        "_first",
        "_known",
        "_last_ok",
        "_nodes",
        "_on_empty",
        "_on_withdrawn",
        "_run",
        "_suspended",
        "_timer",
        "_waiters",
        "_withdrawing",
        "client",
        "limit",
        "server",
        "sessions",
        "topic",
    )

    def __init__(
        self,
        topic: Topic,
        context: Context,
        finder: Finder,
        suspended: bool,
        on_empty: Callable[[], None],
    ) -> None:
        """``on_empty``: the last session has left, and nothing of the topic is announced any more."""
        self.topic = topic
        self.sessions: list[Session] = []
        self.server = False
        self.client = False
        self.limit: int | None = None
        self._context = context
        self._finder = finder
        self._on_empty = on_empty
        self._suspended = suspended
        self._withdrawing = False
        self._on_withdrawn: list[Callable[[], None]] = []
        self._waiters: list[Callable[[bool], None]] = []
        self._run: _Run | None = None
        self._nodes: dict[Address, None] = {}
        self._announced = False
        self._last_ok = True
        self._timer: Entry | None = None
        self._failures = 0
        self._start_over()

    def _start_over(self) -> None:
        self._first = True
        self._known: set[bytes] = set()
        self._early: Entry | None = None
        self._early_base: float | None = None
        self._early_step = 0

    # -- refreshing ----------------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Bring the DHT up to date with the sessions. One that runs already with the same modes is shared."""
        if self._suspended or self._withdrawing:
            return  # starts when that has ended
        server = any(session.server for session in self.sessions)
        client = any(session.client for session in self.sessions)
        if (server, client) != (self.server, self.client):
            self.server, self.client = server, client
            self._stop()
            self._start_over()
        elif self._run is not None and self._run.whole:
            return
        self._begin()

    def renew(self) -> None:
        """The network changed: what runs may never end, and the relays that were stored may be gone. Nodes keep a
        young record as it is (hyperdht, stored-record limits), so the next announce clears it first."""
        if not self._suspended and not self._withdrawing:
            self._stop()
            self._start_over()
            self.refresh()

    def renew_soon(self) -> None:
        """The host slept: as `renew`, when the network is back."""
        if not self._suspended and not self._withdrawing:
            self._wait(WAKE_JITTER * self._context.rng.random(), self.renew)

    def flushed(self, on_done: Callable[[bool], None]) -> None:
        """After the refresh in progress: True when it went well. Without one, how the last went."""
        if self._suspended or not self.sessions:
            self._context.soon(lambda: on_done(False))
        elif self._withdrawing or self._run is not None:
            self._waiters.append(on_done)
        else:
            ok = self._last_ok
            self._context.soon(lambda: on_done(ok))

    def _begin(self) -> None:
        self._stop()
        run = self._run = _Run(self, True, self.server, self._room())
        nodes = list(self._nodes)
        effects = self._context.effects
        if self.server:
            self._announced = True  # from here on: some nodes may have stored it when the search is cut short
            run.search = effects.announce(self.topic, nodes, self._first, run.on_found, run.on_end)
        else:
            run.search = effects.lookup(self.topic, nodes, self._announced, run.on_found, run.on_end)

    def _look(self) -> None:
        run = self._run = _Run(self, False, False, self._room())
        run.search = self._context.effects.lookup(self.topic, list(self._nodes), False, run.on_found, run.on_end)

    def _room(self) -> int | None:
        return None if self.limit is None else max(0, self.limit - self._finder.active(self.topic))

    # -- what a search reports -----------------------------------------------------------------------------------------

    def remember(self, public_key: bytes, relay_addresses: Sequence[Address]) -> None:
        """A peer that an earlier run met: dialled as if found, on the account of the search in progress."""
        run = self._run or _Run(self, False, False, self._room())
        if run.takes(self._finder.is_active(public_key)):
            self._finder.found(public_key, self.topic, relay_addresses)

    def found(self, run: _Run, public_key: bytes, relay_addresses: Sequence[Address]) -> None:
        if self._finder.is_self(public_key):
            return
        run.seen.add(public_key)
        news = public_key not in self._known
        # a further look is for who was missed; whom it merely sees again has a retry timer of its own
        if not self.client or not (news or run.whole):
            return
        if run.takes(self._finder.is_active(public_key)):  # else the next look may have a place for it
            if len(self._known) < MAX_FOUND:
                self._known.add(public_key)
            self._finder.found(public_key, self.topic, relay_addresses)

    def ended(self, run: _Run, ok: bool) -> None:
        self._run = None
        self._remember_nodes(run, fresh=ok and run.whole)
        if not ok:
            if run.whole:
                self._retry_later()
            else:
                self._settle(True)
                self._look_later()
            return
        self._context.emit(TopicRefreshed(self.topic, run.announces, len(run.seen)))
        look_again = False
        if run.whole:
            self._failures = 0
            self._wait(REFRESH_INTERVAL + REFRESH_JITTER * self._context.rng.random(), self.refresh)
            # Whoever is stored last sees the other, whatever the timing.
            look_again = run.announces and self._first and self.client
            self._first = False
            self._announced = run.announces
        if look_again:
            self._look()
        else:
            self._settle(True)
            self._look_later()

    def _remember_nodes(self, run: _Run, fresh: bool) -> None:
        """Where the next search starts, and where an unannounce goes: a search that was cut short only adds nodes."""
        closest = run.search.closest if run.search is not None else ()
        if closest:
            older = () if fresh else tuple(self._nodes)
            self._nodes = dict.fromkeys((*older, *closest)[:MAX_NODES])

    def _settle(self, ok: bool) -> None:
        self._last_ok = ok
        waiters, self._waiters = self._waiters, []
        for on_done in waiters:
            on_done(ok)

    # -- timers --------------------------------------------------------------------------------------------------------

    def _wait(self, delay: float, action: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._context.schedule.after(delay, action)

    def _retry_later(self) -> None:
        delay = min(FIRST_RETRY * 2 ** min(self._failures, 30), LAST_RETRY) * (1 + 0.5 * self._context.rng.random())
        self._failures += 1
        self._context.emit(RefreshFailed(self.topic, delay))
        self._wait(delay, self.refresh)
        self._settle(False)

    def _look_later(self) -> None:
        last = EARLY_AT_LEAST if self._known else len(EARLY_LOOKUPS)
        if not self.client or self._early is not None or self._early_step >= last:
            return
        now = self._context.schedule.now
        if self._early_base is None:
            self._early_base = now
        delay = EARLY_LOOKUPS[self._early_step] * (0.75 + 0.5 * self._context.rng.random())
        self._early_step += 1
        self._early = self._context.schedule.at(max(now, self._early_base + delay), self._look_early)

    def _look_early(self) -> None:
        self._early = None
        if self._run is None:
            self._look()

    def _stop(self) -> None:
        """No search and no timer from now on."""
        run, self._run = self._run, None
        if run is not None:
            run.cancel()
            self._remember_nodes(run, fresh=False)
        for entry in (self._timer, self._early):
            if entry is not None:
                entry.cancel()
        self._timer = self._early = None

    # -- leaving -------------------------------------------------------------------------------------------------------

    def leave(self, on_left: Callable[[], None]) -> None:
        """End every session. ``on_left`` is called once nothing is announced any more."""
        for session in self.sessions:
            session.ended = True
        self.sessions.clear()
        self._withdraw(on_left)

    def reduced(self, on_done: Callable[[], None]) -> None:
        """A session ended, others are left."""
        if self.server and not any(session.server for session in self.sessions):
            self.refresh()
            self.flushed(lambda _: on_done())
        else:
            self.client = any(session.client for session in self.sessions)
            self._context.soon(on_done)

    def left(self, on_left: Callable[[], None]) -> None:
        """After the unannounce in progress, if there is one."""
        if self._withdrawing:
            self._on_withdrawn.append(on_left)
        else:
            self._context.soon(on_left)

    def suspend(self, on_done: Callable[[], None]) -> None:
        self._suspended = True
        self._withdraw(on_done)

    def resume(self) -> None:
        self._suspended = False
        self.refresh()

    def _withdraw(self, on_done: Callable[[], None]) -> None:
        self._on_withdrawn.append(on_done)
        self._settle(False)
        if self._withdrawing:
            return
        self._stop()
        self._withdrawing = True
        if self._announced and self._nodes:
            self._context.effects.unannounce(self.topic, list(self._nodes), self._withdrawn)
        else:
            self._context.soon(self._withdrawn)

    def _withdrawn(self) -> None:
        self._withdrawing = self._announced = self.server = self.client = False
        self._start_over()
        if not self.sessions:
            self._on_empty()
        elif not self._suspended:
            self.refresh()
        callbacks, self._on_withdrawn = self._on_withdrawn, []
        for on_done in callbacks:
            on_done()
