"""Asks the STUN servers about a node's main socket again and again. Judges nothing: `swarm.nat.Witnesses` does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Callable

    from holepunch.address import Address
    from holepunch.core import Role
    from holepunch.nat.stun import Stun, StunServer
    from swarm.nat import Witnesses

__all__ = ["StunRounds"]

ROUND = 300.0
"""Seconds between two rounds of asking the STUN servers when nothing happens."""
ROUND_PAUSE = 10.0
"""Seconds between two rounds when the own address, or the network, seems to have changed."""


class StunRounds:
    """Asks every STUN server about the main socket: at the start, every five minutes, and after a change."""

    def __init__(self, stun: Stun, witnesses: Witnesses, main_role: Callable[[], Role]) -> None:
        self._stun = stun
        self._witnesses = witnesses
        self._main_role = main_role
        self._changed = trio.Event()

    def changed(self) -> None:
        """The own address may be another one now."""
        self._changed.set()

    async def run(self) -> None:
        while True:
            async with trio.open_nursery() as nursery:
                for server in self._stun.servers:
                    nursery.start_soon(self.ask, server)
            await trio.sleep(ROUND_PAUSE)
            with trio.move_on_after(ROUND - ROUND_PAUSE):
                await self._changed.wait()
            self._changed = trio.Event()

    async def ask(self, server: StunServer) -> Address | None:
        """Where this server sees the main socket now; None when it does not say."""
        pong = await self._stun.ask(server, self._main_role())
        if pong is None:
            self._witnesses.silent(str(server))
            return None
        self._witnesses.stun(str(server), pong.source, pong.to, pong.role)
        return pong.to
