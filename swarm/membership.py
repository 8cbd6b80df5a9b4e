"""What a swarm lets its peers know: which topics both are in, and that both know the group's secret. Pure.

Neither gives anything away to who does not know it already. A topic is shown as a tag, which only who has the topic can
recognise, and which is another one for each handshake and direction. A secret is proven to who has proven it first.
"""

from __future__ import annotations

import hashlib
from hmac import compare_digest
from typing import TYPE_CHECKING

from holepunch.punch.messages import MAX_TAGS, TAG_SIZE, Greeting
from swarm.topic import Topic

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from holepunch.keys import PublicKey
    from holepunch.secure.noise import Session

__all__ = ["MAX_SHOWN", "Membership", "check_secret"]

MAX_SHOWN = 256
"""Topics that a peer is shown, and tags that are taken from one: 4 KiB. With more, those joined last are not shared."""
FEWEST_TAGS = 4
"""Shown to any peer: those of fewer topics are made up to it, more to the next power of two."""
_COST = 1 << 14
"""scrypt's n: 16 MiB and some 40 ms for each guess at a secret that was chosen too short."""


def greet(peer: PublicKey, ephemeral: bytes, theirs: Greeting | None) -> Greeting:
    """See `holepunch.punch.environment.Introduce`. For who is in no topic: only that this implementation is here."""
    return Greeting()


class Membership:
    """One swarm's. ``topics`` gives the joined topics, those that a peer is known to be in first."""

    def __init__(self, public_key: PublicKey, secret: bytes | None, padding: bytes = b"") -> None:
        """``padding``: 32 random bytes, from which tags are made that stand for no topic; without, the number of topics
        shows. Raises as `check_secret` does."""
        if secret is not None:
            check_secret(secret)
        self._public_key = public_key
        self._padding = padding
        self._key = None if secret is None else _stretch(bytes(secret))
        self.topics: Callable[[PublicKey], Sequence[Topic]] = lambda public_key: ()

    @property
    def closed(self) -> bool:
        """Whether there is a secret to prove."""
        return self._key is not None

    # -- topics ------------------------------------------------------------------------------------------------------

    def on_network(self, topic: Topic) -> Topic:
        """Under what a topic is announced and looked up: with a secret, something that outsiders cannot derive."""
        if self._key is None:
            return topic
        return Topic(hashlib.blake2b(topic, key=self._key, digest_size=32, person=b"topic").digest())

    def greet(self, peer: PublicKey, ephemeral: bytes, theirs: Greeting | None) -> Greeting:
        """See `holepunch.punch.environment.Introduce`. What both share goes first, if that is known by now."""
        topics = list(self.topics(peer)[:MAX_SHOWN])
        if theirs is not None:
            topics.sort(key=lambda topic: self._tag(topic, peer, self._public_key, ephemeral) not in theirs.tags)
        return Greeting(tuple(self._padded(topics[:MAX_TAGS], peer, ephemeral)), self.closed)

    def shown(self, session: Session) -> bytes:
        """Every topic of this side, as the tags of one connection."""
        peer = session.remote_public_key
        return b"".join(self._padded(self.topics(peer)[:MAX_SHOWN], peer, session.ephemeral))

    def shared(self, peer: PublicKey, ephemeral: bytes, tags: Collection[bytes]) -> tuple[Topic, ...]:
        """Those of the own topics that a peer has shown in a handshake, or on its connection since."""
        if not tags:
            return ()
        topics = self.topics(peer)[:MAX_SHOWN]
        return tuple(topic for topic in topics if self._tag(topic, peer, self._public_key, ephemeral) in tags)

    def _padded(self, topics: Sequence[Topic], peer: PublicKey, ephemeral: bytes) -> list[bytes]:
        """The tags of topics among others, so many in all that only the order of magnitude shows."""
        tags = [self._tag(topic, self._public_key, peer, ephemeral) for topic in topics]
        if self._padding:
            size = max(FEWEST_TAGS, 1 << max(len(tags) - 1, 0).bit_length())
            for number in range(len(tags), size):
                names = number.to_bytes(2, "big") + peer + ephemeral
                tags.append(hashlib.blake2b(names, key=self._padding, digest_size=TAG_SIZE).digest())
        return sorted(tags)  # tags are random to who does not know the topic, and so is their order

    def _tag(self, topic: Topic, sender: bytes, receiver: bytes, ephemeral: bytes) -> bytes:
        names = sender + receiver + ephemeral
        return hashlib.blake2b(names, key=self.on_network(topic), digest_size=TAG_SIZE).digest()

    # -- the secret --------------------------------------------------------------------------------------------------

    def proof(self, session: Session) -> bytes:
        """What only a member can say, on this one connection and in this direction. 32 bytes."""
        return self._proof(session, session.initiator)

    def is_proof(self, session: Session, data: bytes) -> bool:
        """Whether the peer said it."""
        return compare_digest(data, self._proof(session, not session.initiator))

    def _proof(self, session: Session, initiator: bool) -> bytes:
        assert self._key is not None
        person = b"dials" if initiator else b"accepts"
        return hashlib.blake2b(session.hash, key=self._key, digest_size=32, person=person).digest()


def check_secret(secret: bytes) -> None:
    """Raises ``TypeError`` and ``ValueError`` for a secret that is none."""
    if not isinstance(secret, bytes | bytearray | memoryview):
        raise TypeError(f"a secret is bytes, got {type(secret).__name__}")
    if not len(secret):
        raise ValueError("a secret of no bytes keeps nobody out; leave it away, or use os.urandom(32)")


def _stretch(secret: bytes) -> bytes:
    return hashlib.scrypt(secret, salt=b"trio-hyperswarm group", n=_COST, r=8, p=1, maxmem=1 << 26, dklen=32)
