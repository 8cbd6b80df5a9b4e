"""From callables to awaiting: nothing is left behind by what failed, was cancelled, or ended with its block."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from swarm.awaiting import Waiters

if TYPE_CHECKING:
    from collections.abc import Callable


def begun() -> Waiters:
    waiters = Waiters("test", lambda: None)
    waiters.begin()
    return waiters


async def test_what_beginning_raises_comes_out_and_nothing_waits_for_it() -> None:
    waiters = begun()

    def begin(done: Callable[[None], None], fail: object) -> None:
        raise ValueError("misuse")

    with pytest.raises(ValueError, match="misuse"):
        await waiters.ask(begin)
    assert waiters.waiting == 0


async def test_what_is_waited_for_is_cancelled_with_the_waiting() -> None:
    waiters, cancelled = begun(), trio.Event()
    with trio.move_on_after(0):
        await waiters.ask(lambda done, fail: cancelled.set)
    assert cancelled.is_set()
    assert waiters.waiting == 0


async def test_closing_ends_every_wait() -> None:
    waiters = begun()

    async def ask() -> None:
        with pytest.raises(trio.ClosedResourceError, match="this test"):
            await waiters.ask(lambda done, fail: None)

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked()
        assert waiters.waiting == 3
        waiters.close()
    assert waiters.waiting == 0
    with pytest.raises(trio.ClosedResourceError):
        await waiters.ask(lambda done, fail: None)
