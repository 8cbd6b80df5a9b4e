"""A public key that is listened for: connections as they are accepted. `holepunch.punch.accept` does the work."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Self

import trio

from holepunch.punch import accept
from swarm.arrivals import Arrivals
from swarm.dht.dialling import connection_over
from swarm.errors import NotAMember
from swarm.membership import greet

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from holepunch.address import Address
    from holepunch.endpoint import Endpoint
    from holepunch.keys import KeyPair, PublicKey
    from holepunch.nursery import Background
    from holepunch.punch.environment import Environment, Established
    from holepunch.relay.choice import RelayChoice
    from swarm.connection import Connection
    from swarm.hyperdht.hypernode import HyperNode
    from swarm.membership import Membership
    from swarm.topic import Topic

__all__ = ["Admit", "Listener", "Listening", "OnOutsider", "decide", "takes_topics"]

logger = logging.getLogger(__name__)

Admit = Callable[["PublicKey", Callable[[bool], None], Sequence["Topic"]], None]
"""Asked about each peer that has proven its key; says yes or no through the callable, now or within 3 s. The topics are
those of this side that the peer has shown to be in, too."""

OnOutsider = Callable[["PublicKey", str, bool], None]
"""A peer, what it failed at, and whether it did so now: anybody may have repeated the first message of a handshake."""

BACKLOG = 256
"""Accepted connections that wait for the application, as many as may come at once; the next one is closed."""


class Listening:
    """One key, from the first announcement to the last: the core of accepting, wired to the node and the endpoint."""

    def __init__(
        self,
        endpoint: Endpoint,
        environment: Environment,
        node: HyperNode,
        key_pair: KeyPair,
        on_open: Callable[[Connection], None],
        admit: Admit | None,
        on_announced: Callable[[], None],
        relaying: RelayChoice,
        membership: Membership | None = None,
        on_outsider: OnOutsider = lambda key, why, now: None,
    ) -> None:
        """``on_outsider``: a peer that did not prove the secret. Raises ``ValueError`` for a key that is listened for
        already."""
        self._endpoint = endpoint
        self._environment = environment
        self._node = node
        self._on_open = on_open
        self._admit = admit
        self._membership = membership
        self._on_outsider = on_outsider
        self.public_key = key_pair.public_key
        self._core = accept.Listener(
            environment,
            key_pair,
            on_connected=self._on_established,
            ask=self._ask if admit is not None else None,
            relaying=relaying,
            introduce=greet if membership is None else membership.greet,
        )
        endpoint.now()
        self._announcer = node.listen(key_pair, self._core, on_announced)

    @property
    def relay_addresses(self) -> Sequence[Address]:
        """Where this key is announced: what to put into records of topics."""
        return self._announcer.relay_addresses

    def refresh(self) -> None:
        """Announce anew, now."""
        self._announcer.refresh()

    def stop(self, on_end: Callable[[], None]) -> None:
        """Accept nothing more, and take the announcements back: done, or given up after a second, when called back."""
        self._core.close()
        self._endpoint.now()
        self._node.stop_listening(self.public_key, on_end)

    def _ask(self, question: accept.Question) -> None:
        assert self._admit is not None
        membership, greeting = self._membership, question.payload.greeting
        attempt, key = _attempt(question.ephemeral), question.remote_public_key
        logger.debug("accept.asked attempt=%s key=%s address=%s", attempt, key.short, question.client)
        if membership is not None and membership.closed and (greeting is None or not greeting.proves):
            self._answer(question, False)
            self._on_outsider(key, "the peer has no secret", False)
        else:
            self._admit(key, partial(self._answer, question), self._topics_of(question))

    def _answer(self, question: accept.Question, allowed: bool) -> None:
        if not allowed:
            attempt, key = _attempt(question.ephemeral), question.remote_public_key
            logger.debug("accept.refused attempt=%s key=%s", attempt, key.short)
        self._core.answer(question.id, allowed)

    def _topics_of(self, question: accept.Question) -> Sequence[Topic]:
        greeting = question.payload.greeting
        if self._membership is None or greeting is None:
            return ()
        return self._membership.shared(question.remote_public_key, question.ephemeral, greeting.tags)

    def _on_established(self, established: Established) -> None:
        session = established.session
        attempt = _attempt(session.ephemeral)
        logger.info(
            "accept.started attempt=%s key=%s address=%s",
            attempt,
            session.remote_public_key.short,
            established.address,
        )
        connection_over(
            self._endpoint,
            self._environment,
            established,
            partial(self._on_confirmed, attempt),
            partial(self._on_unconfirmed, attempt, session.remote_public_key),
            self._membership,
        )

    def _on_confirmed(self, attempt: str, connection: Connection) -> None:
        key, kind = connection.remote_public_key.short, connection.path.kind
        logger.info("accept.complete attempt=%s key=%s path=%s", attempt, key, kind)
        self._on_open(connection)

    def _on_unconfirmed(self, attempt: str, public_key: PublicKey, cause: BaseException | None) -> None:
        logger.info("accept.failed attempt=%s key=%s cause=%s", attempt, public_key.short, cause)
        if isinstance(cause, NotAMember):
            self._on_outsider(public_key, str(cause), True)


def _attempt(ephemeral: bytes) -> str:
    """What one handshake is called in the log, from its first message on."""
    return ephemeral.hex()[:8]


class Listener:
    """What `DHT.listen` gives: iterate over it for the connections. The iteration ends with `aclose`, or the block. As
    an async context manager it is closed at the end of its own block."""

    def __init__(self, public_key: PublicKey, on_closed: Callable[[], object], check: Callable[[], object]) -> None:
        """``on_closed``: it listens no more, if it did. ``check`` raises once the node's block was left."""
        self.public_key = public_key
        self.listening: Listening | None = None
        self._arrivals = Arrivals(BACKLOG)
        self._on_closed = on_closed
        self._check = check

    def arrived(self, connection: Connection) -> None:
        if not self._arrivals.put(connection):
            logger.warning("a connection of %s was closed: nobody takes it", connection.remote_public_key)
            connection.destroy()

    def __aiter__(self) -> Self:
        self._check()
        return self

    async def __anext__(self) -> Connection:
        self._check()
        return await self._arrivals.get()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Accept nothing more and take the announcement back, within a second. Connections stay open.

        Closing again does nothing. Cancelled: it goes on, nobody is told.
        """
        ended = trio.Event()
        self._stop(ended.set)
        await ended.wait()

    def close(self) -> None:
        """Accept nothing more, at once; the announcement is taken back in the background."""
        self._stop(lambda: None)

    def _stop(self, on_end: Callable[[], None]) -> None:
        listening, self.listening = self.listening, None
        self._arrivals.close()
        if listening is None:
            on_end()
        else:
            self._on_closed()
            listening.stop(on_end)


def takes_topics(allow: Callable[..., bool | Awaitable[bool]]) -> bool:
    """Whether ``allow`` wants the topics besides the key. Raises ``TypeError`` for what can be called with neither.

    What has no signature, as some builtins, is called with the key alone.
    """
    right = "allow is called with a public key, or with a public key and the topics"
    if not callable(allow):
        raise TypeError(f"{right}; got {allow!r}")
    try:
        signature = inspect.signature(allow)
    except ValueError:
        return False
    for arguments in ((b"", ()), (b"",)):
        try:
            signature.bind(*arguments)
        except TypeError:
            continue
        return len(arguments) > 1
    raise TypeError(f"{right}; {allow!r} takes {signature}")


def decide(
    allow: Callable[..., bool | Awaitable[bool]], nursery: Background, turn: Callable[[], object]
) -> Callable[[Callable[[bool | None], None], PublicKey, Sequence[bytes]], None]:
    """An application's ``allow`` as a question that is answered later: True, False, or None when it failed to answer.

    ``allow`` takes the key, and the topics as well when it has a second parameter. It may be async: then it is
    cancelled once nobody waits for it any more. ``turn`` tells the cores the time, before they are given the answer.
    """
    with_topics = takes_topics(allow)

    async def ask(answer: Callable[[bool | None], None], key: PublicKey, topics: Sequence[bytes]) -> None:
        verdict: bool | None = None
        with trio.move_on_after(accept.ANSWER_TIMEOUT) as patience:
            try:
                allowed = allow(key, topics) if with_topics else allow(key)
                if inspect.isawaitable(allowed):
                    allowed = await allowed
                verdict = bool(allowed)
            except Exception:  # whatever the application raises is no yes, and must not end the block
                logger.exception("allow failed for %s: the peer hears nothing", key)
        if patience.cancelled_caught:
            logger.warning("allow said nothing about %s for %g s: the peer hears nothing", key, accept.ANSWER_TIMEOUT)
        turn()
        answer(verdict)

    return lambda answer, key, topics: nursery.start_soon(ask, answer, key, topics)
