"""What a swarm hands out: an encrypted stream, the topics it is about, and messages of Python objects over it."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from holepunch.stream import EncryptedStream

if TYPE_CHECKING:
    from swarm.messages import MessageChannel
    from swarm.topic import Topic

__all__ = ["Connection"]


@final
class Connection(EncryptedStream):
    """One connection to one peer; made by `Swarm` and `DHT` only."""

    topics: tuple[Topic, ...] = ()
    """The topics that this side joined and is known to share with the peer. It changes as either joins and leaves."""
    tags: frozenset[bytes] = frozenset()
    """What the peer has shown of its own topics: see `swarm.membership`."""

    def messages(self) -> MessageChannel:
        """The same connection as a channel of Python objects in msgpack, one frame each."""
        from swarm.messages import MessageChannel  # when asked for: most applications bring their own format

        return MessageChannel(self)
