"""Single datagrams that came in one batch, joined into the runs that UDP_GRO would have made of them.

The kernel coalesces only what was sent in one piece. Most peers send one datagram per call; in a run, all of them cost
little more to look at than one does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from holepunch.udp import MAX_DATAGRAM, MAX_SEGMENTS, Received

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holepunch.address import Address

__all__ = ["joined"]


def joined(batch: Sequence[Received]) -> list[Received]:
    """Neighbours from one source with one size, and a shorter one behind them, become one `Received`. None is moved."""
    runs: list[Received] = []
    at, count = 0, len(batch)
    while at < count:
        first = batch[at]
        view, size, source = first
        end = at + 1
        if len(view) == size:
            most = min(count, at + max(1, min(MAX_SEGMENTS, MAX_DATAGRAM // size)))
            while end < most and batch[end].segment == size and _continues(batch[end], source):
                end += 1
            if end < most and batch[end].segment < size and _continues(batch[end], source):
                end += 1
        if end > at + 1:
            first = Received(memoryview(b"".join([item.view for item in batch[at:end]])), size, source)
        runs.append(first)
        at = end
    return runs


def _continues(received: Received, source: Address) -> bool:
    return received.source == source and len(received.view) == received.segment
