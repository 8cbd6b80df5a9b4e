"""Caches of two generations: cheap expiry without a time per entry. Driven by the schedule; knows no wire.

What is not renewed lives for 2/3 to 4/3 of its age: a turn drops the old generation and makes the young one old.
Turns come at 2/3 of the age, and early when the young generation is full. Node: record-cache, xache.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from holepunch.core import Entry, Random, Schedule

__all__ = ["Generations", "TopicRecords"]

K = TypeVar("K")
V = TypeVar("V")


class _Turning(ABC):
    """The timer of both caches. It runs only while something is stored."""

    def __init__(self, schedule: Schedule, age: float) -> None:
        self._schedule = schedule
        self._period = age * 2 / 3
        self._timer: Entry | None = None

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def _turn(self) -> None:
        """Drop the old generation, make the young one old."""

    def _stored(self, *, full: bool) -> None:
        """Something was added to the young generation."""
        if full:
            self._next_turn()
        elif self._timer is None:
            self._timer = self._schedule.after(self._period, self._next_turn)

    def _next_turn(self) -> None:
        self._turn()
        self._stop()
        if len(self):
            self._timer = self._schedule.after(self._period, self._next_turn)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def close(self) -> None:
        """Forget everything."""
        self._turn()
        self._turn()
        self._stop()


class Generations(_Turning, Generic[K, V]):
    """A cache in which reading renews. Holds at most ``limit`` entries, and ``max_weight``, in each generation."""

    def __init__(
        self,
        schedule: Schedule,
        *,
        limit: int,
        age: float,
        max_weight: float = math.inf,
        weigh: Callable[[V], int] = lambda value: 0,
    ) -> None:
        super().__init__(schedule, age)
        self._limit = limit
        self._max_weight = max_weight
        self._weigh = weigh
        self._young: dict[K, V] = {}
        self._old: dict[K, V] = {}
        self._weight = 0

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def __contains__(self, key: K) -> bool:
        """Whether ``key`` is there, without renewing it."""
        return key in self._young or key in self._old

    def get(self, key: K) -> V | None:
        value = self._young.get(key)
        if value is None:
            value = self._old.get(key)
            if value is not None:
                self.set(key, value)
        return value

    def set(self, key: K, value: V) -> None:
        self.discard(key)
        self._young[key] = value
        self._weight += self._weigh(value)
        self._stored(full=len(self._young) >= self._limit or self._weight >= self._max_weight)

    def discard(self, key: K) -> None:
        value = self._young.pop(key, None)
        if value is not None:
            self._weight -= self._weigh(value)
        else:
            self._old.pop(key, None)

    def _turn(self) -> None:
        self._old = self._young
        self._young = {}
        self._weight = 0


KEY_SIZE = 32
"""A record starts with the public key it is about, and that key is what tells records of one topic apart."""


class _RecordSet:
    """The records of one topic. A list, so that a random one is found without walking through all."""

    __slots__ = ("_index", "records")

    def __init__(self) -> None:
        self.records: list[bytes] = []
        self._index: dict[bytes, int] = {}

    def add(self, record: bytes) -> bool:
        key = record[:KEY_SIZE]
        if key in self._index:
            return False
        self._index[key] = len(self.records)
        self.records.append(record)
        return True

    def remove(self, key: bytes) -> bool:
        index = self._index.pop(key, None)
        if index is None:
            return False
        last = self.records.pop()
        if index < len(self.records):
            self.records[index] = last
            self._index[last[:KEY_SIZE]] = index
        return True


class _RecordStore:
    """One generation: records by topic."""

    __slots__ = ("_topics", "size")

    def __init__(self) -> None:
        self._topics: dict[bytes, _RecordSet] = {}
        self.size = 0

    def add(self, topic: bytes, record: bytes) -> None:
        records = self._topics.get(topic)
        if records is None:
            records = self._topics[topic] = _RecordSet()
        self.size += records.add(record)

    def remove(self, topic: bytes, key: bytes) -> None:
        records = self._topics.get(topic)
        if records is not None and records.remove(key):
            self.size -= 1
            if not records.records:
                del self._topics[topic]

    def of(self, topic: bytes) -> list[bytes]:
        records = self._topics.get(topic)
        return [] if records is None else records.records


class TopicRecords(_Turning):
    """Encoded peer records by topic and public key. At most ``limit`` in each generation.

    Adding a key that is in the young generation changes nothing, not even the stored bytes, as in Node: relays that
    changed become visible once the record is old, or after it was removed.
    """

    def __init__(self, schedule: Schedule, *, limit: int, age: float) -> None:
        super().__init__(schedule, age)
        self._limit = limit
        self._young = _RecordStore()
        self._old = _RecordStore()

    def __len__(self) -> int:
        return self._young.size + self._old.size

    def add(self, topic: bytes, record: bytes) -> None:
        self._old.remove(topic, record[:KEY_SIZE])
        self._young.add(topic, record)
        self._stored(full=self._young.size >= self._limit)

    def remove(self, topic: bytes, key: bytes) -> None:
        self._young.remove(topic, key)
        self._old.remove(topic, key)

    def sample(self, topic: bytes, count: int, rng: Random) -> list[bytes]:
        """All records of the topic, or ``count`` random ones if there are more."""
        young, old = self._young.of(topic), self._old.of(topic)
        total = len(young) + len(old)
        if total <= count:
            return young + old
        # Floyd's choice of distinct indices: as many steps as records wanted, however many there are
        chosen: set[int] = set()
        for last in range(total - count, total):
            index = rng.randrange(0, last + 1)
            chosen.add(last if index in chosen else index)
        return [young[i] if i < len(young) else old[i - len(young)] for i in chosen]

    def _turn(self) -> None:
        self._old = self._young
        self._young = _RecordStore()
