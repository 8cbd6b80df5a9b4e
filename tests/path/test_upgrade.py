"""From the relay to the direct path: what proves a path, what does not, and that the stream loses nothing either way.

Two real UDX streams and two `Upgrade`s, on a schedule; between them a relay and a direct path that fail at will.
"""

from __future__ import annotations

import random
from functools import partial
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holepunch.address import Address
from holepunch.core import CLIENT, Schedule
from holepunch.path.challenge import SIZE, Challenges
from holepunch.path.upgrade import MAX_CANDIDATES, Upgrade
from holepunch.udx import Event, UdxStream
from holepunch.udx.packet import DATA, DESTROY, MESSAGE, decode, header

if TYPE_CHECKING:
    from holepunch.udx.values import Route, Transmit

RELAY: Route = (CLIENT, Address("9.9.9.9", 9))
HASH = bytes(range(64))
DELAY = 0.03
"""Seconds to the relay, and from it; as many between the peers directly."""


class End:
    """One peer: its stream through the relay, and what it notices."""

    def __init__(self, world: World, name: str, local_id: int, own: Address, punch_role: int) -> None:
        self.world = world
        self.name = name
        self.own = own
        self.punch_role = punch_role
        self.core = UdxStream(local_id, now=0)
        self.other: End
        self.upgrade: Upgrade
        self.received = b""
        self.closed = False
        self.directs: list[Route] = []
        self.done = 0
        self.speaks = True
        """It says something in order when its path has become direct, as our streams do."""
        self.believes = True
        """What arrives decrypts."""
        self.sent: list[tuple[float, Route, int]] = []
        """When, where and with which flags each packet left."""

    @property
    def route(self) -> Route:
        """Where this end reaches the other directly."""
        return self.punch_role, self.other.own

    def start(self) -> None:
        schedule = self.world.schedule
        self.core.connect(RELAY, 1000 + self.core.local_id, schedule.now)
        self.upgrade = Upgrade(
            self.core,
            self.other.core.local_id,
            Challenges(HASH, is_initiator=self.name == "a"),
            schedule,
            random.Random(self.name),
            decrypted=lambda: len(self.received) if self.believes else 0,
            touch=self.flush,
            on_direct=self._on_direct,
            on_done=self._on_done,
        )

    def _on_direct(self, route: Route) -> None:
        self.directs.append(route)
        if self.speaks:
            self.write(b"!")

    def _on_done(self) -> None:
        self.done += 1

    def write(self, data: bytes) -> None:
        self.core.write([data])
        self.flush()

    def flush(self) -> None:
        now = self.world.schedule.now
        self.core.flush(now)
        transmits, self.core.transmits = self.core.transmits, []
        for transmit in transmits:
            self.world.carry(self, transmit)
        events, self.core.events = self.core.events, []
        if Event.CLOSED in events:
            self.closed = True
        self.received += b"".join(self.core.take())
        deadline = self.core.deadline()
        if deadline < float("inf"):
            self.world.schedule.at(max(deadline, now), self._expire)

    def _expire(self) -> None:
        if self.core.deadline() <= self.world.schedule.now:
            self.core.expire(self.world.schedule.now)
            self.flush()

    def receive(self, data: bytes, route: Route) -> None:
        view = memoryview(data)
        if not self.upgrade.before(view, len(view), route):
            self.core.receive(view, len(view), route, self.world.schedule.now)
            self.received += b"".join(self.core.take())
            self.upgrade.after(route)
        self.flush()


class World:
    def __init__(self) -> None:
        self.schedule = Schedule()
        self.relay_works = self.direct_works = True
        self.a = End(self, "a", 1, Address("1.1.1.1", 11), 2)
        self.b = End(self, "b", 2, Address("2.2.2.2", 22), 3)
        self.a.other, self.b.other = self.b, self.a
        self.a.start()
        self.b.start()

    def carry(self, sender: End, transmit: Transmit) -> None:
        """Datagram by datagram; what goes to a route that leads nowhere is lost."""
        route = (transmit.role, transmit.to)
        data = b"".join(transmit.buffers)
        for at in range(0, len(data), transmit.segment):
            datagram = data[at : at + transmit.segment]
            sender.sent.append((self.schedule.now, route, datagram[2]))
            if route == RELAY and self.relay_works:
                rewritten = datagram[:4] + sender.other.core.local_id.to_bytes(4, "little") + datagram[8:]
                self.deliver(sender.other, rewritten, RELAY, 2 * DELAY)
            elif route == sender.route and self.direct_works:
                self.deliver(sender.other, datagram, sender.other.route, DELAY)

    def deliver(self, to: End, data: bytes, source: Route, delay: float) -> None:
        self.schedule.after(delay, lambda: to.receive(data, source))

    def run(self, seconds: float) -> None:
        until = self.schedule.now + seconds
        while self.schedule.now < until:
            self.schedule.advance(min(until, self.schedule.deadline()))


@pytest.fixture
def world() -> World:
    return World()


def opened(world: World) -> None:
    """Both have heard each other through the relay."""
    world.a.write(b"hello from a")
    world.b.write(b"hello from b")
    world.run(1)
    assert world.a.received == b"hello from b"
    assert world.b.received == b"hello from a"


@pytest.mark.parametrize("first", ["a", "b", "both"])
def test_both_change_over_whoever_notices_first(world: World, first: str) -> None:
    opened(world)
    for end in (world.a, world.b):
        if first in (end.name, "both"):
            end.upgrade.offer(end.route)
    world.run(1)
    assert world.a.directs == [world.a.route]
    assert world.b.directs == [world.b.route]
    assert world.a.done == world.b.done == 1


@pytest.mark.parametrize("first", ["a", "b", "both"])
def test_stream_in_flow_loses_and_repeats_nothing(world: World, first: str) -> None:
    sent = {"a": b"", "b": b""}

    def keep_sending(end: End, number: int) -> None:
        data = (f"{end.name}{number:05d} " * 200).encode()
        sent[end.name] += data
        end.write(data)
        if number < 200:
            world.schedule.after(0.005, lambda: keep_sending(end, number + 1))

    for end in (world.a, world.b):
        end.speaks = False
        keep_sending(end, 0)
        if first in (end.name, "both"):
            world.schedule.after(0.4, partial(end.upgrade.offer, end.route))
    world.run(10)
    assert world.a.received == sent["b"]
    assert world.b.received == sent["a"]
    assert world.a.upgrade.done
    assert world.b.upgrade.done


def test_nothing_depends_on_the_relay_once_both_are_done(world: World) -> None:
    world.a.write(bytes(200_000))
    world.b.write(bytes(200_000))
    world.a.upgrade.offer(world.a.route)
    while not (world.a.done and world.b.done):
        world.run(0.001)
    world.relay_works = False
    world.run(5)
    assert len(world.a.received) == len(world.b.received) == 200_001


def test_relay_is_kept_until_the_other_side_uses_the_direct_path_too(world: World) -> None:
    """Here it never does: the way back is closed."""
    opened(world)
    world.b.speaks = False
    world.a.upgrade.offer(world.a.route)
    world.run(0.07)
    assert world.a.directs
    assert not world.a.done


def test_candidate_that_does_not_answer_changes_nothing(world: World) -> None:
    opened(world)
    world.direct_works = False
    world.a.upgrade.offer(world.a.route)
    world.run(10)
    world.a.write(b" again")
    world.run(1)
    assert not world.a.directs
    assert world.b.received == b"hello from a again"


def test_lost_challenge_is_repeated(world: World) -> None:
    opened(world)
    world.direct_works = False
    world.a.upgrade.offer(world.a.route)
    world.run(0.2)
    world.direct_works = True
    world.run(0.3)
    assert world.a.directs
    assert world.b.directs


def test_stranger_with_the_stream_id_is_not_followed(world: World) -> None:
    """It sends the next data of the stream, which the stream takes; but it does not decrypt."""
    opened(world)
    world.b.believes = False
    stranger: Route = (3, Address("6.6.6.6", 6))
    world.deliver(world.b, header(DATA, 2, 1 << 20, 1, 1) + b"forged", stranger, 0)
    world.run(5)
    assert not world.b.directs
    assert world.b.core.route == RELAY
    assert all(route == RELAY for _, route, _ in world.b.sent)


def test_peer_that_changes_over_on_its_own_is_followed_when_its_data_decrypts(world: World) -> None:
    """As Node does it."""
    opened(world)
    world.b.believes = False
    world.a.core.change_route(world.a.route, world.b.core.local_id, world.schedule.now)
    world.a.write(b", directly")
    world.run(1)
    assert not world.b.directs
    world.b.believes = True
    world.b.upgrade.check()
    assert world.b.directs == [world.b.route]


NOTICE = header(MESSAGE, 1, 1 << 20, 1, 1)
"""What a Node peer sends when it has changed over; anyone who knows the stream's number can."""


def test_message_proves_nothing_even_where_the_own_punch_was_answered(world: World) -> None:
    opened(world)
    world.direct_works = False
    world.a.upgrade.offer(world.a.route)
    world.deliver(world.a, NOTICE, world.a.route, 0)
    world.run(10)
    assert not world.a.directs
    assert world.a.core.route == RELAY


def test_node_peer_that_lets_the_relay_go_early_is_followed_to_where_its_message_came_from(world: World) -> None:
    opened(world)
    world.a.upgrade.offer(world.a.route)
    world.b.upgrade.close()  # answers no challenges
    world.deliver(world.a, NOTICE, world.a.route, 0)
    world.run(0.1)
    world.relay_works = False
    world.deliver(world.a, header(DESTROY, 1, 0, 1 << 20, 0), RELAY, 0)
    world.run(0.1)
    assert not world.a.closed
    assert world.a.directs == [world.a.route]


def test_relay_that_ends_leaves_no_way_to_where_the_own_punch_was_not_answered(world: World) -> None:
    opened(world)
    world.direct_works = False
    world.deliver(world.a, NOTICE, world.a.route, 0)
    world.run(0.1)
    world.deliver(world.a, header(DESTROY, 1, 0, 1 << 20, 0), RELAY, 0)
    world.run(0.1)
    assert world.a.closed
    assert not world.a.directs


def test_answer_from_elsewhere_proves_nothing(world: World) -> None:
    opened(world)
    world.direct_works = False
    world.a.upgrade.offer(world.a.route)
    nonce = random.Random("a").randbytes(8)
    answer = header(MESSAGE, 1, 1 << 20, 1, 1) + Challenges(HASH, is_initiator=False).answer(nonce)
    world.deliver(world.a, answer, (2, Address("6.6.6.6", 6)), 0)
    world.run(0.1)
    assert not world.a.directs
    world.deliver(world.a, answer, world.a.route, 0)
    world.run(0.1)
    assert world.a.directs == [world.a.route]


def test_own_challenge_that_comes_back_is_nothing(world: World) -> None:
    opened(world)
    own = header(MESSAGE, 1, 1 << 20, 1, 1) + Challenges(HASH, is_initiator=True).challenge(bytes(8))
    world.deliver(world.a, own, (2, Address("6.6.6.6", 6)), 0)
    world.run(1)
    assert all(route == RELAY for _, route, _ in world.a.sent)


def test_end_of_the_relay_does_not_end_a_direct_connection(world: World) -> None:
    opened(world)
    world.a.upgrade.offer(world.a.route)
    world.run(1)
    world.deliver(world.b, header(DESTROY, 2, 0, 1 << 20, 0), RELAY, 0)
    world.run(1)
    assert not world.b.closed


def test_end_of_the_relay_ends_a_relayed_connection(world: World) -> None:
    opened(world)
    world.deliver(world.b, header(DESTROY, 2, 0, 1 << 20, 0), RELAY, 0)
    world.run(1)
    assert world.b.closed


def test_number_of_candidates_is_limited(world: World) -> None:
    opened(world)
    for port in range(1, 20):
        world.a.upgrade.offer((2, Address("6.6.6.6", port)))
    world.run(0.05)
    asked = {route for _, route, flags in world.a.sent if flags == MESSAGE}
    assert len(asked) == MAX_CANDIDATES


def test_first_flight_is_repeated_early(world: World) -> None:
    """A relay of Node's drops what comes before the other side was heard."""
    world.relay_works = False
    world.a.write(b"hello")
    world.run(0.9)
    assert [round(at, 3) for at, _, flags in world.a.sent if flags == DATA] == [0, 0.1, 0.25, 0.5]


def test_first_flight_that_arrived_is_not_repeated(world: World) -> None:
    """The answer takes 120 ms, so that the first repetition is on its way by then."""
    world.a.write(b"hello")
    world.b.write(b"hello")
    world.run(2)
    for end in (world.a, world.b):
        assert [round(at, 3) for at, _, flags in end.sent if flags & DATA] == [0, 0.1]


def test_closed_one_sends_and_reports_nothing(world: World) -> None:
    opened(world)
    world.direct_works = False
    world.a.upgrade.offer(world.a.route)
    world.a.upgrade.close()
    before = len(world.a.sent)
    world.a.upgrade.offer(world.a.route)
    world.run(5)
    assert len(world.a.sent) == before
    assert not world.a.directs


@given(st.binary(max_size=SIZE + 2))
def test_no_bytes_are_taken_for_a_path_message(data: bytes) -> None:
    assert Challenges(HASH, is_initiator=True).read(data) is None


@given(st.binary(min_size=8, max_size=8), st.booleans())
def test_path_message_is_read_by_the_other_side_only(nonce: bytes, is_answer: bool) -> None:
    initiator, responder = (Challenges(HASH, is_initiator=side) for side in (True, False))
    message = initiator.answer(nonce) if is_answer else initiator.challenge(nonce)
    assert responder.read(message) == (is_answer, nonce)
    assert initiator.read(message) is None
    assert Challenges(bytes(64), is_initiator=False).read(message) is None
    assert len(message) == SIZE


@given(st.binary(min_size=20, max_size=80), st.integers(0, 255))
def test_no_packet_makes_it_raise(data: bytes, flags: int) -> None:
    world = World()
    packet = b"\xff\x01" + bytes((flags,)) + data[3:4] + (2).to_bytes(4, "little") + data[8:]
    world.b.receive(packet, (3, Address("6.6.6.6", 6)))
    assert decode(memoryview(header(0, 1, 0, 0, 0))).flags == 0
