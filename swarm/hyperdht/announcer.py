"""Keeps a listening server reachable: announced to the three nodes closest to its key, which relay to it.

A state machine on the node's schedule: a cycle, pings, the next cycle. Knows nothing of what servers do.
Protocol: HyperDHT section 3. Node: hyperdht lib/announcer.js.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum
from typing import TYPE_CHECKING

from holepunch.address import Address
from holepunch.keys import hash32
from holepunch.punch.messages import RelayInfo
from swarm.hyperdht.messages import Command, PeerRecord
from swarm.hyperdht.signatures import signed_announce
from swarm.kademlia.batch import Batch
from swarm.kademlia.node import Event
from swarm.kademlia.packets import OK

if TYPE_CHECKING:
    from holepunch.core import Entry
    from holepunch.keys import KeyPair
    from holepunch.signaller import Cancel
    from swarm.kademlia.node import Node
    from swarm.kademlia.query import Query
    from swarm.kademlia.rpc import Reply

__all__ = ["Announcer", "OnRelays"]

RELAYS = 3
"""Nodes announced to, and addresses told to others."""
PING_INTERVAL = 3.0
"""Seconds. Pings also keep the NAT's mappings towards the relays open."""
PING_ROUNDS = 100
"""Between two cycles, about five minutes. Announcements are kept for thirteen at least."""
RETRY_FIRST = 3.0
RETRY_MOST = 60.0
"""Seconds between cycles that found no relay: from the one, doubling, to the other. A change of the network ends it."""
MOVE_INTERVAL = 15.0
"""Seconds between cycles because a relay sees another own address: some NATs change mappings all the time, and a relay
may lie."""
FAREWELL = 1.0
"""Seconds that taking announcements back may take. What is not taken back expires."""
GENERATIONS = 3
"""Cycles after which a relay is none any more: a client may have learnt of it just before it was dropped."""

OnRelays = Callable[[Sequence[RelayInfo], Sequence[Address], Callable[[Address], bool]], None]


class _State(Enum):
    STOPPED = 1
    SEARCHING = 2
    ANNOUNCING = 3
    RETRACTING = 4  # from relays of before that are none any more
    RESTING = 5  # and pinging


class Announcer:
    """Announces one key pair, from `start` to `stop`, any number of times."""

    def __init__(
        self, node: Node, key_pair: KeyPair, on_relays: OnRelays, on_announced: Callable[[], None] | None = None
    ) -> None:
        """``on_relays`` is told the relays, the addresses to publish and `is_relay`, once in every cycle.
        ``on_announced`` is called when the first cycle ends that is not stopped before, even if no node took the
        announcement."""
        self._node = node
        self._key_pair = key_pair
        self._target = hash32(key_pair.public_key)
        self._on_relays = on_relays
        self.record = PeerRecord(key_pair.public_key).encode()
        """What nodes store. It names no relays: a node that answers with it is one."""
        self.relays: tuple[RelayInfo, ...] = ()
        self.relay_addresses: tuple[Address, ...] = ()
        """At most three, to announce the key under a topic with. A node that is not firewalled is its own first."""
        self._state = _State.STOPPED
        # this side as each relay saw it, by cycle; the last is the current one
        self._generations: deque[dict[Address, Address]] = deque([{}], maxlen=GENERATIONS)
        self._held: dict[Address, None] = {}  # who may have an announcement of ours
        self._closest: Sequence[Address] = ()
        self._activity: Query | Batch | None = None
        self._timer: Entry | None = None
        self._rounds = 0
        self._answers = 0
        self._retry = RETRY_FIRST
        self._moved_at = -MOVE_INTERVAL
        self._again = False
        self._on_announced = on_announced
        self._farewell: tuple[Batch, Entry, Callable[[], None]] | None = None
        self._unsubscribe: Cancel | None = None

    @property
    def running(self) -> bool:
        return self._state is not _State.STOPPED

    def is_relay(self, address: Address) -> bool:
        """Whether ``address`` relays to this server, or did so two cycles ago."""
        return any(address in generation for generation in self._generations)

    def start(self) -> None:
        if self.running:
            raise ValueError("this announcer is running")
        self._end_farewell()
        self._retry = RETRY_FIRST
        self._unsubscribe = self._node.subscribe(self._on_event)
        self._begin_cycle()

    def refresh(self) -> None:
        """A new cycle, now or once the present one has ended."""
        if self._state is _State.RESTING:
            self._begin_cycle()
        else:
            self._again = True

    def stop(self, on_end: Callable[[], None]) -> None:
        """Take back every announcement; ``on_end`` is called when that is done, after `FAREWELL` seconds at most."""
        self.close()
        farewell = Batch(self._node, self._end_farewell)
        self._farewell = (farewell, self._node.schedule.after(FAREWELL, self._end_farewell), on_end)
        self._retract(farewell, list(self._held))

    def close(self) -> None:
        """Stop at once and take nothing back. A `stop` under way ends."""
        self._pause()
        self._end_farewell()
        self._state = _State.STOPPED
        self.relays = self.relay_addresses = ()
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None

    # the cycle

    def _begin_cycle(self) -> None:
        self._pause()
        self._again = False
        self._state = _State.SEARCHING
        self._generations.append({})
        self._activity = self._node.query(
            self._target, Command.FIND_PEER, nodes=self._closest, on_end=self._announce_to_closest
        )

    def _announce_to_closest(self, query: Query) -> None:
        self._closest = query.closest_nodes
        self._state = _State.ANNOUNCING
        self._activity = batch = Batch(self._node, self._report)
        for reply in query.closest[:RELAYS]:
            self._announce(batch, reply)
        batch.seal()

    def _announce(self, batch: Batch, found: Reply) -> None:
        if found.id is None or found.token is None:
            return
        relay, current = found.from_, self._generations[-1]

        def on_reply(reply: Reply | None) -> None:
            if reply is not None and reply.error == OK:
                current[relay] = reply.to

        self._held[relay] = None
        value = signed_announce(Command.ANNOUNCE, self._key_pair, self._target, found.id, found.token)
        batch.send(relay, Command.ANNOUNCE, on_reply, target=self._target, value=value, token=found.token)

    def _report(self) -> None:
        current = self._generations[-1]
        own = self._node.remote_address()
        self.relays = tuple(RelayInfo(relay, seen_as) for relay, seen_as in current.items())
        self.relay_addresses = (*(() if own is None else (own,)), *current)[:RELAYS]
        self._state = _State.RETRACTING
        self._activity = batch = Batch(self._node, self._rest)
        self._retract(batch, [node for node in self._held if node not in current])
        self._on_relays(self.relays, self.relay_addresses, self.is_relay)
        on_announced, self._on_announced = self._on_announced, None
        if on_announced is not None:
            on_announced()

    def _retract(self, batch: Batch, nodes: list[Address]) -> None:
        """Send an UNANNOUNCE to each, and `Batch.seal`. The token for it comes with the answer to a FIND_PEER."""
        for node in nodes:
            self._retract_from(batch, node)
        batch.seal()

    def _retract_from(self, batch: Batch, node: Address) -> None:
        def on_found(reply: Reply | None) -> None:
            if reply is None or reply.id is None or reply.token is None:
                self._held.pop(node, None)  # it is gone
                return
            # also when it has nothing: the announcement may have been overtaken
            value = signed_announce(Command.UNANNOUNCE, self._key_pair, self._target, reply.id, reply.token)
            batch.send(node, Command.UNANNOUNCE, on_removed, target=self._target, value=value, token=reply.token)

        def on_removed(reply: Reply | None) -> None:
            self._held.pop(node, None)

        batch.send(node, Command.FIND_PEER, on_found, target=self._target)

    def _end_farewell(self) -> None:
        if self._farewell is not None:
            batch, timer, on_end = self._farewell
            self._farewell = None
            batch.cancel()
            timer.cancel()
            on_end()

    # between cycles

    def _rest(self) -> None:
        self._state = _State.RESTING
        self._activity = None
        if self._again:
            self._begin_cycle()
        elif self._generations[-1]:
            self._retry = RETRY_FIRST
            self._rounds = 0
            self._timer = self._node.schedule.after(PING_INTERVAL, self._ping)
        else:
            self._timer = self._node.schedule.after(self._retry, self._begin_cycle)
            self._retry = min(2 * self._retry, RETRY_MOST)

    def _ping(self) -> None:
        self._rounds += 1
        if self._rounds > PING_ROUNDS:
            self._begin_cycle()
            return
        self._answers = 0
        self._activity = batch = Batch(self._node, self._on_pinged)
        for relay, seen_as in self._generations[-1].items():
            self._ping_relay(batch, relay, seen_as)
        batch.seal()

    def _ping_relay(self, batch: Batch, relay: Address, seen_as: Address) -> None:
        def on_pong(reply: Reply | None) -> None:
            if reply is None:
                return
            self._answers += 1
            now = self._node.schedule.now
            if reply.to != seen_as and now >= self._moved_at + MOVE_INTERVAL:
                # what clients are told leads nowhere any more, and the relay sends them to where we were
                self._moved_at = now
                self._begin_cycle()

        batch.ping(relay, on_pong)

    def _on_pinged(self) -> None:
        if self._answers < len(self._generations[-1]):
            self._begin_cycle()
        else:
            self._activity = None
            self._timer = self._node.schedule.after(PING_INTERVAL, self._ping)

    def _on_event(self, event: Event) -> None:
        if event in (Event.NETWORK_CHANGE, Event.WAKE_UP):
            self.refresh()
        elif event is Event.NETWORK_UPDATE and self._node.online:
            self._retry = RETRY_FIRST
            if self._state is _State.RESTING and not self._generations[-1]:
                self._begin_cycle()

    def _pause(self) -> None:
        """Whatever is under way: stop it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._activity is not None:
            self._activity.cancel()
            self._activity = None
