"""A set of integers kept as sorted, disjoint, half-open ranges: what arrived, what is SACKed, what is lost."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Ranges"]


class Ranges:
    """Adjacent ranges are always merged. Every change costs the logarithm of the number of ranges, plus a list move."""

    __slots__ = ("_ends", "_starts", "total")

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        self.total = 0
        """How many integers are in the set."""

    def __len__(self) -> int:
        return len(self._starts)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self._starts, self._ends, strict=True)

    def __contains__(self, number: int) -> bool:
        at = bisect_right(self._starts, number)
        return at > 0 and number < self._ends[at - 1]

    def range_of(self, number: int) -> tuple[int, int]:
        """The range that holds a number of the set."""
        at = bisect_right(self._starts, number) - 1
        return self._starts[at], self._ends[at]

    def head(self, count: int) -> list[tuple[int, int]]:
        """The lowest ``count`` ranges."""
        return list(zip(self._starts[:count], self._ends[:count], strict=True))

    @property
    def first(self) -> tuple[int, int]:
        """The lowest range. Raises ``IndexError`` when the set is empty."""
        return self._starts[0], self._ends[0]

    @property
    def top(self) -> int:
        """One past the highest integer. Raises ``IndexError`` when the set is empty."""
        return self._ends[-1]

    def gaps(self, start: int, end: int) -> list[tuple[int, int]]:
        """The parts of ``start`` to ``end`` that are not in the set."""
        found = []
        at = bisect_right(self._ends, start)
        while start < end and at < len(self._starts) and self._starts[at] < end:
            if self._starts[at] > start:
                found.append((start, self._starts[at]))
            start = self._ends[at]
            at += 1
        if start < end:
            found.append((start, end))
        return found

    def add(self, start: int, end: int) -> None:
        # touching ranges are swallowed too, hence left on the ends and right on the starts
        low = bisect_left(self._ends, start)
        high = bisect_right(self._starts, end)
        if low < high:
            start = min(start, self._starts[low])
            end = max(end, self._ends[high - 1])
            self.total -= sum(self._ends[low:high]) - sum(self._starts[low:high])
        self._starts[low:high] = [start]
        self._ends[low:high] = [end]
        self.total += end - start

    def remove(self, start: int, end: int) -> int:
        """Take ``start`` to ``end`` out of the set. Gives how many integers that were."""
        low = bisect_right(self._ends, start)
        high = bisect_left(self._starts, end)
        if low >= high:
            return 0
        first, last = self._starts[low], self._ends[high - 1]
        gone = sum(self._ends[low:high]) - sum(self._starts[low:high])
        starts, ends = [], []
        if first < start:
            starts.append(first)
            ends.append(start)
            gone -= start - first
        if end < last:
            starts.append(end)
            ends.append(last)
            gone -= last - end
        self._starts[low:high] = starts
        self._ends[low:high] = ends
        self.total -= gone
        return gone
