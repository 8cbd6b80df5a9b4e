"""What tests need beside the library: programs that a machine may lack, and a clock that takes no time."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, TypeVar

import pytest
import trio
import trio.testing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

__all__ = ["need", "virtual_time"]

T = TypeVar("T")


def need(program: str) -> str:
    """The path of a program. Without it the test is skipped, or fails where skipping would hide it: with CI=true."""
    path = shutil.which(program)
    if path is not None:
        return path
    if os.environ.get("CI") == "true":
        pytest.fail(f"{program} is not installed, and CI=true allows no skipping", pytrace=False)
    pytest.skip(f"{program} is not installed")


def virtual_time(
    main: Callable[[], Awaitable[T]],
    *,
    clock: trio.abc.Clock | None = None,
    instruments: Sequence[trio.abc.Instrument] = (),
) -> T:
    """`trio.run` on a clock that jumps whenever every task waits, and in an order of tasks that is the same each time.

    Otherwise trio deals it anew in every run. ``ORDER=7 make test`` takes another one.
    """
    assert clock is None
    trio._core._run._ALLOW_DETERMINISTIC_SCHEDULING = True  # type: ignore[misc]
    trio._core._run._r.seed(int(os.environ.get("ORDER", "0")))
    return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0), instruments=instruments)
