"""Asking the application whether a peer is allowed. Keeps the questions; bans nobody."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING

from holepunch.keys import PublicKey

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from holepunch.core import Entry
    from holepunch.signaller import Cancel
    from swarm.policy.context import Context
    from swarm.topic import Topic

__all__ = ["Gate", "Verdict"]

MAX_INCOMING_QUESTIONS = 64
"""Strangers waiting for an answer at a time. Each holds a handshake open; the next hears nothing, as if refused."""

ANSWER_TIMEOUT = 3.0
"""Seconds. A client repeats its handshake each second, three times: a later answer would reach nobody."""


class Verdict(Enum):
    ALLOWED = auto()
    REFUSED = auto()
    UNANSWERED = auto()
    """No answer in time, or the application could not give one."""


class _Question:
    __slots__ = ("asked", "id", "public_key", "timeout")

    def __init__(self, id: int, public_key: bytes, timeout: Entry) -> None:
        self.id = id
        self.public_key = public_key
        self.timeout = timeout
        self.asked: dict[int, tuple[Callable[[Verdict], None], bool]] = {}


class Gate:
    """Questions about one key at one time are one question."""

    __slots__ = ("_by_id", "_by_key", "_context", "_incoming", "_last_id", "_on_refused", "enabled")

    def __init__(self, context: Context, enabled: bool, on_refused: Callable[[bytes], None]) -> None:
        self.enabled = enabled
        self._context = context
        self._on_refused = on_refused
        self._by_id: dict[int, _Question] = {}
        self._by_key: dict[bytes, _Question] = {}
        self._last_id = 0
        self._incoming = 0

    def __len__(self) -> int:
        return len(self._by_id)

    def ask(
        self, public_key: bytes, topics: Sequence[Topic], incoming: bool, on_verdict: Callable[[Verdict], None]
    ) -> Cancel | None:
        """``on_verdict`` is called once, after this has returned. ``None``: too many ask already."""
        if incoming and self._incoming >= MAX_INCOMING_QUESTIONS:
            return None
        question = self._by_key.get(public_key)
        if question is None:
            question = self._open(public_key, topics)
        self._last_id += 1
        number = self._last_id
        question.asked[number] = (on_verdict, incoming)
        self._incoming += incoming

        def cancel() -> None:
            if question.asked.pop(number, None) is not None:
                self._incoming -= incoming

        return cancel

    def answer(self, id: int, verdict: Verdict) -> None:
        """Answers to questions that are no longer open are ignored. One that nobody waits for any more still counts."""
        question = self._by_id.pop(id, None)
        if question is None:
            return
        del self._by_key[question.public_key]
        question.timeout.cancel()
        asked, question.asked = question.asked, {}
        self._incoming -= sum(incoming for _, incoming in asked.values())
        if verdict is Verdict.REFUSED:
            self._on_refused(question.public_key)
        for on_verdict, _ in asked.values():
            on_verdict(verdict)

    def close(self) -> None:
        """Every open question stays unanswered."""
        for id in list(self._by_id):
            self.answer(id, Verdict.UNANSWERED)

    def _open(self, public_key: bytes, topics: Sequence[Topic]) -> _Question:
        self._last_id += 1
        id = self._last_id
        timeout = self._context.schedule.after(ANSWER_TIMEOUT, lambda: self.answer(id, Verdict.UNANSWERED))
        question = _Question(id, public_key, timeout)
        self._by_id[id] = self._by_key[public_key] = question
        self._context.effects.ask(id, PublicKey(public_key), topics)
        return question
