"""Two streams over bad links: what arrives is what was sent, both ways, and both ends close."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holepunch.udx import Reset
from tests.udx.pair import Link, Pair, pattern, route


def exchange(pair: Pair, forward: int, back: int) -> None:
    first, second = pattern(forward, 1), pattern(back, 2)
    pair.a.write(first, end=True)
    pair.b.write(second, end=True)
    pair.run(seconds=300, until=lambda: pair.closed)
    assert pair.b.received == first
    assert pair.a.received == second
    assert pair.a.stream.error is None
    assert pair.b.stream.error is None


@pytest.mark.parametrize("gro", [True, False])
@pytest.mark.parametrize("seed", range(5))
def test_content_is_equal_under_ten_percent_loss_both_ways(seed: int, gro: bool) -> None:
    links = [Link(loss=0.1, seed=seed * 2 + side) for side in (0, 1)]
    exchange(Pair(*links, gro=gro), 300_000, 200_000)


@pytest.mark.parametrize("seed", range(3))
def test_content_is_equal_when_everything_goes_wrong(seed: int) -> None:
    links = [
        Link(loss=0.1, duplicate=0.1, reorder=0.2, rate=2e6, queue=40_000, mtu=1400, seed=seed * 2 + side)
        for side in (0, 1)
    ]
    exchange(Pair(*links), 300_000, 200_000)


@settings(max_examples=25, deadline=None)
@given(
    loss=st.floats(0, 0.25),
    duplicate=st.floats(0, 0.3),
    reorder=st.floats(0, 0.5),
    delay=st.sampled_from([0.0001, 0.01, 0.15]),
    size=st.integers(0, 40_000),
    seed=st.integers(0, 1000),
)
def test_content_is_equal_over_any_link(
    loss: float, duplicate: float, reorder: float, delay: float, size: int, seed: int
) -> None:
    links = [Link(loss=loss, duplicate=duplicate, reorder=reorder, delay=delay, seed=seed + side) for side in (0, 1)]
    exchange(Pair(*links), size, size // 2)


def test_numbers_wrap_in_the_middle_of_a_lossy_transfer() -> None:
    pair = Pair(connected=False)
    pair.peers.clear()
    first, second = 2**32 - 100, 2**32 - 5
    pair.a = pair.add("a", 1, Link(loss=0.05, seed=1), first_seq=first, first_ack=second)
    pair.b = pair.add("b", 2, Link(loss=0.05, seed=2), first_seq=second, first_ack=first)
    pair.a.stream.connect(route(2), 2, pair.now)
    pair.b.stream.connect(route(1), 1, pair.now)
    exchange(pair, 500_000, 100_000)
    assert any(p.seq < 1000 for p in pair.a.packets)


def test_many_small_writes_arrive_in_order() -> None:
    rng = random.Random(5)
    pair = Pair(Link(loss=0.05, seed=5), Link(loss=0.05, seed=6))
    sent = b""
    for _ in range(500):
        word = rng.randbytes(rng.randrange(1, 200))
        sent += word
        pair.a.stream.write([word])
        pair.a.work()
        pair.run(seconds=rng.random() / 100)
    pair.run(until=lambda: pair.b.received_bytes == len(sent))
    assert pair.b.received == sent


def test_a_transfer_cut_off_by_destroy_resets_the_other_end() -> None:
    pair = Pair()
    pair.a.write(pattern(2_000_000))
    pair.run(until=lambda: pair.b.received_bytes > 500_000)
    pair.b.stream.destroy()
    pair.b.work()
    pair.run(until=lambda: pair.closed)
    assert isinstance(pair.a.stream.error, Reset)


def test_an_idle_pair_sends_nothing_for_a_day() -> None:
    pair = Pair()
    pair.a.write(b"hello")
    pair.run(seconds=1)
    before = len(pair.log)
    pair.run(seconds=86400)
    assert len(pair.log) == before
