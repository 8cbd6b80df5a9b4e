"""A nursery that nobody sees: what the user's block raises leaves it as it was raised."""

from __future__ import annotations

import signal

import pytest
import trio

from holepunch.nursery import InternalError, hidden_nursery


async def _crash() -> None:
    raise LookupError("a bug")


async def test_block_that_ends_cancels_what_runs() -> None:
    async with hidden_nursery() as nursery:
        nursery.start_soon(trio.sleep_forever)


async def test_error_of_the_block_leaves_it_unchanged() -> None:
    error = ValueError("the user's own")

    async def block() -> None:
        async with hidden_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            raise error

    with pytest.raises(ValueError, match="the user's own") as caught:
        await block()
    assert caught.value is error


async def test_crash_in_the_background_is_an_internal_error_from_it() -> None:
    async def block() -> None:
        async with hidden_nursery() as nursery:
            nursery.start_soon(_crash)
            await trio.sleep_forever()

    with pytest.raises(InternalError) as caught:
        await block()
    assert isinstance(caught.value.__cause__, ExceptionGroup)
    assert isinstance(caught.value.__cause__.exceptions[0], LookupError)


async def test_error_of_the_block_wins_over_a_crash_in_the_background() -> None:
    async def block() -> None:
        async with hidden_nursery() as nursery:
            nursery.start_soon(_crash)
            try:
                await trio.sleep_forever()
            finally:
                raise ValueError("the user's own")

    with pytest.raises(ValueError, match="the user's own"):
        await block()


async def test_cancelled_block_is_cancelled_not_broken() -> None:
    with trio.move_on_after(0) as scope:
        async with hidden_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            await trio.sleep_forever()
    assert scope.cancelled_caught


async def test_keyboard_interrupt_leaves_it_unchanged() -> None:
    with pytest.raises(KeyboardInterrupt):
        async with hidden_nursery():
            raise KeyboardInterrupt


async def test_cancelled_block_can_still_use_what_runs_in_the_background() -> None:
    requests, answers = trio.open_memory_channel[int](0), trio.open_memory_channel[int](0)

    async def double() -> None:
        async for number in requests[1]:
            await answers[0].send(2 * number)

    result = 0
    with trio.move_on_after(0) as scope:
        async with hidden_nursery() as background:
            background.start_soon(double)
            try:
                await trio.sleep_forever()
            finally:
                with trio.move_on_after(5, shield=True):
                    await requests[0].send(21)
                    result = await answers[1].receive()
    assert scope.cancelled_caught
    assert result == 42


async def test_crash_is_told_when_all_that_it_ended_was_a_nursery_of_the_user() -> None:
    async def crash() -> None:
        raise ZeroDivisionError

    async def block() -> None:
        async with hidden_nursery() as background, trio.open_nursery() as own:
            own.start_soon(trio.sleep_forever)
            own.start_soon(trio.sleep_forever)
            background.start_soon(crash)

    with pytest.raises(InternalError) as caught:
        await block()
    assert isinstance(caught.value.__cause__, BaseExceptionGroup)


async def test_exit_asked_for_in_the_background_leaves_as_itself() -> None:
    async def leave() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            raise SystemExit(3)

    async def block() -> None:
        async with hidden_nursery() as background:
            background.start_soon(trio.sleep_forever)
            background.start_soon(leave)
            await trio.sleep_forever()

    with pytest.raises(SystemExit) as caught:
        await block()
    assert caught.value.code == 3


async def test_exit_asked_for_in_the_background_wins_over_an_error_of_the_block() -> None:
    async def leave() -> None:
        raise SystemExit(3)

    async def block() -> None:
        async with hidden_nursery() as background:
            background.start_soon(leave)
            try:
                await trio.sleep_forever()
            finally:
                raise ValueError("the user's own")

    with pytest.raises(SystemExit):
        await block()


def test_interrupt_while_the_background_runs_reaches_the_users_code() -> None:
    async def interrupted(*, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        signal.raise_signal(signal.SIGINT)
        task_status.started()
        await trio.sleep_forever()

    async def soon() -> None:
        async with hidden_nursery() as background:
            background.start_soon(interrupted)
            await trio.sleep_forever()

    async def started() -> None:
        async with hidden_nursery() as background:
            await background.start(interrupted)
            await trio.sleep_forever()

    # also where this program ignores it, as one does that a shell started in the background
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        for block in (soon, started):
            with pytest.raises(KeyboardInterrupt):
                trio.run(block)
    finally:
        signal.signal(signal.SIGINT, previous)
