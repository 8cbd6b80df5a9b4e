"""What `Swarm.join` gives: one holder's interest in a topic. The policy's `Session` with awaiting around it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self, final

if TYPE_CHECKING:
    from types import TracebackType

    from swarm.policy.session import Session
    from swarm.swarm import Swarm
    from swarm.topic import Topic

__all__ = ["Discovery"]


@final
class Discovery:
    """A joined topic. As an async context manager it is left at the end of the block. Made by `Swarm.join` only."""

    def __init__(self, swarm: Swarm, session: Session) -> None:
        self._swarm = swarm
        self._session = session

    @property
    def topic(self) -> Topic:
        return self._session.topic

    @property
    def server(self) -> bool:
        """Whether it asks for the topic to be announced."""
        return self._session.server

    @property
    def client(self) -> bool:
        """Whether it asks for the topic to be looked up, and its peers dialled."""
        return self._session.client

    async def flushed(self) -> bool:
        """Return once the topic is announced (server) and was looked up (client): True. False when the DHT could not be
        asked, which is tried again by itself, or the topic was left before.

        It says nothing about connections. Raises `BootstrapError` when no bootstrap node answers, or there is no other
        node at all. Cancelled: it goes on, nobody is told.
        """
        return await self._swarm._flushed(self._session.flushed)

    async def refresh(
        self, *, server: bool | None = None, client: bool | None = None, limit: int | None = None
    ) -> bool:
        """Announce and look up again now, with other modes where given, and wait as `flushed` does.

        ``limit``: at most so many peers of the topic are dialled because of one search. Raises ``ValueError`` when
        neither mode is left, ``RuntimeError`` after `leave`, and `BootstrapError`. Cancelled: it goes on, nobody is
        told.
        """
        self._swarm._turn()
        if server:
            self._swarm._check_own_key()
        self._session.refresh(server=server, client=client, limit=limit)
        return await self.flushed()

    async def leave(self) -> None:
        """Leave the topic, unless somebody else holds it: unannounced when this returns. Connections stay open.

        Leaving again does nothing. Cancelled: it goes on, nobody is told.
        """
        await self._swarm._waiters.end(self._session.leave)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._session.ended:
            await self.leave()

    def __repr__(self) -> str:
        return f"<Discovery {self.topic.short} server={self.server} client={self.client}>"
