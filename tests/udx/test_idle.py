from __future__ import annotations

import gc
import sys
from enum import Enum
from types import FunctionType, ModuleType

from holepunch.udx import UdxStream
from tests.udx.pair import Pair, pattern

LIMIT = 4096
"""Bytes of Python objects that an idle stream may hold on to: thousands of them are a normal case."""


def footprint(thing: object, seen: set[int]) -> int:
    """Bytes of an object and all it leads to that was not seen yet."""
    if id(thing) in seen or isinstance(thing, type | Enum | FunctionType | ModuleType | None):
        return 0
    seen.add(id(thing))
    return sys.getsizeof(thing) + sum(footprint(part, seen) for part in gc.get_referents(thing))


def test_an_idle_stream_is_small_even_after_a_bulk_transfer() -> None:
    pair = Pair()
    pair.a.write(pattern(3_000_000))
    pair.b.write(pattern(1_000_000))
    pair.run(seconds=30)
    assert pair.b.received_bytes == 3_000_000
    for peer in (pair.a, pair.b):
        shared: set[int] = set()
        footprint(UdxStream(3, now=0.0), shared)
        assert footprint(peer.stream, shared) < LIMIT
