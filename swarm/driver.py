"""What the policy decides, made to happen: dials, announcements, closes and deliveries on one DHT node.

Implements `swarm.policy.effects.Effects` and reports back. It decides nothing and awaits nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol

from holepunch.errors import Attempt, ConnectError, Reason
from holepunch.keys import PublicKey
from swarm.errors import NotAMember
from swarm.kademlia.events import Event as NodeEvent
from swarm.policy.events import ConnectionOpened, DialFailed, PeerBanned, PeerFound
from swarm.sharing import Sharing

if TYPE_CHECKING:
    from holepunch.address import Address
    from holepunch.core import Entry
    from holepunch.keys import KeyPair
    from holepunch.ping import Ping
    from holepunch.signaller import Cancel
    from swarm.connection import Connection
    from swarm.dht.dht import DHT
    from swarm.dht.dialling import Dialling
    from swarm.dht.listener import Listening
    from swarm.hyperdht.announcement import Announcement, PeersFound, Stored
    from swarm.kademlia.query import Query
    from swarm.membership import Membership
    from swarm.policy.effects import OnFound
    from swarm.policy.events import Event
    from swarm.policy.peers import PeerInfo
    from swarm.policy.policy import Policy
    from swarm.state import State
    from swarm.topic import Topic

__all__ = ["Ask", "Driver"]

logger = logging.getLogger(__name__)

UNPROVEN_BAN = 60.0
"""Seconds that a peer is banned for what may be an old message of its: long enough that an outsider which dials again
and again costs little, short enough for one that has become a member since."""

Ask = Callable[[Callable[[bool | None], None], "PublicKey", Sequence["Topic"]], None]
"""Puts a question to the application, which answers through the callable."""


class Deliver(Protocol):
    """Hands a connection to the application; False when that takes no more. ``wanted``: it has asked for this peer."""

    def __call__(self, connection: Connection, *, wanted: bool) -> bool: ...


class TopicSearch:
    """A query for a topic. Implements `swarm.policy.effects.Search`."""

    def __init__(self, query: Query | Announcement) -> None:
        self.cancelled = False
        self._query = query

    @property
    def closest(self) -> Sequence[Address]:
        return self._query.closest_nodes

    def cancel(self) -> None:
        self.cancelled = True
        self._query.cancel()


class Driver:
    """The hands of one swarm, from `begin` on."""

    policy: Policy

    def __init__(
        self,
        dht: DHT,
        key_pair: KeyPair,
        deliver: Deliver,
        emit: Callable[[Event], None],
        membership: Membership,
        state: State | None = None,
    ) -> None:
        """``state``: what earlier runs left, and this one is to leave."""
        self._dht = dht
        self._key_pair = key_pair
        self._allow: Ask | None = None
        self._deliver = deliver
        self._emit = emit
        self._state = state
        self._membership = membership
        membership.topics = self._topics_for
        self._dials: dict[int, Dialling] = {}
        self._connections: dict[int, Connection] = {}
        self._listening: Listening | None = None
        self._online = True
        self._renewal: Entry | None = None
        self._announced = False
        self._stays = False
        self._when_announced: list[Callable[[], None]] = []

    # -- the network -------------------------------------------------------------------------------------------------

    def on_node_event(self, event: NodeEvent) -> None:
        came_online, self._online = self._dht.online and not self._online, self._dht.online
        if event is NodeEvent.WAKE_UP:
            self._renew(self.policy.woke_up)
        elif event is NodeEvent.NETWORK_CHANGE or came_online:
            self._renew(self.policy.network_changed)

    def _renew(self, begin: Callable[[], None]) -> None:
        """However many events tell of one change, the last of them counts: topics are announced anew once."""
        if self._renewal is not None:
            self._renewal.cancel()
        self._renewal = self._dht.schedule.after(0, begin)

    # -- connections -------------------------------------------------------------------------------------------------

    @property
    def connections(self) -> list[Connection]:
        """Without those that wait for the place of another."""
        open_ones = ((link, connection) for link, connection in self._connections.items() if not connection.is_closed)
        return [each for link, each in open_ones if self.policy.connection(each.remote_public_key) == link]

    def begin(self, policy: Policy, allow: Ask | None) -> None:
        """The swarm runs: from now on effects are asked for. ``allow``: whom to ask about peers, if anybody."""
        self.policy = policy
        self._allow = allow
        self._sharing = Sharing(self._membership, self._dht.schedule, policy, self._connections)

    def _topics_for(self, public_key: PublicKey) -> Sequence[Topic]:
        """The joined topics: those that the peer is known to be in first, then from the newest on."""
        peer = self.policy.peers.get(public_key)
        known = peer.topics if peer is not None else ()
        return list(dict.fromkeys((*known, *reversed(self.policy.topics))))

    def connect(
        self, public_key: PublicKey, done: Callable[[Connection], None], fail: Callable[[BaseException], None]
    ) -> Cancel:
        """`Policy.connect`, from a link to its connection at once: by the time the caller runs, it may have closed."""

        def on_result(link: int | ConnectError) -> None:
            if isinstance(link, ConnectError):
                fail(link)
            else:
                done(self._connections[link])

        return self.policy.connect(public_key, on_result)

    def dial(self, link: int, public_key: PublicKey, relay_addresses: Sequence[Address]) -> None:
        self._dials[link] = self._dht.dial(
            self._key_pair,
            public_key,
            relay_addresses,
            partial(self._on_dialled, link),
            partial(self._on_dial_failed, link),
            membership=self._membership,
        )

    def _on_dialled(self, link: int, connection: Connection) -> None:
        del self._dials[link]
        self._adopt(link, connection)
        self.policy.dial_opened(link, lambda: connection.message_bytes)
        self._sharing.handed_out(connection)

    def _on_dial_failed(self, link: int, error: ConnectError) -> None:
        del self._dials[link]
        self.policy.dial_failed(link, error)
        if isinstance(error.__cause__, NotAMember):
            self._on_outsider(PublicKey(error.attempt.remote_public_key), str(error.__cause__), True)

    def _on_outsider(self, public_key: PublicKey, why: str, now: bool) -> None:
        """See `swarm.dht.listener.OnOutsider`."""
        if now:
            self.policy.ban(public_key, why)
        elif self.policy.connection(public_key) is None:  # who is connected has proven it
            self.policy.ban(public_key, why, UNPROVEN_BAN)

    def _on_accepted(self, connection: Connection) -> None:
        link = self.policy.new_link()
        self._adopt(link, connection)
        self.policy.accepted(link, connection.remote_public_key, lambda: connection.message_bytes)
        self._sharing.handed_out(connection)

    def _adopt(self, link: int, connection: Connection) -> None:
        self._connections[link] = connection
        self._sharing.opened(connection)
        connection.on_close = partial(self._on_closed, link)
        connection.on_stall = partial(self._on_stall, link)

    def _on_closed(self, link: int) -> None:
        connection = self._connections.pop(link, None)
        if connection is not None:
            cause = connection.cause
            self.policy.closed(link, cause if isinstance(cause, Exception) else None)

    def _on_stall(self, link: int, stalled: bool) -> None:
        if stalled:
            self.policy.stalled(link)
        else:
            self.policy.revived(link)

    def close(self, link: int, reason: Reason) -> None:
        dial = self._dials.pop(link, None)
        if dial is not None:
            dial.cancel()
        connection = self._connections.pop(link, None)
        if connection is not None:
            attempt = Attempt(remote_public_key=connection.remote_public_key)
            connection.destroy(ConnectError(reason, attempt))

    def ping(self, link: int) -> Ping | None:
        connection = self._connections.get(link)
        return None if connection is None else connection.ping()

    def deliver(self, link: int, peer: PeerInfo) -> None:
        connection = self._connections[link]
        if not self._deliver(connection, wanted=peer.explicit):
            logger.warning("closing a connection of %s: nobody takes the ones that wait", peer.public_key)
            self._dht.schedule.after(0, connection.destroy)  # an effect never calls back into the policy

    def ask(self, question: int, public_key: PublicKey, topics: Sequence[Topic]) -> None:
        assert self._allow is not None  # else the policy does not ask
        self._allow(partial(self.policy.answer, question), public_key, topics)

    def refused(self, public_key: PublicKey, obstacle: str) -> None:
        # that somebody was banned is said when it happens; how often it knocks since is its own choice
        level = logging.DEBUG if obstacle == "banned" else logging.INFO
        logger.log(level, "refused key=%s because=%r", public_key.short, obstacle)

    def topics_changed(self) -> None:
        self._sharing.topics_changed()

    def emit(self, event: Event) -> None:
        logger.log(logging.INFO if isinstance(event, PeerBanned) else logging.DEBUG, "event %s", event)
        if isinstance(event, PeerFound):
            self._sharing.peer_found(event.public_key)
        if self._state is not None:
            self._remember(self._state, event)
        self._emit(event)

    # -- peers of earlier runs ---------------------------------------------------------------------------------------

    def recall(self, topic: Topic) -> None:
        """Dial who was met under a topic before. Its first look-up is on its way."""
        if self._state is not None:
            for public_key, relays in self._state.peers_of(self.on_network(topic)):
                self.policy.remember(topic, public_key, relays)

    def _remember(self, state: State, event: Event) -> None:
        match event:
            case ConnectionOpened(public_key=key) | PeerFound(public_key=key):
                if self.policy.connection(key) is not None:
                    relays = self._dht.node.signaller.cached_relays(key)
                    peer = self.policy.peers[key]
                    topics = [self.on_network(topic) for topic in peer.topics]
                    state.met(topics, key, relays or peer.relay_addresses)
            case DialFailed(public_key=key, will_retry=False, error=error):
                if error.reason is Reason.PEER_NOT_FOUND and self._dht.online:
                    state.lost(key)
            case _:
                pass

    # -- the own key -------------------------------------------------------------------------------------------------

    def listen(self, then: Callable[[], None]) -> None:
        """Accept connections, and call back once the own key is announced, at once if it is; or when `stop_listening`
        comes first."""
        if self._announced:
            then()
            return
        self._when_announced.append(then)
        if self._listening is None:
            self._listening = self._dht.listening(
                self._key_pair,
                self._on_accepted,
                self.policy.admit,
                self._on_announced,
                membership=self._membership,
                on_outsider=self._on_outsider,
            )

    def stay_listening(self, then: Callable[[bool], None]) -> None:
        """As `listen`, until the end and whatever topics there are. False: the swarm is suspended."""
        self._stays = True
        if self.policy.suspended:
            then(False)
        else:
            self.listen(lambda: then(self._announced))

    def resume(self) -> None:
        if self._stays:
            self.listen(lambda: None)

    def _on_announced(self) -> None:
        self._announced = True
        self._tell_announced()

    def _tell_announced(self) -> None:
        waiting, self._when_announced = self._when_announced, []
        for then in waiting:
            then()

    def stop_listening(self, on_end: Callable[[], None]) -> None:
        listening, self._listening = self._listening, None
        self._announced = False
        self._tell_announced()
        if listening is None:
            on_end()
        else:
            listening.stop(on_end)

    # -- topics ------------------------------------------------------------------------------------------------------

    def on_network(self, topic: Topic) -> Topic:
        """What the DHT is asked for; not the topic itself where there is a secret."""
        return self._membership.on_network(topic)

    def lookup(
        self,
        topic: Topic,
        nodes: Sequence[Address],
        withdraw: bool,
        on_found: OnFound,
        on_end: Callable[[bool], None],
    ) -> TopicSearch:
        target = self.on_network(topic)
        operations = self._dht.node.operations
        query: Query | Announcement
        if withdraw:
            query = operations.unannounce(target, self._key_pair, _ended(on_end), on_found=_each(on_found), nodes=nodes)
        else:
            query = operations.lookup(target, _each(on_found), lambda query: on_end(query.successes > 0), nodes=nodes)
        return TopicSearch(query)

    def announce(
        self,
        topic: Topic,
        nodes: Sequence[Address],
        clear: bool,
        on_found: OnFound,
        on_end: Callable[[bool], None],
    ) -> TopicSearch:
        # who is there is looked up while the own key is still being announced
        announcement = self._dht.node.operations.announce(
            self.on_network(topic),
            self._key_pair,
            None,
            lambda stored: on_end(bool(stored.nodes)),
            on_found=_each(on_found),
            clear=clear,
            nodes=nodes,
        )
        search = TopicSearch(announcement)

        def publish() -> None:
            if not search.cancelled and self._listening is not None:
                announcement.publish(self._listening.relay_addresses)

        self.listen(publish)
        return search

    def unannounce(self, topic: Topic, nodes: Sequence[Address], on_end: Callable[[], None]) -> None:
        target = self.on_network(topic)
        self._dht.node.operations.unannounce(target, self._key_pair, lambda stored: on_end(), nodes=nodes)


def _each(on_found: OnFound) -> Callable[[PeersFound], None]:
    def on_reply(found: PeersFound) -> None:
        for peer in found.peers:
            on_found(peer.public_key, peer.relay_addresses)

    return on_reply


def _ended(on_end: Callable[[bool], None]) -> Callable[[Stored], None]:
    return lambda stored: on_end(stored.replies > 0)
