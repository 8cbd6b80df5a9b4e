"""How long entries live, and how many there can be."""

from __future__ import annotations

import math
import random
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holepunch.core import Schedule
from swarm.hyperdht.generations import Generations, TopicRecords

if TYPE_CHECKING:
    from collections.abc import Callable

AGE = 30.0
TURN = 20.0
TOPIC = b"topic"


def cache(schedule: Schedule, limit: int = 100) -> Generations[str, bytes]:
    return Generations(schedule, limit=limit, age=AGE)


def records(schedule: Schedule, limit: int = 100) -> TopicRecords:
    return TopicRecords(schedule, limit=limit, age=AGE)


def record(number: int, rest: bytes = b"") -> bytes:
    return number.to_bytes(32, "big") + rest


def everything(store: TopicRecords, topic: bytes = TOPIC) -> set[bytes]:
    return set(store.sample(topic, 1_000_000, random.Random(1)))


def test_entry_is_gone_after_two_turns() -> None:
    schedule = Schedule()
    store = cache(schedule)
    store.set("a", b"1")
    schedule.advance(TURN + 1)
    store.set("b", b"2")
    schedule.advance(2 * TURN + 1)
    assert store.get("a") is None
    assert store.get("b") == b"2"


def test_entry_that_is_read_stays() -> None:
    schedule = Schedule()
    store = cache(schedule)
    store.set("a", b"1")
    for turn in range(1, 10):
        schedule.advance(turn * TURN + 1)
        assert store.get("a") == b"1"


@given(st.floats(0, TURN, exclude_max=True))
def test_entry_lives_for_two_thirds_to_four_thirds_of_the_age(offset: float) -> None:
    schedule = Schedule()
    store, topics = cache(schedule), records(schedule)
    store.set("first", b"0")
    topics.add(b"first", record(0))
    schedule.advance(offset)
    store.set("a", b"1")
    topics.add(TOPIC, record(1))
    schedule.advance(offset + AGE * 2 / 3 - 0.001)
    assert len(store) >= 1
    assert everything(topics) == {record(1)}
    schedule.advance(offset + AGE * 4 / 3 + 0.001)
    assert store.get("a") is None
    assert not everything(topics)


@pytest.mark.parametrize("make", [lambda s: cache(s), lambda s: records(s)])
def test_empty_store_needs_no_timer(make: Callable[[Schedule], Generations[str, bytes] | TopicRecords]) -> None:
    schedule = Schedule()
    store = make(schedule)
    assert schedule.deadline() == math.inf
    if isinstance(store, Generations):
        store.set("a", b"1")
    else:
        store.add(TOPIC, record(1))
    assert schedule.deadline() == TURN
    schedule.advance(10 * TURN)
    assert len(store) == 0
    assert schedule.deadline() == math.inf


def test_closed_store_is_empty_and_idle() -> None:
    schedule = Schedule()
    store, topics = cache(schedule), records(schedule)
    store.set("a", b"1")
    topics.add(TOPIC, record(1))
    store.close()
    topics.close()
    assert len(store) == len(topics) == 0
    assert schedule.deadline() == math.inf


def test_full_store_drops_the_old_generation_early() -> None:
    schedule = Schedule()
    store = cache(schedule, limit=10)
    for n in range(1000):
        store.set(str(n), b"")
        assert len(store) <= 20
    assert store.get("999") == b""
    assert store.get("500") is None


def test_large_values_are_as_bad_as_many() -> None:
    store: Generations[int, bytes] = Generations(Schedule(), limit=1000, age=AGE, max_weight=100, weigh=len)
    for n in range(50):
        store.set(n, bytes(60))
        assert len(store) <= 4
    for _ in range(50):
        store.set(1, bytes(60))  # in place of itself: weighs once
    assert store.get(1) == bytes(60)


def test_discarded_entry_is_gone_from_both_generations() -> None:
    schedule = Schedule()
    store = cache(schedule)
    store.set("a", b"1")
    schedule.advance(TURN)
    store.discard("a")
    store.set("b", b"2")
    store.discard("b")
    store.discard("never there")
    assert len(store) == 0


def test_young_record_is_not_replaced() -> None:
    schedule = Schedule()
    store = records(schedule)
    store.add(TOPIC, record(1, b"first"))
    store.add(TOPIC, record(1, b"second"))
    assert everything(store) == {record(1, b"first")}
    schedule.advance(TURN)
    store.add(TOPIC, record(1, b"third"))
    assert everything(store) == {record(1, b"third")}
    assert len(store) == 1


def test_removed_record_makes_room_for_another_of_its_key() -> None:
    store = records(Schedule())
    store.add(TOPIC, record(1, b"first"))
    store.remove(TOPIC, record(1))
    store.add(TOPIC, record(1, b"second"))
    assert everything(store) == {record(1, b"second")}


def test_full_record_store_turns_early() -> None:
    store = records(Schedule(), limit=10)
    for n in range(1000):
        store.add(n.to_bytes(2, "big") if n % 2 else TOPIC, record(n))
        assert len(store) <= 20
    assert record(998) in everything(store)


@given(st.lists(st.tuples(st.sampled_from("arT"), st.integers(0, 2), st.integers(0, 12)), max_size=80))
def test_records_are_a_map_of_topic_and_key(steps: list[tuple[str, int, int]]) -> None:
    schedule = Schedule()
    store = records(schedule)
    young: dict[tuple[bytes, bytes], bytes] = {}
    old: dict[tuple[bytes, bytes], bytes] = {}
    for number, (step, topic_number, key_number) in enumerate(steps):
        topic, key = bytes([topic_number]), record(key_number)
        if step == "a":
            value = record(key_number, number.to_bytes(2, "big"))
            store.add(topic, value)
            old.pop((topic, key), None)
            young.setdefault((topic, key), value)
        elif step == "r":
            store.remove(topic, key)
            young.pop((topic, key), None)
            old.pop((topic, key), None)
        else:
            store._turn()
            young, old = {}, young
        for t in range(3):
            expected = [v for generation in (young, old) for (name, _), v in generation.items() if name == bytes([t])]
            assert sorted(store.sample(bytes([t]), 100, random.Random(1))) == sorted(expected)
        assert len(store) == len(young) + len(old)


def test_sample_is_of_the_size_asked_and_without_repeats() -> None:
    schedule = Schedule()
    store = records(schedule, limit=1000)
    for n in range(30):
        store.add(TOPIC, record(n))
    schedule.advance(TURN)
    for n in range(30, 50):
        store.add(TOPIC, record(n))
    sample = store.sample(TOPIC, 20, random.Random(1))
    assert len(set(sample)) == 20


def test_sample_is_fair() -> None:
    store = records(Schedule(), limit=1000)
    for n in range(40):
        store.add(TOPIC, record(n))
    rng = random.Random(1)
    seen = Counter(r for _ in range(2000) for r in store.sample(TOPIC, 10, rng))
    assert len(seen) == 40
    assert all(400 < count < 600 for count in seen.values())
