import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holepunch.core import Schedule
from swarm.policy.peers import PeerBook, PeerInfo, Priority
from swarm.policy.queue import ShuffledQueue


def peers(count: int) -> list[PeerInfo]:
    book = PeerBook(Schedule(), lambda peer: None, lambda peer: None)
    return [book.add(bytes([number]) * 32) for number in range(count)]


def test_the_highest_priority_comes_first() -> None:
    queue = ShuffledQueue(random.Random(1))
    for peer, priority in zip(peers(5), (2, 0, 4, 1, 3), strict=True):
        peer.priority = Priority(priority)
        queue.add(peer)
    assert [queue.pop().priority for _ in range(5)] == [4, 3, 2, 1, 0]


def test_equals_come_in_random_order() -> None:
    some = peers(8)
    orders = set()
    for seed in range(10):
        queue = ShuffledQueue(random.Random(seed))
        for peer in some:
            queue.add(peer)
        orders.add(tuple(queue.pop().public_key[0] for _ in some))
    assert len(orders) == 10


def test_a_queued_peer_keeps_its_place_when_added_again() -> None:
    queue = ShuffledQueue(random.Random(1))
    (peer,) = peers(1)
    queue.add(peer)
    peer.priority = Priority.LOW
    queue.add(peer)
    assert len(queue) == 1
    assert queue.pop() is peer
    assert peer not in queue


def test_an_empty_queue_has_nothing_to_pop() -> None:
    with pytest.raises(IndexError):
        ShuffledQueue(random.Random(1)).pop()


@given(st.lists(st.tuples(st.sampled_from(["add", "discard", "pop", "clear"]), st.integers(0, 9), st.integers(0, 4))))
def test_the_queue_holds_what_a_set_would_hold(steps: list[tuple[str, int, int]]) -> None:
    queue = ShuffledQueue(random.Random(1))
    some = peers(10)
    model: dict[PeerInfo, Priority] = {}
    for step, number, priority in steps:
        peer = some[number]
        if step == "add":
            if peer not in model:
                peer.priority = Priority(priority)
                model[peer] = peer.priority
            queue.add(peer)
        elif step == "discard":
            assert queue.discard(peer) == (model.pop(peer, None) is not None)
        elif step == "pop" and model:
            popped = queue.pop()
            assert model.pop(popped) == max([*model.values(), popped.priority])
        elif step == "clear":
            queue.clear()
            model.clear()
        assert len(queue) == len(model)
        assert set(queue) == set(model)
        assert all((peer in queue) == (peer in model) for peer in some)
