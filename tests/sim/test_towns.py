"""Whatever happens to peers, in the end they are connected. ``make simulate`` tries many more seeds."""

from __future__ import annotations

import pytest

from tests.sim.town import live_through

pytestmark = pytest.mark.virtual_time


@pytest.mark.parametrize("seed", range(4))
async def test_after_a_minute_of_trouble_all_find_each_other_again(seed: int) -> None:
    outcome = await live_through(seed)
    assert outcome.good, "\n".join([f"{outcome.seconds} s", *outcome.apart, *outcome.log])
