"""Listeners of events: none is told what came before, none keeps anything alive, and what is lost is told."""

from __future__ import annotations

import gc

import pytest
import trio

from holepunch.testing import VirtualNetwork
from swarm import DialFailed, DialStarted, EventsMissed, Swarm
from swarm.eventstream import MAX_BEHIND, EventStream, EventStreams
from swarm.policy.events import Event, TopicRefreshed
from swarm.topic import Topic

pytestmark = pytest.mark.virtual_time


def happening(number: int) -> Event:
    return TopicRefreshed(Topic(bytes(32)), True, number)


async def drain(stream: EventStream) -> list[Event]:
    events: list[Event] = []
    with trio.move_on_after(1):
        async for event in stream:
            events.append(event)
    return events


async def test_each_listener_hears_everything_from_when_it_began() -> None:
    streams = EventStreams()
    streams.emit(happening(0))
    first = streams.listen()
    streams.emit(happening(1))
    second = streams.listen()
    streams.emit(happening(2))
    assert await drain(first) == [happening(1), happening(2)]
    assert await drain(second) == [happening(2)]


async def test_loop_that_is_left_leaves_no_listener_behind() -> None:
    streams = EventStreams()
    gc.disable()  # what only that frees would be kept for long
    try:
        for _ in range(5):
            stream = streams.listen()
            streams.emit(happening(1))
            async for _event in stream:
                break
            assert len(streams) == 1
            del stream
            assert len(streams) == 0
    finally:
        gc.enable()


async def test_what_is_lost_is_told_where_it_is_missing() -> None:
    streams = EventStreams()
    stream = streams.listen()
    for number in range(MAX_BEHIND + 7):
        streams.emit(happening(number))
    taken = [await anext(stream) for _ in range(10)]
    assert taken == [happening(number) for number in range(10)]
    streams.emit(happening(5000))
    expected = [happening(number) for number in range(10, MAX_BEHIND)]
    assert await drain(stream) == [*expected, EventsMissed(7), happening(5000)]
    streams.emit(happening(5001))
    assert await drain(stream) == [happening(5001)]


async def test_what_is_lost_at_last_is_told_at_the_end() -> None:
    streams = EventStreams()
    stream = streams.listen()
    for number in range(MAX_BEHIND + 1):
        streams.emit(happening(number))
    streams.close()
    with trio.fail_after(1):
        events = [event async for event in stream]
    assert events[-1] == EventsMissed(1)
    assert len(events) == MAX_BEHIND + 1


async def test_closing_ends_every_iteration_and_frees_the_swarm_of_it() -> None:
    streams = EventStreams()
    ended: list[list[Event]] = []

    async def listen(stream: EventStream) -> None:
        ended.append([event async for event in stream])

    async with trio.open_nursery() as nursery, streams.listen() as stream:
        for _ in range(2):
            nursery.start_soon(listen, stream)
        await trio.sleep(1)
        streams.emit(happening(1))
        await trio.sleep(1)
        await stream.aclose()
    streams.emit(happening(2))
    assert sorted(ended) == [[], [happening(1)]]
    assert await drain(stream) == []


async def test_listener_that_is_cancelled_loses_no_event() -> None:
    streams = EventStreams()
    stream = streams.listen()
    with trio.CancelScope() as scope:
        scope.cancel()
        await anext(stream)
    with trio.move_on_after(1):
        await anext(stream)
    streams.emit(happening(1))
    with trio.CancelScope() as scope:
        scope.cancel()
        await anext(stream)
    assert await drain(stream) == [happening(1)]


async def test_swarm_s_events_end_with_its_block() -> None:
    async with VirtualNetwork() as network:
        async with Swarm(bootstrap=[], network=network.host()) as swarm:
            stream = swarm.events()
            swarm.join_peer(bytes(31) + b"\1")
            seen = [type(await anext(stream)), type(await anext(stream))]
            assert seen == [DialStarted, DialFailed]
        assert await drain(stream) == []
        with pytest.raises(trio.ClosedResourceError):
            swarm.events()
