"""One node of the HyperDHT without its sockets: routing, storing, relaying, announcing and the client's operations.

Puts the parts together and owns the keys that are listened for; the parts do the work. Pure: sends through `Sockets`,
is told the time by `Schedule`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from holepunch.address import Address
from holepunch.keys import hash32
from swarm.hyperdht.announcer import Announcer
from swarm.hyperdht.commands import StorageCommands
from swarm.hyperdht.operations import Operations
from swarm.hyperdht.router import Router, Server
from swarm.hyperdht.signaller import DhtSignaller
from swarm.hyperdht.storage import Storage
from swarm.kademlia.node import Node

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from holepunch.compact import Buffer
    from holepunch.core import Entry, Random, Role, Schedule, Sockets
    from holepunch.keys import KeyPair
    from holepunch.signaller import Receptionist

__all__ = ["HyperNode"]

STRAY_NODES = frozenset(
    {Address("134.209.28.98", 49738), Address("167.99.142.185", 49738), Address("35.233.47.252", 9400)}
)
STRAY_HOST = "150.136.142.116"
"""Nodes of a test network that got mixed into the public one. Node: hyperdht index.js (``filterNode``)."""


def _is_no_stray(address: Address) -> bool:
    return address not in STRAY_NODES and address.host != STRAY_HOST


class HyperNode:
    """Its driver calls `receive` with what is neither UDX nor of one byte, and advances the schedule. Use the parts
    directly: ``node`` (address, reachability, events, pings), ``operations`` (the client), ``signaller`` (dialling),
    ``plugins`` (own extensions)."""

    def __init__(
        self,
        sockets: Sockets,
        schedule: Schedule,
        rng: Random,
        *,
        unix_time: Callable[[], float],
        local_addresses: Callable[[], Sequence[Address]],
        proven_local_addresses: Callable[[], Sequence[Address]] | None = None,
        bootstrap: Sequence[Address] = (),
        nodes: Sequence[Address] = (),
        server_port: int = 0,
        ephemeral: bool | None = None,
        firewalled: bool = True,
        quick_firewall: bool = True,
        public: Address | None = None,
    ) -> None:
        """``unix_time``: seconds since 1970. Local addresses: see `Signaller`; all are proven unless told otherwise.
        For the rest see `Node`."""
        self.node = Node(
            sockets,
            schedule,
            rng,
            bootstrap=bootstrap,
            nodes=nodes,
            server_port=server_port,
            ephemeral=ephemeral,
            firewalled=firewalled,
            quick_firewall=quick_firewall,
            public=public,
            node_filter=_is_no_stray,
        )
        self.storage = Storage(schedule, rng, unix_time)
        self.router = Router(schedule, self.node.commands, self.storage.forwards)
        commands = StorageCommands(self.node, self.storage, self.router.own_record)
        self.plugins = commands.plugins
        self.signaller = DhtSignaller(
            self.node, self.storage.forwards, local_addresses, proven_local_addresses or local_addresses
        )
        self.operations = Operations(self.node, self.storage)
        self._announcers: dict[bytes, Announcer] = {}
        self._leaving: dict[bytes, Announcer] = {}
        self._when_suspended: list[Callable[[], None]] = []
        """Who waits for the suspension under way."""
        self._suspending: Entry | None = None

    def start(self) -> None:
        """See `Node.start`."""
        self.node.start()

    def receive(self, role: Role, data: Buffer, source: Address) -> bool:
        """A datagram that is neither UDX nor of one byte. Never raises. False: it is of another protocol."""
        return self.node.receive(role, data, source)

    # listening

    def listen(
        self, key_pair: KeyPair, receptionist: Receptionist, on_announced: Callable[[], None] | None = None
    ) -> Announcer:
        """Hand messages for this key to ``receptionist``, and announce the key until `stop_listening`.

        ``on_announced`` is called when the first announcement was made, or found nobody: while suspended, after
        `resume`. Raises ``ValueError`` for a key that is listened for already.
        """
        target = hash32(key_pair.public_key)
        announcer = Announcer(self.node, key_pair, receptionist.on_relays, on_announced)
        self.router.serve(target, Server(receptionist, announcer.record))
        if target in self._leaving:
            self._leaving[target].close()  # or it would take back what is announced now
        self._announcers[target] = announcer
        if not (self.node.suspended or self._when_suspended):
            announcer.start()
        return announcer

    def stop_listening(self, public_key: bytes, on_end: Callable[[], None]) -> None:
        """No message reaches the receptionist any more. ``on_end``: the announcements were taken back, or a second
        went by. ``KeyError`` for a key that is not listened for."""
        target = hash32(public_key)
        announcer = self._announcers.pop(target)
        self.router.stop_serving(target)

        def left() -> None:
            del self._leaving[target]
            on_end()

        self._leaving[target] = announcer
        announcer.stop(left)

    # life

    def suspend(self, on_end: Callable[[], None]) -> None:
        """Drop the handshakes that came in and take back the announcements, then be silent. ``on_end``: the sockets may
        be closed."""
        self._when_suspended.append(on_end)
        if len(self._when_suspended) > 1:
            return  # under way
        self.router.suspend()
        running = [announcer for announcer in self._announcers.values() if announcer.running]
        waiting = len(running) + 1

        def ended() -> None:
            nonlocal waiting
            waiting -= 1
            if waiting == 0:
                self.end_suspending()

        for announcer in running:
            announcer.stop(ended)
        self._suspending = self.node.schedule.after(0, ended)

    def end_suspending(self) -> None:
        """Be silent now, if a suspension is under way. What was not taken back yet expires."""
        waiting, self._when_suspended = self._when_suspended, []
        if self._suspending is not None:
            self._suspending.cancel()
            self._suspending = None
        if waiting:
            for announcer in self._announcers.values():
                announcer.close()
            self.node.suspend()
        for on_end in waiting:
            on_end()

    def resume(self) -> None:
        """The sockets are bound again. Ends a suspension under way, too."""
        self.end_suspending()
        self.node.resume()
        self.router.resume()
        for announcer in self._announcers.values():
            if not announcer.running:
                announcer.start()

    def close(self) -> None:
        """Stop at once and for good. Only who waits for announcements to be taken back, or for the end of a suspension,
        is still called: now."""
        self.end_suspending()
        for announcer in (*self._announcers.values(), *self._leaving.values()):
            announcer.close()
        self._announcers.clear()
        self.node.close()
        self.storage.close()
