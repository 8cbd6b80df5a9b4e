"""Section 11 of the protocol note, and beyond: whatever a peer sends, a stream neither raises nor spins nor grows."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from holepunch.udx import TimedOut, UdxStream
from holepunch.udx.packet import DATA, SACK, header, sack_area
from holepunch.udx.receiver import OVERRUN
from tests.udx.pair import route
from tests.udx.scripted import LOCAL, WINDOW, Scripted, packet

NUMBER = st.integers(0, 40) | st.integers(0, 2**32 - 1)
BLOCKS = st.lists(st.tuples(NUMBER, NUMBER), max_size=60)


@st.composite
def udx_packets(draw: st.DrawFn) -> bytes:
    head = header(
        draw(st.integers(0, 255)),
        LOCAL,
        draw(st.sampled_from([0, 1, 5000, WINDOW, 2**32 - 1])),
        draw(NUMBER),
        draw(NUMBER),
        draw(st.sampled_from([0, 0, 8, 255])),
    )
    return head + (sack_area(draw(BLOCKS)) if draw(st.booleans()) else draw(st.binary(max_size=30)))


def check(stream: UdxStream, now: float) -> None:
    flight = stream._sender.recovery.flight
    assert 0 <= flight.size <= flight.next - flight.una
    assert stream.readable <= WINDOW + OVERRUN
    assert stream.deadline() > now


@settings(max_examples=150, deadline=None)
@given(st.lists(st.binary(max_size=60) | udx_packets(), max_size=25), st.integers(0, 3))
def test_no_packets_raise_spin_or_corrupt_the_books(datagrams: list[bytes], pauses: int) -> None:
    peer = Scripted()
    for number, datagram in enumerate(datagrams):
        if number % 3 == 0 and not peer.stream.closed:
            peer.stream.write([bytes(4000)])
        peer.feed(datagram)
        check(peer.stream, peer.now)
        if pauses:
            peer.wait(0.3 * pauses)
            check(peer.stream, peer.now)


def test_a_long_storm_of_hostile_packets_is_survived() -> None:
    rng = random.Random(7)
    peer = Scripted()
    for step in range(6000):
        if peer.stream.closed:
            peer = Scripted()
        if rng.random() < 0.3:
            peer.stream.write([bytes(rng.randrange(8000))])
        flags = rng.choice([0, 0, 1, 1, 2, SACK, SACK | 1, 8, 32, 0x40, 16 if step % 500 == 0 else 0])
        near = peer.stream._sender.recovery.flight
        ack = rng.choice([near.una, near.next, rng.randint(near.una, near.next), rng.getrandbits(32)])
        seq = rng.choice([peer.stream._receiver.expected, rng.randrange(50), rng.getrandbits(32)])
        area = b""
        if flags & SACK:
            low = [rng.randint(near.una, near.next + 1) for _ in range(rng.randrange(5))]
            area = sack_area([(n, n + rng.randrange(6)) for n in low])
        datagram = header(flags, LOCAL, rng.choice([0, 100, WINDOW]), seq, ack) + (area or bytes(rng.randrange(20)))
        peer.receive(datagram)
        if rng.random() < 0.5:
            peer.drain()
            check(peer.stream, peer.now)
        if rng.random() < 0.2:
            peer.drain()
            peer.wait(rng.random())
        if rng.random() < 0.1:
            peer.take()


ACTIONS = st.sampled_from(["write", "sack all", "sack some", "acknowledge", "speak", "last again", "move", "wait"])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(ACTIONS, st.floats(0, 4)), min_size=8, max_size=30))
def test_sparse_writes_and_a_peer_that_sacks_what_it_likes_leave_the_books_in_order(
    actions: list[tuple[str, float]],
) -> None:
    peer = Scripted()
    stream = peer.stream
    for action, amount in actions:
        if stream.closed:
            return
        flight = stream._sender.recovery.flight
        match action:
            case "write":
                peer.write(bytes(1 + int(amount * 1000)))
            case "sack all":
                peer.feed(packet(0, 0, ack=flight.una, sacks=[(flight.una, flight.next)]))
            case "sack some":
                peer.feed(packet(0, 0, ack=flight.una, sacks=[(flight.next - 1, flight.next)]))
            case "acknowledge":
                peer.feed(packet(0, 0, ack=round(flight.una + (flight.next - flight.una) * amount / 4)))
            case "speak":
                peer.feed(packet(0, 0, ack=flight.una))
            case "last again":
                stream.send_last_again()
                peer.drain()
            case "move":
                stream.change_route(route(2), 5, peer.now, leave=amount < 2)
                peer.drain()
            case "wait":
                peer.wait(amount)
        if not stream.closed:
            check(stream, peer.now)


def test_peer_that_sacks_everything_and_acknowledges_nothing_is_given_up_like_a_silent_one() -> None:
    peer = Scripted()
    peer.write(b"header")
    peer.feed(packet(0, 0, sacks=[(0, 1)]))
    peer.wait(2)
    assert peer.feed(packet(0, 0)) == []
    peer.stream.send_last_again()
    assert peer.drain() == []
    peer.wait(20)
    assert isinstance(peer.stream.error, TimedOut)


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=400), st.integers(1, 120))
def test_runs_of_random_bytes_are_harmless(data: bytes, segment: int) -> None:
    stream = UdxStream(LOCAL, now=0.0)
    stream.connect(route(1), 1, 0.0)
    stream.receive(memoryview(data), segment, route(1), 0.0)
    stream.flush(0.0)
    assert not stream.readable


def test_run_of_datagrams_too_short_for_a_header_is_harmless() -> None:
    peer = Scripted()
    for segment in (4, 8, 12, 16):
        run = b"".join(packet(DATA, number)[:segment] for number in range(3))
        peer.stream.receive(memoryview(run), segment, route(1), peer.now)
    assert peer.drain() == []
