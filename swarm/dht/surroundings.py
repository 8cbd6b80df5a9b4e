"""What a node finds out about its own place in the network: its interfaces, and what STUN servers and nodes see of it.

The shell around `LocalHosts`, `Stun` and `swarm.witnesses`: asks in the background, delays nothing, and judges nothing.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import trio

from holepunch.address import Address
from holepunch.arguments import check_texts
from holepunch.udp.localhosts import LocalHosts
from swarm.kademlia.events import Event

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from holepunch.endpoint import Endpoint
    from holepunch.nat.stun import Stun, StunServer
    from holepunch.nursery import Background
    from holepunch.punch.environment import AskWitness
    from swarm.kademlia.node import Node
    from swarm.nat import Nat

__all__ = ["Surroundings", "parse_servers"]

ROUND = 300.0
"""Seconds between two rounds of asking the STUN servers when nothing happens."""
ROUND_PAUSE = 10.0
"""Seconds between two rounds when the own address, or the network, seems to have changed."""
CHANGES = (Event.NAT_UPDATE, Event.NETWORK_CHANGE, Event.WAKE_UP, Event.PERSISTENT)


def parse_servers(texts: Iterable[str]) -> tuple[StunServer, ...]:
    """``"host:port"`` strings. Raises ``ValueError`` that shows what is wrong, and what a right one looks like."""
    given = check_texts(texts, "stun_servers", "stun.example.org:3478")
    if not given:
        return ()
    from holepunch.nat.stun import MAX_SERVERS, StunServer  # few networks need a server: not imported by the others

    servers = tuple(dict.fromkeys(map(StunServer.parse, given)))
    if len(servers) > MAX_SERVERS:
        raise ValueError(f"at most {MAX_SERVERS} STUN servers, got {len(servers)}: four witnesses are enough")
    return servers


class Surroundings:
    """Works from `start` until the endpoint's block is left."""

    def __init__(self, endpoint: Endpoint, servers: Sequence[StunServer]) -> None:
        self._endpoint = endpoint
        self._hosts = LocalHosts(endpoint.network, endpoint.host)
        self._servers = servers
        self._changed = trio.Event()
        self._node: Node

    def start(self, node: Node, nursery: Background) -> None:
        self._node = node
        self._hosts.start(nursery)
        if self._servers:
            node.subscribe(self._on_event)
            nursery.start_soon(self._ask_in_rounds)

    # the own interfaces

    def local_addresses(self) -> list[Address]:
        """Of the server socket."""
        return [Address(host, self._node.server_port) for host in self._hosts.all()]

    def proven_local_addresses(self) -> list[Address]:
        """Those that deliver to this host itself, as far as is known by now."""
        return [Address(host, self._node.server_port) for host in self._hosts.proven()]

    # what others see

    @cached_property
    def _stun(self) -> Stun:
        from holepunch.nat.stun import Stun

        stun = Stun(self._servers, self._endpoint.network, self._endpoint.sockets)
        self._endpoint.on_stun = stun.receive
        return stun

    def nat(self) -> Nat:
        node = self._node
        return node.reachability.witnesses.nat(
            node.main_role,
            firewalled=node.firewalled,
            remote=node.remote_address(),
            local=self.local_addresses(),
        )

    def stun_witnesses(self, nursery: Background) -> Sequence[AskWitness]:
        """The STUN servers as witnesses for any socket, asked in ``nursery``."""
        return self._stun.witnesses(nursery, self._endpoint.now) if self._servers else ()

    async def ask_stun(self, server: StunServer) -> Address | None:
        """Where a server sees the main socket now; None when it does not say within 4 s."""
        witnesses = self._node.reachability.witnesses
        pong = await self._stun.ask(server, self._node.main_role)
        if pong is None:
            witnesses.silent(str(server))
            return None
        witnesses.stun(str(server), pong.source, pong.to, pong.role)
        return pong.to

    async def _ask_in_rounds(self) -> None:
        while True:
            async with trio.open_nursery() as nursery:
                for server in self._servers:
                    nursery.start_soon(self.ask_stun, server)
            await trio.sleep(ROUND_PAUSE)
            with trio.move_on_after(ROUND - ROUND_PAUSE):
                await self._changed.wait()
            self._changed = trio.Event()

    def _on_event(self, event: Event) -> None:
        if event in CHANGES:
            self._changed.set()
