"""Single datagrams that came in one batch, joined into the runs that UDP_GRO would have made of them.

The kernel coalesces only what was sent in one piece. Most peers send one datagram per call; in a run, all of them cost
little more to look at than one does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from holepunch.udp import MAX_DATAGRAM, MAX_SEGMENTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["joined"]

Source = TypeVar("Source")


def joined(
    slots: Sequence[memoryview], lengths: Sequence[int], segments: Sequence[int], sources: Sequence[Source]
) -> Iterator[tuple[memoryview, int, Source]]:
    """Payloads, bytes per datagram, and source of each run in a batch, in order.

    Of each message of the batch: where it lies, how long it is, the bytes of each of its datagrams, and whence it came.
    Neighbours from one source with one size, and a shorter one behind them, become one run. Empty ones are left out.
    """
    at, count = 0, len(lengths)
    while at < count:
        size, source = segments[at], sources[at]
        end = at + 1
        if 0 < lengths[at] == size:
            most = min(count, at + max(1, min(MAX_SEGMENTS, MAX_DATAGRAM // size)))
            while end < most and lengths[end] == segments[end] == size and sources[end] == source:
                end += 1
            if end < most and 0 < lengths[end] == segments[end] < size and sources[end] == source:
                end += 1
        if end > at + 1:
            run = b"".join([slots[number][: lengths[number]] for number in range(at, end)])
            yield memoryview(run), size, source
        elif lengths[at]:
            yield slots[at][: lengths[at]], size, source
        at = end
