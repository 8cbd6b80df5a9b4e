"""The HyperDHT as applications see it: one node as a block, what it asks, and connections by public key.

A thin shell. It decides nothing: what is asked and answered on the wire is in the cores.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from holepunch.keys import KeyPair, PublicKey
from holepunch.relay.choice import RelayChoice, RelayPolicy
from swarm.dht.asking import AskingBlock
from swarm.dht.listener import Listener, Listening, decide

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from holepunch.relay.server import Limits
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
        `BootstrapError`, and ``ValueError`` for what is no public key, or the own one. Cancelled: the dial is given up.
        """
        relaying = self.relaying.but(relay_through, relay_policy)
        public_key = PublicKey.parse(key)
        pair = key_pair or self.default_key_pair
        if public_key == pair.public_key:
            raise ValueError("a DHT node does not connect to its own public key")
        await self.bootstrapped()
        return await self._waiters.ask(lambda done, fail: self.dial(pair, public_key, (), done, fail, relaying).cancel)

    async def relay(self, key_pair: KeyPair | None = None, *, limits: Limits | None = None) -> Relay:
        """Be a blind relay under a key, the node's own by default, which others give as ``relay_through``.

        Returns after the first announcement.

        This node should be reachable by everyone. Raises ``ValueError`` for a key that is listened for already, and
        `BootstrapError`. Cancelled: it is no relay.
        """
        from swarm.dht.relay import Relay  # few nodes are relays: not imported by the others

        await self.bootstrapped()
        pair = key_pair or self.default_key_pair
        relay = Relay(
            pair.public_key, self._endpoint, self._nursery, limits, lambda: self._listeners.pop(pair.public_key, None)
        )

        def begin(done: Callable[[None], None], _: object) -> None:
            relay.listening = self.listening(
                pair, relay.arrived, None, lambda: done(None), RelayChoice(policy="forbid")
            )
            self._listeners[pair.public_key] = relay

        try:
            await self._waiters.ask(begin)
        except BaseException:
            relay.close()
            raise
        return relay

    async def listen(
        self,
        key_pair: KeyPair | None = None,
        *,
        allow: Callable[..., bool | Awaitable[bool]] | None = None,
        relay_through: bytes | str | Iterable[bytes | str] | None = None,
        relay_policy: RelayPolicy | None = None,
    ) -> Listener:
        """Accept connections to a key: the node's own by default. Returns after the first announcement.

        ``allow(public_key)``, which may be async, is asked about each peer; refused ones hear nothing. The relay
        arguments replace those of the node. Raises ``ValueError`` for a key that is listened for already, and
        `BootstrapError`. Cancelled: nothing is accepted.
        """
        relaying = self.relaying.but(relay_through, relay_policy)
        await self.bootstrapped()
        pair = key_pair or self.default_key_pair
        listener = Listener(pair.public_key, lambda: self._listeners.pop(pair.public_key, None))
        admit: Admit | None = None
        if allow is not None:
            ask = decide(allow, self._nursery)
            admit = lambda key, answer, topics: ask(lambda allowed: answer(bool(allowed)), key, ())  # noqa: E731

        def begin(done: Callable[[None], None], _: object) -> None:
            listener.listening = self.listening(pair, listener.arrived, admit, lambda: done(None), relaying)
            self._listeners[pair.public_key] = listener

        try:
            await self._waiters.ask(begin)
        except BaseException:
            listener.close()
            raise
        return listener

    def listening(
        self,
        key_pair: KeyPair,
        on_open: Callable[[Connection], None],
        admit: Admit | None,
        on_announced: Callable[[], None],
        relaying: RelayChoice | None = None,
        membership: Membership | None = None,
        on_outsider: OnOutsider = lambda key, why: None,
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
