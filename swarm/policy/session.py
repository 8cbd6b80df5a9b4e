"""One holder's interest in a topic. The topic is announced, looked up, or both as long as any session wants it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holepunch.arguments import check_integer

if TYPE_CHECKING:
    from collections.abc import Callable

    from swarm.policy.rendezvous import Rendezvous
    from swarm.topic import Topic

__all__ = ["Session"]


class Session:
    """What `Policy.join` gives. Callables are called exactly once, after the method that took them has returned."""

    __slots__ = ("_leave_topic", "_rendezvous", "client", "ended", "server")

    def __init__(self, rendezvous: Rendezvous, leave_topic: Callable[[Topic, Callable[[], None]], None]) -> None:
        self._rendezvous = rendezvous
        self._leave_topic = leave_topic
        self.server = False
        self.client = False
        self.ended = False

    @property
    def topic(self) -> Topic:
        return self._rendezvous.topic

    def refresh(self, *, server: bool | None = None, client: bool | None = None, limit: int | None = None) -> None:
        """Announce and look up now; modes that are not given stay as they are.

        ``limit`` belongs to the topic, the last one given counts, and none lifts it: at most so many peers of the
        topic are dialled or connected because of one search. Raises ``ValueError`` when neither mode is left or the
        limit is not positive, ``RuntimeError`` after the session was left.
        """
        server = self.server if server is None else server
        client = self.client if client is None else client
        if self.ended:
            raise RuntimeError(f"topic {self.topic.short} was left; join it again")
        if not (server or client):
            raise ValueError("a topic is joined as server, as client, or both; neither was asked for")
        if limit is not None:
            check_integer(limit, "limit", 1)
        self.server = server
        self.client = client
        self._rendezvous.limit = limit
        self._rendezvous.refresh()

    def flushed(self, on_done: Callable[[bool], None]) -> None:
        """True once the topic is announced (server) and was looked up (client); False when that failed or ended."""
        self._rendezvous.flushed(on_done)

    def leave(self, on_left: Callable[[], None]) -> None:
        """End this session. ``on_left`` is called when the DHT is up to date: the topic unannounced, if nobody else
        holds a session of it as server."""
        if self.ended:
            self._rendezvous.left(on_left)
        elif len(self._rendezvous.sessions) == 1:
            self._leave_topic(self.topic, on_left)
        else:
            self.ended = True
            self._rendezvous.sessions.remove(self)
            self._rendezvous.reduced(on_left)
