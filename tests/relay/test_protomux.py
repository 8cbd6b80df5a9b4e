"""Protomux: every recorded scenario of two Node instances gives the same frames, and the same events, between two of
ours."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from holepunch.compact import Reader, Writer
from holepunch.errors import DecodeError
from holepunch.relay import frames
from tests.recorded import recorded
from tests.relay.muxes import CASES, FILE, held, opened, string

if TYPE_CHECKING:
    from collections.abc import Callable

    from holepunch.relay.protomux import Channel, Notice
    from tests.relay.muxes import Two


def test_channel_is_open_when_both_sides_opened_it(two: Two) -> None:
    b = two.b.open("test/1")
    a = two.a.open("test/1")
    two.carry()
    a.send(0, string("hello"))
    b.send(1, Writer().uint(1000).to_bytes())
    two.carry()
    a.close()
    two.check("basic open, message, close")
    assert two.b.told == [("B", "open", b""), ("B", 0, string("hello")), ("B", "close", True)]
    assert two.a.told == [("A", "open", b""), ("A", 1, b"\xfd\xe8\x03"), ("A", "close", False)]
    assert two.a.mux.idle
    assert two.b.mux.idle


def test_handshakes_are_exchanged(two: Two) -> None:
    two.a.open("p", b"\x07" * 32, b"\x05")
    two.b.open("p", b"\x07" * 32, b"\xfd\x2c\x01")
    two.check("open with 32 byte id and uint handshake")
    assert two.b.told == [("B", "open", b"\x05")]
    assert two.a.told == [("A", "open", b"\xfd\x2c\x01")]


def test_corked_messages_leave_as_one_batch(two: Two) -> None:
    two.b.open("one", label="one")
    two.b.open("two", label="two")
    with two.a.mux.corked():
        one, other = two.a.open("one"), two.a.open("two")
        one.send(0, b"x1")
        one.send(0, b"x2")
        other.send(0, b"y1")
        one.send(0, b"x3")
    two.check("cork: two opens and four messages on two channels in one batch")
    messages = [entry for entry in two.b.told if entry[1] == 0]
    assert messages == [("one", 0, b"x1"), ("one", 0, b"x2"), ("two", 0, b"y1"), ("one", 0, b"x3")]


def test_cork_around_one_message_still_gives_a_batch(two: Two) -> None:
    (a,) = opened(two, "one")
    with two.a.mux.corked():
        a.send(0, b"solo")
    two.check("cork with a single message still uses the batch form")
    assert two.b.told == [("one", 0, b"solo")]


def test_empty_cork_sends_nothing(two: Two) -> None:
    with two.a.mux.corked():
        pass
    two.check("empty cork sends nothing")


def test_close_may_be_part_of_a_batch(two: Two) -> None:
    one, other = opened(two, "one", "two")
    with two.a.mux.corked():
        one.close()
        other.send(0, b"z")
    two.check("close inside a batch then message on another channel")
    assert two.b.told == [("one", "close", True), ("two", 0, b"z")]


def test_unknown_protocol_is_rejected_and_what_was_sent_early_ignored(two: Two) -> None:
    channel = two.a.open("unknown")
    channel.send(0, b"early")
    two.check("reject: remote has no such protocol")
    assert two.a.told == [("A", "close", True)]
    assert channel.closed
    assert two.b.mux.failed is None


def test_number_is_used_again_after_a_reject(two: Two) -> None:
    two.a.open("unknown")
    two.carry()
    two.a.sent.clear()
    two.b.sent.clear()
    two.a.open("again")
    two.check("local id reused after reject")


def test_alias_that_only_one_side_knows_is_rejected(two: Two) -> None:
    two.b.open("new-name", aliases=("old-name",))
    two.carry()
    two.a.open("old-name")
    two.check("alias, B (with alias) opens first: A does not know new-name and rejects")


def test_channel_with_an_alias_does_not_bind_from_inside_the_handler(two: Two) -> None:
    def on_notice(_: Notice) -> None:
        two.b.open("new-name", aliases=("old-name",))

    two.b.mux.pair("old-name", on_notice)
    two.a.open("old-name").send(0, string("hi"))
    two.check("alias, A opens old-name, B creates new-name with alias old-name only when notified")
    assert two.a.told == [("A", "close", True)]


def test_reject_of_an_alias_that_is_bound_already_is_fatal(two: Two) -> None:
    two.b.open("new-name", aliases=("old-name",))
    two.a.open("old-name").send(0, string("hi"))
    two.check("alias, both open at once: A old-name, B new-name alias old-name")
    assert two.b.told[:2] == [("B", "open", b""), ("B", 0, string("hi"))]
    assert two.b.mux.failed is not None
    assert two.a.mux.failed is None


def test_aliases_that_both_sides_know_work(two: Two) -> None:
    b = two.b.channel("new", aliases=("old",))
    assert b is not None
    two.b.mux.pair("old", lambda notice: None)
    b.open()
    a = two.a.open("old", aliases=("new",))
    a.send(0, string("hi"))
    b.send(0, string("yo"))
    two.check("aliases on both sides: old/new interoperate")
    assert ("B", 0, string("hi")) in two.b.told
    assert ("A", 0, string("yo")) in two.a.told


def test_channels_of_one_protocol_pair_in_the_order_of_opening(two: Two) -> None:
    first = two.a.open("multi", unique=False)
    second = two.a.open("multi", unique=False)
    first.send(0, string("first"))
    second.send(0, string("second"))
    two.b.open("multi", label="B1", unique=False)
    two.b.open("multi", label="B2", unique=False)
    two.check("two channels with the same protocol pair in order of opening")
    assert [entry for entry in two.b.told if entry[1] == 0] == [
        ("B1", 0, string("first")),
        ("B2", 0, string("second")),
    ]
    assert two.b.channel("multi") is None


def test_answers_to_a_batch_are_one_batch_even_when_they_come_later(two: Two) -> None:
    answers: list[Callable[[], None]] = []
    b: Channel

    def on_number(body: bytes) -> None:
        two.b.mux.cork()

        def answer() -> None:
            b.send(0, bytes([2 * body[0]]))
            two.b.mux.uncork()

        answers.append(answer)

    created = two.b.mux.create("double", receivers=[on_number])
    assert created is not None
    b = created
    b.open()
    a = two.a.open("double")
    two.carry()
    two.a.sent.clear()
    two.b.sent.clear()
    two.a.told.clear()
    with two.a.mux.corked():
        for number in (1, 2, 3):
            a.send(0, bytes([number]))
    two.carry()
    assert not two.b.sent
    for answer in answers:
        answer()
    two.check("replies to a batch come back as one batch (async handlers included)")
    assert two.a.told == [("A", 0, b"\x02"), ("A", 0, b"\x04"), ("A", 0, b"\x06")]


@pytest.mark.parametrize(
    "name",
    [
        "open naming channel id 0 (control)",
        "open that skips ids (first open uses 5): stream destroyed",
        "reject for an id never opened: stream destroyed",
    ],
)
def test_breach_of_the_protocol_is_fatal(two: Two, name: str) -> None:
    (_,) = opened(two, "x") if "5" not in name else (None,)
    for frame in CASES[name]["frames"]:
        two.b.mux.receive(bytes.fromhex(frame["hex"]))
    assert isinstance(two.b.mux.failed, DecodeError)


def test_what_comes_late_or_is_unknown_is_ignored(two: Two) -> None:
    name = "message on an unknown channel, close of unknown id, unknown control type, empty frame: all ignored"
    for frame in [*(bytes.fromhex(frame["hex"]) for frame in CASES[name]["frames"]), b""]:
        two.b.mux.receive(frame)
    assert two.b.mux.failed is None
    assert two.b.mux.outgoing == []


def test_unknown_type_is_ignored_and_so_is_what_follows_a_message(two: Two) -> None:
    opened(two, "one")
    for frame in CASES["unknown message type ignored; trailing bytes after a message ignored"]["frames"]:
        two.b.mux.receive(bytes.fromhex(frame["hex"]))
    ((_, type, body),) = two.b.told
    assert (type, Reader(body).string()) == (0, "hi")
    assert two.b.mux.failed is None


def test_message_that_does_not_decode_is_fatal(two: Two) -> None:
    texts: list[str] = []
    channel = two.b.mux.create("one", receivers=[lambda body: texts.append(Reader(body).string())])
    assert channel is not None
    channel.open()
    two.a.open("one")
    two.carry()
    two.b.mux.receive(bytes.fromhex(CASES["message that does not decode: stream destroyed"]["frames"][0]["hex"]))
    assert isinstance(two.b.mux.failed, DecodeError)
    assert channel.closed


def test_channel_that_exists_but_was_not_opened_accepts_nothing(two: Two) -> None:
    late = two.b.channel("late")
    two.a.open("late")
    two.carry()
    assert late is not None
    late.open()
    two.check(
        "a channel that exists but was not opened does not accept: open is rejected; later open by B is rejected too"
    )
    assert two.a.told == [("A", "close", True)]
    assert two.b.told == [("B", "close", True)]


def test_handler_may_decide_later_and_loses_nothing(two: Two) -> None:
    notices = held(two.b, "wait")
    two.a.open("wait", b"\xbe\xef").send(0, string("early"))
    two.carry()
    (notice,) = notices
    assert notice.id == b"\xbe\xef"
    two.b.open("wait", notice.id)
    notice.release()
    notice.release()
    two.check("pair handler: channel made asynchronously, early message kept and delivered after onopen")
    assert two.b.told == [("B", "open", b""), ("B", 0, string("early"))]
    assert two.a.told == [("A", "open", b"")]


def test_handler_that_opens_nothing_in_the_end_rejects(two: Two) -> None:
    notices = held(two.b, "wait")
    two.a.open("wait").send(0, bytes(100))
    two.carry()
    assert two.a.told == []
    notices[0].release()
    two.carry()
    assert two.a.told == [("A", "close", True)]
    assert not two.b.mux.paused


def test_numbers_are_used_again_after_a_close(two: Two) -> None:
    two.b.open("r")
    a = two.a.open("r")
    two.carry()
    a.close()
    two.carry()
    two.a.open("r")
    b = two.b.open("r")
    two.carry()
    b.close()
    two.carry()
    sent = {"A": two.a.sent, "B": two.b.sent}
    recorded = CASES["ids are reused after a close"]["frames"]
    assert sent == {side: [frame["hex"] for frame in recorded if frame["from"] == side] for side in "AB"}


def test_number_is_kept_until_the_remote_answers_a_channel_that_was_closed_early(two: Two) -> None:
    two.a.open("r").close()
    assert not two.a.mux.idle
    two.carry()
    assert two.a.mux.idle
    two.a.open("r")
    two.check(
        "close before the remote answered: id is kept until the remote rejects, next open takes a new id if not yet "
        "released"
    )


def test_every_recorded_scenario_is_tested() -> None:
    source = Path(__file__).read_text()
    missing = [name for name in CASES if name.split('"')[0][:60] not in source]
    assert missing == []


@pytest.mark.parametrize("case", recorded(FILE, "scenario"))
def test_recorded_frames_decode_and_encode_to_the_same_bytes(case: dict[str, Any]) -> None:
    for frame in case["frames"]:
        data = bytes.fromhex(frame["hex"])
        if not data or frame["decoded"].get("control") == 9:
            continue
        items = list(frames.items(data))
        encoded = frames.batch(items) if frame["decoded"].get("control") == "batch" else items[0].encode()
        assert encoded == data


def test_end_of_the_stream_closes_every_channel(two: Two) -> None:
    opened(two, "one", "two")
    two.b.mux.close()
    assert two.b.told == [("one", "close", True), ("two", "close", True)]
