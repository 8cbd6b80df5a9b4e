"""The own connections to relays: what peers ask of them by the relays and tokens that they choose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from holepunch.address import Address
from holepunch.core import Schedule
from holepunch.keys import PublicKey
from holepunch.relay.client import RelayClient
from holepunch.relay.messages import PAIR, PROTOCOL, Pair
from holepunch.relay.pool import KEPT, MAX_NAMED, MAX_PER_HOST, PAIRING_TIMEOUT, RelayPool
from holepunch.relay.protomux import Protomux

if TYPE_CHECKING:
    from collections.abc import Callable

    from holepunch.relay.frame_pump import FramePump
    from holepunch.stream import EncryptedStream

OWN = bytes(32)
RELAY = PublicKey(b"\x01" * 32)
TOKEN = b"\xaa" * 32


class Stream:
    """As much of an `EncryptedStream` as a pump takes before it runs."""

    route = (0, Address("192.88.99.1", 1000))

    def __init__(self) -> None:
        self.on_stall: Callable[[bool], None] | None = None
        self.questions = 0

    def send_nothing(self) -> None:
        self.questions += 1

    def limit_frames(self, size: int) -> None:
        pass


class World:
    """A pool, and a relay that answers when told to."""

    def __init__(self) -> None:
        self.schedule = Schedule()
        self.pool = RelayPool(self._connect, self._spawn, self.schedule, OWN)
        self.find_path: Callable[[], None]
        self.answer_header: Callable[[], None]
        self.fail: Callable[[Exception], None]
        self.dialled: list[PublicKey] = []
        self.relay = Protomux()
        self.asked: list[Pair] = []
        self.channel = self.relay.create(PROTOCOL, OWN, receivers=[lambda body: self.asked.append(Pair.decode(body))])
        assert self.channel is not None
        self.channel.open()
        self._mux: Protomux | None = None

    def _connect(
        self,
        key: PublicKey,
        on_path: Callable[[EncryptedStream], None],
        on_open: Callable[[], None],
        on_failed: Callable[[Exception], None],
    ) -> Callable[[], None]:
        self.dialled.append(key)
        self.stream = stream = Stream()
        self.find_path = lambda: on_path(cast("EncryptedStream", stream))
        self.fail = on_failed

        self.answer_header = on_open
        return lambda: None

    def open(self) -> None:
        self.find_path()
        self.answer_header()

    def _spawn(self, run: Callable[[], Any]) -> None:
        pump: FramePump = run.__self__  # type: ignore[attr-defined]
        self._mux = pump.mux

    def pair(self, outcomes: list[str | None]) -> Any:
        return self.pool.pair(RELAY, TOKEN, True, 7, outcomes.append)

    def carry(self) -> None:
        """Let everything that is due happen, and every frame arrive."""
        self.schedule.advance(self.schedule.now)
        for mine, other in ((self._mux, self.relay), (self.relay, self._mux)):
            if mine is not None and other is not None:
                sent, mine.outgoing = mine.outgoing, []
                for frame in sent:
                    other.receive(frame)

    def answer(self, stream_id: int) -> None:
        assert self.channel is not None
        self.channel.send(PAIR, Pair(True, TOKEN, stream_id).encode())
        self.carry()


@pytest.mark.parametrize("opened", ["before", "between", "after"])
def test_second_stream_under_one_token_is_told_that_it_cannot_be_and_the_first_is_paired(opened: str) -> None:
    world = World()
    first: list[str | None] = []
    second: list[str | None] = []
    pairings = []
    for outcomes, moment in ((first, "before"), (second, "between")):
        pairings.append(world.pair(outcomes))
        if opened == moment:
            world.open()
        assert outcomes == []
    world.carry()
    assert (first, second) == ([], ["another stream uses this token at the relay"])
    pairings[1].end()
    if opened == "after":
        world.open()
        world.carry()
    world.carry()
    world.answer(99)
    assert len(world.asked) == 1
    assert first == [None]
    assert pairings[0].remote_id == 99
    world.schedule.advance(PAIRING_TIMEOUT + 1)
    assert (len(first), len(second)) == (1, 1)


def test_second_stream_under_one_token_may_be_withdrawn_before_it_is_told() -> None:
    world = World()
    outcomes: list[str | None] = []
    world.pair([])
    world.pair(outcomes).end()
    world.carry()
    assert outcomes == []


def test_token_may_be_used_again_once_its_stream_needs_it_no_more() -> None:
    world = World()
    first = world.pair([])
    world.open()
    first.end()
    outcomes: list[str | None] = []
    world.pair(outcomes)
    world.carry()
    world.answer(99)
    assert outcomes == [None]


def test_stream_that_a_relay_paired_under_the_number_0_is_told_once() -> None:
    world = World()
    outcomes: list[str | None] = []
    lost: list[None] = []
    pairing = world.pair(outcomes)
    pairing.on_lost = lambda: lost.append(None)
    world.open()
    world.carry()
    world.answer(0)
    assert outcomes == [None]
    assert world.channel is not None
    world.channel.close()
    world.carry()
    assert outcomes == [None]
    assert lost == [None]


def test_client_refuses_to_ask_twice() -> None:
    client = RelayClient(Protomux(), OWN, lambda: None)
    client.pair(True, TOKEN, 1, lambda _: None)
    with pytest.raises(ValueError, match="waits for its peer"):
        client.pair(True, TOKEN, 2, lambda _: None)


REFUSED: list[str | None] = ["no connection to this relay"]


def ask(world: World, number: int, named_by: str | None) -> tuple[Any, list[str | None]]:
    """For a pairing through the relay of this number."""
    outcomes: list[str | None] = []
    key = PublicKey(number.to_bytes(32, "big"))
    pairing = world.pool.pair(key, TOKEN, True, 7, outcomes.append, named_by=named_by)
    world.schedule.advance(world.schedule.now)
    return pairing, outcomes


def test_own_relay_is_connected_to_however_many_relays_strangers_name() -> None:
    world = World()
    refused = [ask(world, number, f"192.0.2.{number}")[1] for number in range(1, MAX_NAMED + 10)]
    assert refused.count(REFUSED) == 9
    assert ask(world, 1000, None)[1] == []
    assert len(world.dialled) == MAX_NAMED + 1


def test_own_relay_that_a_stranger_named_first_does_not_count_as_a_strangers() -> None:
    world = World()
    for number in range(1, MAX_PER_HOST + 1):
        ask(world, number, "192.0.2.1")
    assert ask(world, 50, "192.0.2.1")[1] == REFUSED
    world.pool.pair(PublicKey((1).to_bytes(32, "big")), b"other".ljust(32), True, 8, lambda _: None)
    assert ask(world, 50, "192.0.2.1")[1] == []


def test_one_host_names_a_few_relays_at_a_time() -> None:
    world = World()
    outcomes = [ask(world, number, "192.0.2.1")[1] for number in range(1, MAX_PER_HOST + 2)]
    assert outcomes == [[]] * MAX_PER_HOST + [REFUSED]
    assert ask(world, 100, "192.0.2.2")[1] == []


def test_connection_that_nobody_needs_makes_room_for_one_that_is_needed() -> None:
    world = World()
    pairings = [ask(world, number, "192.0.2.1")[0] for number in range(1, MAX_PER_HOST + 1)]
    pairings[2].end()
    assert ask(world, 100, "192.0.2.1")[1] == []
    ask(world, 3, "192.0.2.2")
    assert world.dialled.count(PublicKey((3).to_bytes(32, "big"))) == 2


def test_relay_that_answers_no_more_fails_who_waits_and_gets_a_new_connection_for_who_comes() -> None:
    world = World()
    waiting: list[str | None] = []
    world.pair(waiting)
    world.open()
    world.carry()
    on_stall = world.stream.on_stall
    assert on_stall is not None
    on_stall(True)
    assert waiting == ["the relay does not answer any more"]
    assert world.pool.is_down(RELAY)
    world.pair([])
    assert world.dialled == [RELAY, RELAY]
    on_stall(False)
    assert not world.pool.is_down(RELAY)


def test_relay_under_a_stalled_stream_is_passed_over_until_the_stream_goes_on() -> None:
    world = World()
    world.pair([])
    world.open()
    world.pool.doubt(RELAY, True)
    assert world.pool.is_down(RELAY)
    assert world.stream.questions == 1
    world.pool.doubt(RELAY, False)
    assert not world.pool.is_down(RELAY)


def test_request_leaves_before_the_relay_has_said_anything() -> None:
    world = World()
    outcomes: list[str | None] = []
    world.pair(outcomes)
    world.find_path()
    world.carry()
    assert [pair.token for pair in world.asked] == [TOKEN]
    world.answer_header()
    world.answer(99)
    assert outcomes == [None]
    assert len(world.asked) == 1


def test_relay_to_which_a_path_was_found_but_that_says_nothing_was_not_reached() -> None:
    world = World()
    outcomes: list[str | None] = []
    world.pair(outcomes)
    world.find_path()
    world.schedule.advance(PAIRING_TIMEOUT)
    assert outcomes == ["the relay was not reached in time"]
    assert world.pool.is_down(RELAY)


def test_relay_that_fails_after_a_path_to_it_was_found_ends_the_pairing_once() -> None:
    world = World()
    outcomes: list[str | None] = []
    world.pair(outcomes)
    world.find_path()
    world.fail(TimeoutError("no header"))
    world.schedule.advance(60)
    assert outcomes == ["no connection to the relay: no header"]


def test_relay_is_dialled_before_anybody_is_paired_and_kept_for_a_while() -> None:
    world = World()
    for _ in range(2):
        world.pool.prepare(RELAY)
    assert world.dialled == [RELAY]
    world.open()
    world.schedule.advance(KEPT - 1)
    world.pair([])
    world.carry()
    assert world.dialled == [RELAY]
    assert len(world.asked) == 1
    world.schedule.advance(KEPT + 5)
    world.pool.prepare(RELAY)
    world.schedule.advance(KEPT + 7)
    assert world.dialled == [RELAY]


def test_relay_that_nobody_was_paired_through_is_let_go() -> None:
    world = World()
    world.pool.prepare(RELAY)
    world.open()
    world.schedule.advance(KEPT)
    world.pool.prepare(RELAY)
    assert world.dialled == [RELAY, RELAY]
