from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holepunch.udx.ranges import Ranges

NUMBERS = st.integers(0, 40)
STEPS = st.lists(st.tuples(st.booleans(), NUMBERS, st.integers(1, 10)), max_size=40)


@given(steps=STEPS, probe=NUMBERS, width=st.integers(1, 10))
def test_ranges_behave_like_a_set_of_integers(steps: list[tuple[bool, int, int]], probe: int, width: int) -> None:
    ranges, model = Ranges(), set[int]()
    for adding, start, size in steps:
        numbers = set(range(start, start + size))
        if adding:
            ranges.add(start, start + size)
            model |= numbers
        else:
            assert ranges.remove(start, start + size) == len(model & numbers)
            model -= numbers
        listed = list(ranges)
        assert {n for low, high in listed for n in range(low, high)} == model
        assert all(end < start for (_, end), (start, _) in pairwise(listed))
        assert ranges.total == len(model)
    assert (probe in ranges) == (probe in model)
    wanted = set(range(probe, probe + width))
    assert {n for low, high in ranges.gaps(probe, probe + width) for n in range(low, high)} == wanted - model
    if probe in model:
        low, high = ranges.range_of(probe)
        assert low <= probe < high


def test_the_lowest_ranges_and_the_top_are_at_hand() -> None:
    ranges = Ranges()
    for start in (30, 10, 20):
        ranges.add(start, start + 5)
    assert ranges.head(2) == [(10, 15), (20, 25)]
    assert ranges.first == (10, 15)
    assert len(ranges) == 3


def test_an_empty_set_has_no_first_range() -> None:
    with pytest.raises(IndexError):
        _ = Ranges().first
