"""Protomux: what a remote can make it keep and send, and that nothing it sends makes it raise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from holepunch.compact import Writer
from holepunch.relay.protomux import MAX_BATCH, MAX_BUFFERED, MAX_CHANNELS, Notice
from tests.relay.muxes import Side, held, opened

if TYPE_CHECKING:
    from tests.relay.muxes import Two


def test_large_batch_is_split(two: Two) -> None:
    (a,) = opened(two, "one")
    with two.a.mux.corked():
        for _ in range(3):
            a.send(0, bytes(MAX_BATCH))
    assert len(two.a.mux.outgoing) == 3


def test_reading_pauses_while_much_waits_for_a_channel(two: Two) -> None:
    held(two.b, "wait")
    a = two.a.open("wait")
    a.send(0, bytes(MAX_BUFFERED))
    two.carry()
    assert two.b.mux.paused
    two.b.open("wait")
    assert not two.b.mux.paused


def test_remote_cannot_open_channels_without_end(two: Two) -> None:
    held(two.b, "wait")
    for _ in range(MAX_CHANNELS + 1):
        two.a.open("wait", unique=False)
    two.carry()
    assert two.b.mux.failed is not None


def test_batch_inside_a_batch_is_refused(two: Two) -> None:
    two.b.mux.receive(bytes.fromhex("000000" + "02" + "0000"))
    assert two.b.mux.failed is not None


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_no_bytes_make_it_raise(received: list[bytes]) -> None:
    side = Side("B")
    side.open("a")

    def on_notice(notice: Notice) -> None:
        side.channel("b", notice.id)

    side.mux.pair("b", on_notice)
    for frame in received:
        side.mux.receive(frame)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4), st.binary(max_size=8)), max_size=30))
def test_no_order_of_control_messages_makes_it_raise(messages: list[tuple[int, int, bytes]]) -> None:
    side = Side("B")
    for kind, number, rest in messages:
        side.mux.receive(Writer().uint(0).uint(kind).uint(number).buffer(b"p").raw(rest).to_bytes())
        if number == 4:
            created = side.channel("p", rest)
            if created is not None:
                created.open()
