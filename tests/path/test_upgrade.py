"""From the relay to the direct path: what proves a path, what does not, and that no byte is lost either way."""

from __future__ import annotations

import random
from functools import partial
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holepunch.address import Address
from holepunch.path.challenge import SIZE, Challenges
from holepunch.path.upgrade import MAX_CANDIDATES
from holepunch.udx.packet import DATA, DESTROY, MESSAGE, decode, header
from tests.path.world import HASH, RELAY, End, World, opened

if TYPE_CHECKING:
    from holepunch.udx.values import Route


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
