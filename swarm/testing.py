"""A DHT on one machine, for tests: of real nodes over real sockets on loopback, or over a virtual network."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Self

import trio

from holepunch.arguments import check_integer
from holepunch.nursery import hidden_nursery
from holepunch.udp.system import SystemNetwork
from swarm.dht.dht import DHT

if TYPE_CHECKING:
    from types import TracebackType

    from holepunch.testing import VirtualNetwork
    from holepunch.udp import Network

__all__ = ["Testnet"]


class Testnet:
    """``async with Testnet(3) as net: Swarm(bootstrap=net.bootstrap, host="127.0.0.1")``

    Every node stores and relays from the start, the first one too. All end with the block. Over a virtual network, with
    NATs and bad links, it is ``Testnet(5, internet=network)``: each node is on a public host of its own there, so that
    peers can judge their NATs.
    """

    __test__ = False  # not a test case, whatever its name

    def __init__(
        self,
        nodes: int = 3,
        *,
        host: str = "127.0.0.1",
        network: Network | None = None,
        internet: VirtualNetwork | None = None,
    ) -> None:
        """``host`` and ``network``: where all nodes are, unless each gets a host on ``internet``."""
        self._count = check_integer(nodes, "nodes", 1)
        self._host = host
        self._network = network or SystemNetwork()  # one for all: they share its receive buffers
        self._internet = internet
        self._stack = AsyncExitStack()
        self.nodes: list[DHT] = []
        self._entrance: str | None = None

    @property
    def bootstrap(self) -> list[str]:
        """What to give to `Swarm` and `DHT`, and to Node's peers. Raises ``RuntimeError`` before the block."""
        if self._entrance is None:
            raise RuntimeError("a Testnet has an address inside its block: `async with Testnet(3) as net:`")
        return [self._entrance]

    async def __aenter__(self) -> Self:
        if self._entrance is not None:
            raise RuntimeError("a Testnet is entered once; make a new one")
        async with AsyncExitStack() as stack:
            nursery = await stack.enter_async_context(hidden_nursery())
            host, network = self._place()
            first = DHT(bootstrap=(), host=host, network=network, public_host=host)
            self.nodes.append(await nursery.start(self._run, first))
            self._entrance = str(first.local_address)
            for _ in range(self._count - 1):
                host, network = self._place()
                node = DHT(bootstrap=self.bootstrap, host=host, network=network, ephemeral=False, firewalled=False)
                self.nodes.append(await nursery.start(self._run, node))
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._stack.__aexit__(kind, error, trace)

    def _place(self) -> tuple[str, Network]:
        if self._internet is None:
            return self._host, self._network
        machine = self._internet.host()
        return machine.addresses[0], machine

    async def _run(self, node: DHT, task_status: trio.TaskStatus[DHT]) -> None:
        # in a task of its own: hundreds of nested blocks are deeper than the interpreter's stack
        async with node:
            await node.bootstrapped()
            task_status.started(node)
            await trio.sleep_forever()
