"""A bug of this library costs the stream, or the datagram, that meets it, and nothing else."""

from __future__ import annotations

import random
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
import trio

from holepunch.containment import MAX_PLACES, Containment
from holepunch.core import SERVER
from holepunch.endpoint import Endpoint
from holepunch.nursery import InternalError
from holepunch.relay.forwarding import Budget, Leg
from holepunch.testing import VirtualNetwork
from holepunch.udx import UdxStream
from holepunch.udx.packet import header
from tests.pairs import connected

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from holepunch.address import Address
    from holepunch.core import Role
    from holepunch.stream import EncryptedStream
    from holepunch.udp import Received
    from holepunch.udx import Event
    from holepunch.udx.values import Route

Bugs = list[BaseException]
Pair = tuple["EncryptedStream", "EncryptedStream"]


class Bug(Exception):
    pass


@asynccontextmanager
async def two_pairs() -> AsyncIterator[tuple[Endpoint, Pair, Pair]]:
    """Two streams between two endpoints: the first endpoint, and both ends of each stream."""
    async with VirtualNetwork() as network:
        hosts = network.host(), network.host()
        a, b = (Endpoint(host, host.addresses[0], random.Random(n)) for n, host in enumerate(hosts))
        async with a.running(0), b.running(0):
            yield a, connected(a, b), connected(a, b)


class FailsToReceive(UdxStream):
    __slots__ = ()

    def receive(self, view: memoryview, segment: int, route: Route, now: float) -> None:
        raise Bug


class FailsToFlush(UdxStream):
    __slots__ = ()

    def flush(self, now: float) -> None:
        raise Bug


class FailsToExpire(UdxStream):
    __slots__ = ()

    def deadline(self) -> float:
        return trio.current_time()

    def expire(self, now: float) -> None:
        raise Bug


class FailsThroughout(FailsToFlush):
    __slots__ = ()

    def _send_control(self, flags: int, body: bytes = b"") -> None:
        raise Bug


def fails(stream: EncryptedStream, core: type[UdxStream]) -> None:
    stream._raw.core.__class__ = core


def fails_to_report(stream: EncryptedStream) -> None:
    told = stream._raw.on_event
    assert told is not None

    def hear(event: Event) -> None:
        told(event)
        raise Bug

    stream._raw.on_event = hear


async def drain(stream: EncryptedStream) -> None:
    while await stream.receive_some():
        pass


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    "sabotage",
    [
        *(partial(fails, core=core) for core in (FailsToReceive, FailsToFlush, FailsToExpire, FailsThroughout)),
        fails_to_report,
    ],
    ids=["receiving", "flushing", "expiring", "throughout", "reporting"],
)
async def test_bug_met_while_a_stream_is_served_ends_that_stream_and_no_other(
    sabotage: Callable[[EncryptedStream], None], contained_bugs: Bugs
) -> None:
    async with two_pairs() as (endpoint, (broken, peer), (left, right)):
        await broken.send_all(b"before")
        assert await peer.receive_some() == b"before"
        ended: list[None] = []
        broken.on_close = lambda: ended.append(None)
        sabotage(broken)
        await peer.send_all(b"something")
        with pytest.raises(trio.BrokenResourceError) as caught:
            await drain(broken)
        assert isinstance(caught.value.__cause__, InternalError)
        assert isinstance(caught.value.__cause__.__cause__, Bug)
        assert ended == [None]
        with pytest.raises(trio.BrokenResourceError):
            await broken.send_all(b"more")
        await peer.send_all(b"more")
        with pytest.raises(trio.BrokenResourceError):
            await peer.receive_some()
        await left.send_all(b"still here")
        assert await right.receive_some() == b"still here"
        assert len(endpoint.streams) == 1
        assert endpoint.containment.bugs >= 1
    assert {type(bug) for bug in contained_bugs} == {Bug}
    contained_bugs.clear()


@pytest.mark.virtual_time
async def test_bug_met_by_a_datagram_loses_it_and_those_that_follow_are_handed_over(contained_bugs: Bugs) -> None:
    async with two_pairs() as (endpoint, _, (left, right)):
        taken: list[bytes] = []

        def take(role: Role, view: memoryview, source: Address) -> bool:
            taken.append(bytes(view))
            if len(taken) == 1:
                raise Bug
            return True

        endpoint.on_datagram = take
        right._endpoint.sockets.send(SERVER, b"first", endpoint.sockets.local_address(SERVER))
        right._endpoint.sockets.send(SERVER, b"second", endpoint.sockets.local_address(SERVER))
        await trio.sleep(1)
        assert taken == [b"first", b"second"]
        await left.send_all(b"still here")
        assert await right.receive_some() == b"still here"
        assert endpoint.containment.bugs == 1
    assert len(contained_bugs) == 1
    contained_bugs.clear()


@pytest.mark.virtual_time
async def test_bug_in_a_forwarded_stream_costs_a_packet(contained_bugs: Bugs) -> None:
    async with two_pairs() as (endpoint, _, (left, right)):

        class FailingLeg(Leg):
            __slots__ = ()

            def forward(self, received: Received, role: int, now: float) -> NoReturn:
                raise Bug

        leg = endpoint.streams.add_leg(
            lambda local_id: FailingLeg(local_id, 1, lambda: None, Budget(1.0, 0.0), lambda: None)
        )
        packet = header(0, leg.local_id, 0, 0, 0)
        right._endpoint.sockets.send(SERVER, packet, endpoint.sockets.local_address(SERVER))
        await trio.sleep(1)
        await left.send_all(b"still here")
        assert await right.receive_some() == b"still here"
    assert len(contained_bugs) == 1
    contained_bugs.clear()


def test_bug_is_logged_when_it_is_the_first_of_its_place_and_always_counted(contained_bugs: Bugs) -> None:
    containment = Containment()

    def fail() -> None:
        raise Bug

    for _ in range(3):
        assert isinstance(containment.attempt(fail), Bug)
    assert isinstance(containment.attempt(int, "x"), ValueError)
    assert containment.attempt(int, "1") is None
    assert [type(bug) for bug in contained_bugs] == [Bug, ValueError]
    assert containment.bugs == 4
    contained_bugs.clear()


def test_places_that_are_logged_are_bounded(contained_bugs: Bugs) -> None:
    containment = Containment()
    for line in range(2 * MAX_PLACES):
        place: dict[str, Any] = {}
        exec(compile("\n" * line + "def fail(): raise KeyError", "somewhere", "exec"), place)
        containment.attempt(place["fail"])
    assert len(contained_bugs) == MAX_PLACES
    assert containment.bugs == 2 * MAX_PLACES
    contained_bugs.clear()


def test_what_ends_the_program_is_no_bug() -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Containment().attempt(interrupt)
