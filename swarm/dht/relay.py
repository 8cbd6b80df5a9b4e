"""A blind relay on a DHT node: the shell around `holepunch.relay.server`. What `DHT.relay` gives.

It forwards packets between peers that both connect to its key, and can read none of them.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import trio

from holepunch.relay.frame_pump import FramePump
from holepunch.relay.server import Limits, RelayServer, RelayStats

if TYPE_CHECKING:
    from collections.abc import Callable

    from holepunch.endpoint import Endpoint
    from holepunch.keys import PublicKey
    from holepunch.nursery import Background
    from holepunch.relay.server import RelaySession
    from swarm.connection import Connection
    from swarm.dht.listener import Listening

__all__ = ["Relay"]

logger = logging.getLogger(__name__)

FAREWELL = 1.0
"""Seconds at the end for telling the clients."""


class Relay:
    """A relay at work, until `aclose` or the end of its DHT's block. Peers use it by its ``public_key``."""

    def __init__(
        self,
        public_key: PublicKey,
        endpoint: Endpoint,
        nursery: Background,
        limits: Limits | None,
        on_closed: Callable[[], object],
    ) -> None:
        self.public_key = public_key
        self.listening: Listening | None = None
        self._nursery = nursery
        self._endpoint = endpoint
        self._server = RelayServer(endpoint.streams, endpoint.schedule, limits)
        self._pumps: set[FramePump] = set()
        self._emptied = trio.Event()
        self._closed = False
        self._on_closed = on_closed

    def stats(self) -> RelayStats:
        """What it has done so far, and what is open now."""
        return self._server.stats()

    def arrived(self, connection: Connection) -> None:
        """A client has connected."""
        pump = FramePump(connection)
        key = connection.remote_public_key
        session = None if self._closed else self._server.accept(pump.mux, key, lambda: connection.route)
        if session is None:
            logger.info("relay: refused %s: one client, or one connection of it, too many", key)
            connection.destroy()
            return
        self._pumps.add(pump)
        self._nursery.start_soon(self._serve, session, pump)

    async def _serve(self, session: RelaySession, pump: FramePump) -> None:
        lost = True
        try:
            lost = not await pump.run(on_end=lambda in_order: self._server.end(session, lost=not in_order))
        finally:
            self._pumps.discard(pump)
            if not self._pumps:
                self._emptied.set()
            logger.debug("relay: a client left%s", ", lost" if lost else "")

    async def aclose(self) -> None:
        """Tell everybody who still goes through this relay, and stop, within a second. Closing again does nothing.

        Cancelled: it has stopped, and goes on telling.
        """
        stopped = trio.Event()
        self._stop(stopped.set)
        with trio.move_on_after(FAREWELL):
            await stopped.wait()
            if self._pumps:
                await self._emptied.wait()

    def close(self) -> None:
        """Accept nothing more, at once; the rest is done in the background."""
        self._stop(lambda: None)

    def _stop(self, on_stopped: Callable[[], None]) -> None:
        listening, self.listening = self.listening, None
        if listening is None:
            on_stopped()
            return
        self._closed = True
        self._endpoint.now()
        self._server.close()
        for pump in self._pumps:
            pump.end()
        self._on_closed()
        listening.stop(on_stopped)
