"""A secret stream between two sides of ours. Those of Node, as recorded, are in `test_recorded_streams`."""

from __future__ import annotations

import contextlib
import random
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holepunch.errors import DecodeError
from holepunch.secure import SecretStream
from holepunch.secure.secretstream import DATAGRAM_OVERHEAD, EMPTY_FRAME, MAX_FRAME, stream_id
from tests.secure.streams import both, cut, frames, opened, sessions, wire

# -- opening ---------------------------------------------------------------------------------------------------------


def test_stream_opens_with_the_header_of_the_same_handshake() -> None:
    sender, receiver = both()
    assert len(sender.header()) == 59
    assert not receiver.opened
    receiver.feed([sender.header()])
    assert receiver.next_frame() is None
    assert receiver.opened


def test_messages_may_follow_the_header_at_once() -> None:
    sender, receiver = both()
    receiver.feed([sender.header() + wire(sender, b"at", b"once")])
    assert frames(receiver) == [b"at", b"once"]


def test_own_header_sent_back_is_refused() -> None:
    sender, _ = both()
    sender.feed([sender.header()])
    with pytest.raises(DecodeError, match="another handshake"):
        sender.next_frame()
    assert not sender.opened


def test_stream_ids_differ_by_role_and_by_handshake() -> None:
    assert len({stream_id(h, role) for h in (bytes(64), bytes([1]) * 64) for role in (True, False)}) == 4


@pytest.mark.parametrize("size", [0, 55, 57, 0xFFFFFF])
def test_header_of_another_length_is_refused_before_it_has_arrived(size: int) -> None:
    _, receiver = both()
    receiver.feed([size.to_bytes(3, "little")])
    with pytest.raises(DecodeError, match=f"a header of {size} bytes, 56 expected"):
        receiver.next_frame()


def test_refused_stream_stays_refused() -> None:
    sender, receiver = opened()
    receiver.feed([b"\x11\0\0" + bytes(17), wire(sender, b"too late")])
    for _ in range(2):
        with pytest.raises(DecodeError, match="does not decrypt"):
            receiver.next_frame()


def test_keys_and_random_parts_of_another_length_are_misuse() -> None:
    session, _ = sessions()
    with pytest.raises(ValueError, match="32 and 24 bytes are needed, got 32 and 23"):
        SecretStream(session, bytes(23), bytes(8))
    with pytest.raises(ValueError, match="got 31 and 24"):
        SecretStream(session._replace(tx=bytes(31)), bytes(24), bytes(8))
    with pytest.raises(ValueError, match="a counter of 8 bytes is needed, got 7"):
        SecretStream(session, bytes(24), bytes(7))


# -- frames ----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("cipher")
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_every_kind_of_buffer_can_be_sent(kind: type[bytes] | type[bytearray] | type[memoryview]) -> None:
    sender, receiver = opened()
    receiver.feed(sender.encrypt(kind(b"text")))
    receiver.feed(sender.encrypt(memoryview(b"abcd").cast("I")))
    assert frames(receiver) == [b"text", b"abcd"]


def test_what_was_sent_is_not_changed_by_encrypting_or_decrypting_it() -> None:
    sender, receiver = opened()
    message = bytearray(b"message")
    encrypted = sender.encrypt(message)
    assert message == b"message"
    before = [bytes(part) for part in encrypted]
    receiver.feed(encrypted)
    assert receiver.next_frame() == b"message"
    assert [bytes(part) for part in encrypted] == before


@given(
    messages=st.lists(st.binary(max_size=300), max_size=20),
    sizes=st.lists(st.integers(0, 400), max_size=40),
    together=st.integers(1, 5),
)
def test_however_the_bytes_are_cut_the_messages_are_the_same(
    messages: list[bytes], sizes: list[int], together: int
) -> None:
    sender, receiver = both()
    chunks = cut(sender.header() + wire(sender, *messages), sizes)
    received = []
    for start in range(0, len(chunks), together):
        receiver.feed(chunks[start : start + together])
        received += frames(receiver)
    assert received == [m for m in messages if m]


def test_one_frame_may_be_taken_between_two_feeds() -> None:
    sender, receiver = opened()
    messages = [b"%d" % i * (i % 50 + 1) for i in range(500)]
    data = wire(sender, *messages)
    received = []
    for start in range(0, len(data), 100):
        receiver.feed([data[start : start + 100]])
        frame = receiver.next_frame()
        if frame is not None:
            received.append(frame)
    assert received + frames(receiver) == messages


@pytest.mark.usefixtures("cipher")
def test_largest_message_travels_in_small_pieces() -> None:
    sender, receiver = opened()
    message = random.Random(1).randbytes(1 << 20) * 16
    message = message[:MAX_FRAME]
    data = wire(sender, message)
    assert data[:3] == b"\xff\xff\xff"
    view = memoryview(data)
    for start in range(0, len(data), 1452):
        receiver.feed([view[start : start + 1452]])
        if start + 1452 < len(data):
            assert receiver.next_frame() is None
    assert receiver.next_frame() == message


def test_larger_message_is_misuse_and_sends_nothing() -> None:
    sender, receiver = opened()
    with pytest.raises(ValueError, match="at most 16777198 bytes, got 16777199"):
        sender.encrypt(memoryview(bytes(MAX_FRAME + 1)))
    receiver.feed(sender.encrypt(b"next"))
    assert receiver.next_frame() == b"next"


@pytest.mark.parametrize("size", range(17))
def test_frame_too_short_for_a_mac_is_refused(size: int) -> None:
    _, receiver = opened()
    receiver.feed([size.to_bytes(3, "little")])
    with pytest.raises(DecodeError, match=f"a frame of {size} bytes, at least 17 expected"):
        receiver.next_frame()


@pytest.mark.usefixtures("cipher")
@pytest.mark.parametrize("at", [3, 4, 8, -1])
def test_altered_frame_is_refused(at: int) -> None:
    sender, receiver = opened()
    data = bytearray(wire(sender, b"hello"))
    data[at] ^= 1
    receiver.feed([data])
    with pytest.raises(DecodeError, match="does not decrypt"):
        receiver.next_frame()


def test_dropped_repeated_or_swapped_frame_is_refused() -> None:
    for order in ([1], [0, 0], [1, 0]):
        sender, receiver = opened()
        data = [wire(sender, b"first"), wire(sender, b"second")]
        receiver.feed([data[i] for i in order])
        with pytest.raises(DecodeError):
            frames(receiver)


@given(st.lists(st.binary(max_size=100)))
def test_random_bytes_raise_nothing_but_decode_errors(chunks: list[bytes]) -> None:
    for receiver in (both()[1], opened()[1]):
        receiver.feed(chunks)
        with contextlib.suppress(DecodeError):
            assert frames(receiver) == []


def test_idle_stream_holds_no_data() -> None:
    sender, receiver = opened()
    receiver.feed([wire(sender, bytes(100_000), b"x")])
    assert len(frames(receiver)) == 2
    assert sys.getsizeof(receiver._data) == sys.getsizeof(bytearray())


# -- keep-alives and counts ------------------------------------------------------------------------------------------


def test_keep_alives_are_dropped() -> None:
    sender, receiver = opened()
    keep_alive = sender.keep_alive()
    assert len(keep_alive) == EMPTY_FRAME
    receiver.feed([keep_alive, *sender.encrypt(b"")])
    receiver.feed([sender.keep_alive(), *sender.encrypt(b"a"), sender.keep_alive(), *sender.encrypt(b"b")])
    assert frames(receiver) == [b"a", b"b"]


def test_many_keep_alives_in_a_row_are_dropped_at_once() -> None:
    sender, receiver = opened()
    receiver.feed([sender.keep_alive() for _ in range(5000)])
    assert receiver.next_frame() is None


def test_messages_and_bytes_are_counted_without_the_header() -> None:
    sender, receiver = opened()
    assert sender.message_bytes_sent == receiver.message_bytes_received == 0
    receiver.feed([sender.keep_alive()])
    receiver.feed(sender.encrypt(b"12345"))
    assert frames(receiver) == [b"12345"]
    assert sender.frames_sent == receiver.frames_received == 1
    assert sender.message_bytes_sent == receiver.message_bytes_received == EMPTY_FRAME + EMPTY_FRAME + 5
    assert sender.frames_received == sender.message_bytes_received == 0


# -- unordered messages ----------------------------------------------------------------------------------------------


def test_unordered_messages_need_no_header_and_no_order() -> None:
    sender, receiver = both()
    first, second = sender.seal(b"first"), sender.seal(memoryview(b"second"))
    assert receiver.open(memoryview(second)) == b"second"
    assert receiver.open(bytearray(first)) == b"first"
    assert len(first) == len(b"first") + DATAGRAM_OVERHEAD


def test_own_unordered_message_sent_back_does_not_open() -> None:
    sender, _ = both()
    assert sender.open(sender.seal(b"mine")) is None


@given(st.binary(max_size=100))
def test_random_datagram_does_not_open(datagram: bytes) -> None:
    assert both()[1].open(datagram) is None


@given(at=st.integers(0, 28), flip=st.integers(1, 255))
def test_altered_datagram_does_not_open(at: int, flip: int) -> None:
    sender, receiver = both()
    datagram = bytearray(sender.seal(b"hello"))
    datagram[at] ^= flip
    assert receiver.open(datagram) is None


def test_no_counter_is_ever_used_twice() -> None:
    session, _ = sessions()
    sender = SecretStream(session, bytes(24), b"\xff" * 8)
    assert sender.seal(b"")[:8] == bytes(8)
    sender._counter = 2**64 - 2
    for _ in range(2):
        with pytest.raises(OverflowError, match="used up"):
            sender.seal(b"")


# -- control frames --------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("cipher")
def test_control_frames_come_beside_the_messages_and_count_as_none() -> None:
    sender, receiver = opened()
    receiver.controls = []
    receiver.feed([wire(sender, b"one"), *sender.encrypt_control(b"for us"), wire(sender, b"two")])
    assert frames(receiver) == [b"one", b"two"]
    assert receiver.controls == [b"for us"]
    assert receiver.frames_received == sender.frames_sent == 2
    assert receiver.message_bytes_received == sender.message_bytes_sent
    assert receiver.control_bytes_received == sender.control_bytes_sent == EMPTY_FRAME + 6


@pytest.mark.usefixtures("cipher")
def test_without_agreement_a_tag_means_nothing() -> None:
    sender, receiver = opened()
    receiver.feed([*sender.encrypt_control(b"one"), wire(sender, b"two")])
    assert frames(receiver) == [b"one", b"two"]
    assert receiver.controls is None
