"""One iterative query: ask ever closer nodes until the closest 20 answered, then commit. Knows no command's meaning.

Whom it knows of, and whom to ask next, is in `swarm.kademlia.candidates`. Protocol: dht-rpc section 10. Reference:
dht-rpc lib/query.js.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple, Protocol

from swarm.kademlia.candidates import Candidates
from swarm.kademlia.ids import node_id
from swarm.kademlia.packets import DOWN_HINT, OK, encode_address
from swarm.kademlia.silence import GONE
from swarm.kademlia.table import K

if TYPE_CHECKING:
    from holepunch.address import Address
    from holepunch.core import Schedule
    from holepunch.signaller import Cancel
    from swarm.kademlia.rpc import Reply, Rpc
    from swarm.kademlia.table import Table

__all__ = ["CONCURRENCY", "Commit", "MakeCommit", "Query", "QueryOptions", "Surroundings"]

CONCURRENCY = 10
SLOWED_CONCURRENCY = 3
"""While only given nodes were asked: the closest of them get a moment to answer before the query goes broad."""
RETRIES = 5
MAX_CLOSER = 2 * K
"""Addresses read from one reply. Nodes send up to 20; a datagram holds thousands."""


class Commit(NamedTuple):
    """What to send to one of the closest nodes at the end. The query adds its target and that node's token."""

    command: int
    value: bytes | None


MakeCommit = Callable[["Reply"], Commit | None]


class Surroundings(Protocol):
    """What a query needs of its node."""

    rpc: Rpc
    table: Table
    schedule: Schedule

    def accepts(self, address: Address) -> bool:
        """The node filter."""

    def bootstrap_nodes(self, on_resolved: Callable[[Sequence[Address]], None]) -> None:
        """Call back once with the bootstrap nodes, now or later."""

    def may_hint(self) -> bool:
        """Whether one more DOWN_HINT may leave in this tick; counts it."""


class QueryOptions(NamedTuple):
    """See `swarm.kademlia.node.Node.query`."""

    internal: bool = False
    on_reply: Callable[[Reply], None] | None = None
    on_end: Callable[[Query], None] | None = None
    commit: MakeCommit | None = None
    nodes: Sequence[Address] = ()
    only_nodes: bool = False
    concurrency: int = CONCURRENCY
    retries: int = RETRIES
    force: bool = False


class _State(Enum):
    SEARCHING = 1
    COMMITTING = 2
    ENDED = 3


class _Visit:
    """One node being asked."""

    __slots__ = ("address", "away", "before", "cancel", "query", "timeouts")

    def __init__(self, query: Query, away: int, address: Address, before: int) -> None:
        self.query = query
        self.away = away
        self.address = address
        self.before = before
        """Attempts of earlier queries that timed out, as far as they count here."""
        self.timeouts = before
        """Attempts that timed out. After the first it no longer takes one of the places."""
        self.cancel: Cancel

    def on_reply(self, reply: Reply | None) -> None:
        self.query.visited(self, reply)

    def on_timeout(self, attempts: int) -> None:
        self.timeouts = self.before + attempts
        self.query.slowed(self)


class Query:
    """Made by `Node.query` and `Node.find_node`, and running then. See there for the arguments."""

    __slots__ = (
        "_cancels",
        "_candidates",
        "_command",
        "_entered",
        "_from_table",
        "_lossy",
        "_node",
        "_options",
        "_seeding",
        "_slow",
        "_slowed_down",
        "_state",
        "_value",
        "_visits",
        "commits",
        "concurrency",
        "errors",
        "successes",
        "target",
    )

    def __init__(
        self, node: Surroundings, target: bytes, command: int, value: bytes | None, options: QueryOptions
    ) -> None:
        self.target = target
        self.commits: list[Reply] = []
        """Answers to the commits, errors included (see ``Reply.error``). Empty: nothing was stored."""
        self.successes = 0
        self.errors = 0
        """Replies with an error, and nodes that did not answer."""
        self.concurrency = options.concurrency
        self._node = node
        self._command = command
        self._value = value
        self._options = options
        self._candidates = Candidates(target)
        self._visits: set[_Visit] = set()
        self._lossy = False
        """A node has answered, but not its first request."""
        self._entered = options.only_nodes
        """The bootstrap nodes were asked for, or never will be."""
        self._seeding = False
        """They are not known yet."""
        self._slow = 0
        self._slowed_down = False
        self._from_table = options.only_nodes
        self._cancels: set[Cancel] = set()
        self._state = _State.SEARCHING

    @property
    def closest(self) -> list[Reply]:
        """The up to 20 closest nodes that answered without error and with a valid id, closest first."""
        return self._candidates.closest

    @property
    def closest_nodes(self) -> list[Address]:
        """Addresses of ``closest``, to seed another query with (``nodes=``)."""
        return [reply.from_ for reply in self.closest]

    @property
    def asked(self) -> list[Address]:
        """Whom it has asked so far."""
        return self._candidates.asked

    @property
    def ended(self) -> bool:
        """``on_end`` was called, or the query was cancelled."""
        return self._state is _State.ENDED

    def start(self) -> None:
        """Seed and begin. `Node.query` does so."""
        for address in self._options.nodes:
            self._candidates.learn(address)
        if not self._options.only_nodes:
            self._add_from_table()
            if len(self._candidates) < K:
                self._enter()
        if self._candidates:
            self._advance()
        elif not self._seeding:
            # nobody to ask: the end still comes after `Node.query` has returned
            self._node.schedule.after(0, self._advance)

    def cancel(self) -> None:
        """Stop: nothing is called any more. Requests under way are forgotten, commits too."""
        self._state = _State.ENDED
        for visit in self._visits:
            visit.cancel()
        for cancel in self._cancels:
            cancel()
        self._visits.clear()
        self._cancels.clear()

    # seeding

    def _enter(self) -> None:
        self._entered = self._seeding = True
        self._node.bootstrap_nodes(self._on_bootstrap_nodes)

    def _on_bootstrap_nodes(self, addresses: Sequence[Address]) -> None:
        """Now, or long after the search has begun with what is known: their names may have to be resolved."""
        self._seeding = False
        if self._state is _State.SEARCHING:
            for address in addresses:
                self._candidates.learn(address)
            # in its own time: `start` may not have returned yet
            self._node.schedule.after(0, self._advance)

    def _add_from_table(self) -> None:
        if len(self._candidates) < K:
            self._from_table = True
            for contact in self._node.table.closest(self.target, K - len(self._candidates)):
                self._candidates.learn(contact.address)

    # searching

    def _advance(self) -> None:
        """Ask as many as may be asked at a time; end when there is nobody left to ask or to wait for."""
        while self._state is _State.SEARCHING and not self._node.rpc.closed:
            limit = (SLOWED_CONCURRENCY if self._slowed_down else self.concurrency) + self._slow
            while len(self._visits) < limit:
                found = self._candidates.next(visit.away for visit in self._visits if not visit.timeouts)
                if found is None:
                    break
                self._visit(*found)
            if not self._from_table and not self.successes and not self.errors:
                self._slowed_down = True
            if self._candidates or (self._seeding and not self.successes):
                return
            if self._visits and not self._may_leave_the_rest():
                return
            if not self._entered and not self.successes and not self._node.rpc.suspended:
                # nobody answered of those that were known: they may be of another network, or of long ago
                self._enter()
                continue
            if self._from_table or self.successes >= K / 4:
                self._commit()
                return
            # the given nodes were of little use
            self._add_from_table()

    def _visit(self, away: int, address: Address) -> None:
        visit = _Visit(self, away, address, GONE - 1 if self._node.rpc.is_silent(address) else 0)
        self._visits.add(visit)
        self._slow += visit.before > 0
        options = self._options
        visit.cancel = self._node.rpc.request(
            address,
            visit.on_reply,
            internal=options.internal,
            command=self._command,
            target=self.target,
            value=self._value,
            retries=0 if options.force else options.retries,
            force=options.force,
            on_timeout=visit.on_timeout,
        )

    def _may_leave_the_rest(self) -> bool:
        """Whether the nodes that were asked and have not answered may be left out.

        Where there are fewer than `K` in all, as in a network of one's own, each counts. But where no packets are lost,
        as all who answered did so at once, one that is silent twice is not waited for until it is given up.
        """
        enough = self._candidates.complete
        if not enough and (self._lossy or not self.successes):
            return False
        return all(visit.timeouts >= (1 if enough else GONE) for visit in self._visits)

    def slowed(self, visit: _Visit) -> None:
        """An attempt of ``visit`` timed out."""
        self._slow += visit.timeouts == 1
        if visit.timeouts == GONE and self.successes and not self._lossy:
            self._is_down(visit.address)
        self._advance()

    def visited(self, visit: _Visit, reply: Reply | None) -> None:
        """``visit`` was answered, or given up."""
        self._visits.discard(visit)
        if visit.timeouts:
            self._slow -= 1
            self._lossy = self._lossy or (reply is not None and visit.timeouts > visit.before)
        if reply is None:
            self._on_silence(visit.address)
        else:
            self._candidates.heard(visit.address)
            if self._state is _State.SEARCHING:
                self._on_reply(reply)
        self._advance()

    def _on_reply(self, reply: Reply) -> None:
        if reply.error == OK:
            self.successes += 1
            self._candidates.place(reply)
        else:
            self.errors += 1
        if not self._options.only_nodes:
            self._read_closer(reply)
        if not self._from_table and self.successes + self.errors >= self.concurrency:
            self._slowed_down = False
        if reply.error == OK and self._options.on_reply is not None:
            self._options.on_reply(reply)

    def _read_closer(self, reply: Reply) -> None:
        for address in reply.closer[:MAX_CLOSER]:
            if address not in self._candidates and not self._is_other_node(address):
                continue
            closer = self._candidates.learn(address, reply.from_)
            if self._candidates.is_down(address):
                self._hint(reply.from_, address)
            if not closer:
                break  # such lists go from near to far, more or less

    def _is_other_node(self, address: Address) -> bool:
        return self._node.accepts(address) and node_id(address) != self._node.table.id

    def _on_silence(self, address: Address) -> None:
        self.errors += 1
        if self._node.rpc.suspended:
            return  # says nothing about that node
        self._is_down(address)

    def _is_down(self, address: Address) -> None:
        for referrer in self._candidates.failed(address):
            self._hint(referrer, address)

    def _hint(self, to: Address, down: Address) -> None:
        """Tell a node that one it named does not answer."""
        if self._node.may_hint():
            self._node.rpc.request(to, _ignore, internal=True, command=DOWN_HINT, value=encode_address(down))

    # the end

    def _commit(self) -> None:
        self._state = _State.COMMITTING
        make = self._options.commit
        if make is not None:
            for reply in self.closest:
                commit = make(reply)
                if commit is not None and self._state is _State.COMMITTING:
                    self._send_commit(commit, reply)
        self._end_when_committed()

    def _send_commit(self, commit: Commit, reply: Reply) -> None:
        def on_reply(answer: Reply | None) -> None:
            self._cancels.discard(cancel)
            if answer is not None:
                self.commits.append(answer)
            self._end_when_committed()

        cancel = self._node.rpc.request(
            reply.from_,
            on_reply,
            command=commit.command,
            target=self.target,
            value=commit.value,
            token=reply.token,
        )
        self._cancels.add(cancel)

    def _end_when_committed(self) -> None:
        if self._state is _State.COMMITTING and not self._cancels:
            self._state = _State.ENDED
            if self._options.on_end is not None:
                self._options.on_end(self)


def _ignore(reply: Reply | None) -> None:
    """Nobody waits for the answer to a hint."""
