"""The application's ``allow``: asked in a task of its own, which ends with the time it has to answer."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, cast

import pytest
import trio
import trio.testing

from holepunch.punch.accept import ANSWER_TIMEOUT
from holepunch.testing import VirtualNetwork
from swarm import DHT, ConnectError, KeyPair, Swarm
from swarm.dht.listener import decide
from swarm.testing import Testnet

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from holepunch.nursery import Background

pytestmark = pytest.mark.virtual_time

KEY = KeyPair.from_seed(bytes(32)).public_key


def tasks() -> int:
    """How many run now."""
    count, left = 0, [trio.lowlevel.current_root_task()]
    while left:
        task = left.pop()
        assert task is not None
        count += 1
        left += [child for nursery in task.child_nurseries for child in nursery.child_tasks]
    return count


async def verdicts(allow: Callable[..., bool | Awaitable[bool]], seconds: float) -> list[tuple[str, bool | None]]:
    """What happens within so many seconds of the question, in order: a turn of the cores, an answer."""
    happened: list[tuple[str, bool | None]] = []
    async with trio.open_nursery() as nursery:
        ask = decide(allow, cast("Background", nursery), lambda: happened.append(("turn", None)))
        ask(lambda verdict: happened.append(("answer", verdict)), KEY, ())
        await trio.sleep(seconds)
        seen = list(happened)
        nursery.cancel_scope.cancel()
    return seen


async def test_allow_that_hangs_is_cancelled_when_nobody_waits_for_it_any_more(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def allow(key: object) -> bool:
        await trio.sleep_forever()
        return True

    assert await verdicts(allow, ANSWER_TIMEOUT - 0.1) == []
    assert await verdicts(allow, ANSWER_TIMEOUT + 0.1) == [("turn", None), ("answer", None)]
    assert "allow said nothing" in caplog.text


@pytest.mark.parametrize("allowed", [True, False])
async def test_cores_are_told_the_time_before_they_are_given_the_answer(allowed: bool) -> None:
    async def allow(key: object) -> bool:
        await trio.sleep(2)
        return allowed

    assert await verdicts(allow, 2.1) == [("turn", None), ("answer", allowed)]
    assert await verdicts(lambda key: allowed, 0.1) == [("turn", None), ("answer", allowed)]


async def test_strangers_leave_no_task_behind_at_an_allow_that_hangs() -> None:
    async def allow(key: object) -> bool:
        await trio.sleep_forever()
        return True

    async with VirtualNetwork() as network:
        host = network.host("192.88.99.1")
        async with (
            Testnet(3, host="192.88.99.1", network=host) as net,
            DHT(bootstrap=net.bootstrap, network=network.host()) as server,
            Swarm(bootstrap=net.bootstrap, network=network.host(), allow=allow) as swarm,
            DHT(bootstrap=net.bootstrap, network=network.host()) as client,
        ):
            listener = await server.listen(allow=allow)
            swarm.join("topic", client=False)
            await swarm.flush()
            before = tasks()
            async with trio.open_nursery() as nursery:
                for key in (listener.public_key, swarm.public_key) * 3:
                    nursery.start_soon(partial(stranger, client, key))
            await trio.sleep(ANSWER_TIMEOUT)
            await trio.testing.wait_all_tasks_blocked()
            assert tasks() == before


async def stranger(client: DHT, key: bytes) -> None:
    with pytest.raises(ConnectError):
        await client.connect(key, key_pair=KeyPair.generate())
