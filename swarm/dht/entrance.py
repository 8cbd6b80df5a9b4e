"""How a node gets into its network: through its bootstrap nodes, or nodes of an earlier run. Tells who waits for it.

A trio shell around `swarm.kademlia.bootstrap`, which decides whom to ask.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import trio

from holepunch.arguments import check_texts
from swarm.errors import BootstrapError
from swarm.kademlia.bootstrap import BootstrapHost, Resolver, retry_pauses
from swarm.kademlia.events import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from holepunch.endpoint import Endpoint
    from holepunch.nursery import Background
    from holepunch.signaller import Cancel
    from swarm.awaiting import Waiters
    from swarm.dht.surroundings import Surroundings
    from swarm.kademlia.node import Node

__all__ = ["Entrance"]

logger = logging.getLogger(__name__)


class Entrance:
    """Works from `start` until the endpoint's block is left."""

    def __init__(
        self, endpoint: Endpoint, bootstrap: Iterable[str], waiters: Waiters, surroundings: Surroundings
    ) -> None:
        """Raises ``ValueError`` and ``TypeError`` for what is no list of bootstrap nodes."""
        self._entries = tuple(check_texts(bootstrap, "bootstrap", "node.example.org:49737"))
        self._hosts = tuple(map(BootstrapHost.parse, self._entries))
        self._endpoint = endpoint
        self._waiters = waiters
        self._surroundings = surroundings
        self._reached = trio.Event()
        self._changed = trio.Event()
        """The network may be another one than at the last try."""
        self._failed = False
        """The first try ended, and nobody had answered."""
        self._node: Node
        self._nursery: Background
        self._resolver: Resolver

    def start(self, node: Node, nursery: Background) -> None:
        """Before `Node.start`, which begins to ask."""
        self._node = node
        self._nursery = nursery
        self._resolver = Resolver(node, self._hosts, self._look_up_host)
        if self._hosts:
            node.resolve = self._resolver
        node.subscribe(self._on_event)

    @property
    def reached(self) -> bool:
        """Whether a node answered, ever, or none is needed."""
        return self._reached.is_set()

    async def wait(self) -> None:
        """Return once the node is part of the network. Raises `BootstrapError` once the first try has failed."""
        self._waiters.check()
        await trio.lowlevel.checkpoint()
        if not self.reached and not self._failed:
            await self._waiters.ask(self._when_decided)
        if not self.reached:
            raise self._error()

    def check_company(self) -> None:
        """Raise `BootstrapError` when no other node was ever heard."""
        if not self._node.rpc.responses:
            raise self._error()

    def _when_decided(self, done: Callable[[None], None], _: Callable[[BaseException], None]) -> Cancel:
        return self._node.subscribe(lambda event: done(None) if event is Event.BOOTSTRAPPED else None)

    def _on_event(self, event: Event) -> None:
        if event in (Event.NETWORK_CHANGE, Event.WAKE_UP):
            self._changed.set()
        if event is not Event.BOOTSTRAPPED:
            return
        if self._has_answer():
            self._reached.set()
        else:
            self._failed = True
            logger.warning("%s", self._error())
            self._nursery.start_soon(self._keep_trying)

    def _has_answer(self) -> bool:
        return not self._hosts or self._node.rpc.responses > 0

    def _error(self) -> BootstrapError:
        """The entries as they were given, what they led to, and the nodes of an earlier run that were asked, too."""
        asked = (*self._resolver.asked, *self._node.bootstrapping.asked)
        return BootstrapError(
            tuple(dict.fromkeys((*self._entries, *map(str, asked)))),
            self._surroundings.local_addresses(),
            [self._entries[index] for index in self._resolver.unresolved],
        )

    async def _keep_trying(self) -> None:
        pauses = retry_pauses(self._node.rng)
        while not self._has_answer():
            self._changed = trio.Event()
            with trio.move_on_after(next(pauses)) as pause:
                await self._changed.wait()
            if not pause.cancelled_caught:
                pauses = retry_pauses(self._node.rng)
            self._endpoint.now()
            self._node.refresh()
        self._reached.set()
        logger.info("a bootstrap node answered")

    def _look_up_host(self, host: str, done: Callable[[Sequence[str]], None]) -> None:
        async def resolve() -> None:
            try:
                found = await self._endpoint.network.resolve(host)
            except OSError as error:
                logger.info("bootstrap host %s does not resolve: %s", host, error)
                found = []
            self._endpoint.now()
            done(found)

        self._nursery.start_soon(resolve)
