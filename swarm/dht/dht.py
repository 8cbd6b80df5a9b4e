"""The HyperDHT as applications see it: one node as a block, what it asks, and connections by public key.

A thin shell. It decides nothing: what is asked and answered on the wire is in the cores.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from holepunch.keys import KeyPair, PublicKey, check_key_pair, hash32
from holepunch.relay.choice import RelayChoice, RelayPolicy
from swarm.dht.asking import AskingBlock
from swarm.dht.listener import Listener, Listening, decide, takes_topics

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from holepunch.relay.server import Limits
    from holepunch.signaller import Cancel
    from swarm.connection import Connection
    from swarm.dht.listener import Admit, OnOutsider
    from swarm.dht.relay import Relay
    from swarm.membership import Membership

__all__ = ["DHT"]


class DHT(AskingBlock):
    """One node of the HyperDHT, and what a client asks of it.

    Use it as ``async with DHT() as dht``: nothing is sent before, and every task and socket ends with the block. Later
    use raises ``trio.ClosedResourceError``. Keys are given as 32 bytes, 64 hex digits or 52 z-base-32 characters.
    """

    async def connect(
        self,
        key: bytes | str,
        *,
        key_pair: KeyPair | None = None,
        relay_through: bytes | str | Iterable[bytes | str] | None = None,
        relay_policy: RelayPolicy | None = None,
    ) -> Connection:
        """Dial one peer. Each call makes a connection of its own; `Swarm.connect` shares the one there is.

        The relay arguments replace those of the node. Raises `ConnectError`, which says what was tried,
        `BootstrapError`, and ``ValueError`` for what is no public key, or the own one. Cancelled: the dial is given up,
        and its connection with it.
        """
        relaying = self.relaying.but(relay_through, relay_policy)
        public_key = PublicKey.parse(key)
        pair = self._pair(key_pair)
        if public_key == pair.public_key:
            raise ValueError("a DHT node does not connect to its own public key")
        await self.bootstrapped()
        return await self._waiters.ask(lambda done, fail: self.dial(pair, public_key, (), done, fail, relaying).revoke)

    async def relay(self, key_pair: KeyPair | None = None, *, limits: Limits | None = None) -> Relay:
        """Be a blind relay under a key, the node's own by default, which others give as ``relay_through``.

        Returns after the first announcement; if suspended, after `resume`. Cancelled: it is closed.

        This node should be reachable by everyone. Raises ``ValueError`` for a key that is listened for already, and
        `BootstrapError`. Cancelled: it is no relay.
        """
        from swarm.dht.relay import Relay  # few nodes are relays: not imported by the others

        pair = self._pair(key_pair)
        await self.bootstrapped()
        self._check_free(pair.public_key)
        relay = Relay(
            pair.public_key, self._endpoint, self._nursery, limits, lambda: self._listeners.pop(pair.public_key, None)
        )

        without = RelayChoice(policy="forbid")
        await self._announced(relay, lambda done: self.listening(pair, relay.arrived, None, done, without))
        return relay

    async def listen(
        self,
        key_pair: KeyPair | None = None,
        *,
        allow: Callable[..., bool | Awaitable[bool]] | None = None,
        relay_through: bytes | str | Iterable[bytes | str] | None = None,
        relay_policy: RelayPolicy | None = None,
    ) -> Listener:
        """Accept connections to a key: the node's own by default. Returns after the first announcement; if suspended,
        after `resume`. Cancelled: the listener is closed.

        ``allow(public_key)``, which may be async, is asked about each peer; refused ones hear nothing. The relay
        arguments replace those of the node. Raises ``ValueError`` for a key that is listened for already, and
        `BootstrapError`. Cancelled: nothing is accepted.
        """
        relaying = self.relaying.but(relay_through, relay_policy)
        pair = self._pair(key_pair)
        if allow is not None:
            takes_topics(allow)  # before anything is sent
        await self.bootstrapped()
        self._check_free(pair.public_key)
        forget = partial(self._listeners.pop, pair.public_key, None)
        listener = Listener(pair.public_key, forget, self._waiters.check)
        admit: Admit | None = None
        if allow is not None:
            ask = decide(allow, self._nursery, self.turn)
            admit = lambda key, answer, topics: ask(lambda allowed: answer(bool(allowed)), key, ())  # noqa: E731

        await self._announced(listener, lambda done: self.listening(pair, listener.arrived, admit, done, relaying))
        return listener

    def has_listener(self, public_key: bytes) -> bool:
        """Whether `listen` or `relay` accepts connections to this key."""
        return public_key in self._listeners

    def _check_free(self, public_key: PublicKey) -> None:
        if self.has_listener(public_key):
            raise ValueError(f"{public_key} is listened for already on this node")
        if self._hyper.router.own_record(hash32(public_key)) is not None:
            raise ValueError(
                f"{public_key} is the key of a swarm, which accepts the connections to it: iterate over the swarm; "
                "Swarm.listen() makes it do so without a topic"
            )

    def _pair(self, key_pair: KeyPair | None) -> KeyPair:
        return self.default_key_pair if key_pair is None else check_key_pair(key_pair)

    async def _announced(self, listener: Listener | Relay, listen: Callable[[Callable[[], None]], Listening]) -> None:
        """Have it listen, and wait for its first announcement. Cancelled: it is closed."""

        def begin(done: Callable[[None], None], _: object) -> Cancel:
            listener.listening = listen(partial(done, None))
            self._listeners[listener.public_key] = listener
            return listener.close

        await self._waiters.ask(begin)

    def listening(
        self,
        key_pair: KeyPair,
        on_open: Callable[[Connection], None],
        admit: Admit | None,
        on_announced: Callable[[], None],
        relaying: RelayChoice | None = None,
        membership: Membership | None = None,
        on_outsider: OnOutsider = lambda key, why, now: None,
    ) -> Listening:
        """`listen` for callers that do not wait."""
        relaying = self.relaying if relaying is None else relaying
        return Listening(
            self._endpoint,
            self._environment,
            self._hyper,
            key_pair,
            on_open,
            admit,
            on_announced,
            relaying,
            membership,
            on_outsider,
        )
