"""A stream goes where its peer went, once what came from there is proven to be the peer's, and for nothing less."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holepunch.core import Schedule
from holepunch.path.following import Following
from holepunch.udx.packet import DATA, HEARTBEAT
from tests.udx.pair import route
from tests.udx.scripted import REMOTE, Scripted, packet

if TYPE_CHECKING:
    from holepunch.udx import Route

HOME, ELSEWHERE, NOWHERE = route(REMOTE), route(5), route(6)


class Connection:
    """A stream that has taken ten bytes of its peer, and what it is told of other addresses."""

    def __init__(self) -> None:
        self.peer = Scripted()
        self.decrypted = 10
        self.peer.feed(packet(DATA, 0, bytes(10)))
        self.following = Following(
            self.peer.stream, Schedule(self.peer.now), decrypted=lambda: self.decrypted, touch=lambda: None
        )

    @property
    def route(self) -> Route | None:
        return self.peer.stream.route

    def stray(self, source: Route, datagram: bytes) -> None:
        view = memoryview(datagram)
        assert not self.following.before(view, len(view), source)
        self.peer.stream.receive(view, len(view), source, self.peer.now)
        self.following.after(source)
        self.peer.drain()

    def decrypt(self, count: int) -> None:
        self.decrypted += count
        self.following.check()


def test_it_follows_when_data_from_there_has_decrypted_and_not_before() -> None:
    connection = Connection()
    connection.stray(ELSEWHERE, packet(DATA, 1, bytes(10)))
    assert connection.route == HOME
    connection.decrypt(10)
    assert connection.route == ELSEWHERE


def test_packets_that_prove_nothing_move_nothing() -> None:
    connection = Connection()
    connection.stray(ELSEWHERE, packet(HEARTBEAT, 1))
    connection.stray(ELSEWHERE, packet(DATA, 0, bytes(10)))
    connection.stray(ELSEWHERE, packet(DATA, 7, bytes(10)))
    connection.decrypt(0)
    assert connection.route == HOME


def test_what_was_under_way_from_the_old_place_does_not_lead_back() -> None:
    connection = Connection()
    connection.stray(ELSEWHERE, packet(DATA, 2, bytes(10)))  # overtook its predecessor
    connection.stray(ELSEWHERE, packet(DATA, 1, bytes(10)))
    connection.decrypt(20)
    assert connection.route == ELSEWHERE
    connection.stray(HOME, packet(DATA, 1, bytes(10)))
    connection.decrypt(0)
    assert connection.route == ELSEWHERE


def test_more_that_comes_from_there_puts_the_proof_off_no_further() -> None:
    connection = Connection()
    for number in range(1, 4):
        connection.stray(ELSEWHERE, packet(DATA, number, bytes(10)))
    connection.decrypt(10)
    assert connection.route == ELSEWHERE


def test_a_peer_may_move_again_and_back() -> None:
    connection = Connection()
    for number, place in enumerate((ELSEWHERE, NOWHERE, HOME), start=1):
        connection.stray(place, packet(DATA, number, bytes(10)))
        connection.decrypt(10)
        assert connection.route == place


def test_what_was_not_acknowledged_leaves_again_for_the_new_place() -> None:
    connection = Connection()
    connection.peer.write(b"are you there?")
    connection.stray(ELSEWHERE, packet(DATA, 1, bytes(10)))
    connection.peer.sent_to.clear()
    connection.decrypt(10)
    assert [sent.payload for sent in connection.peer.drain() if sent.payload] == [b"are you there?"]
    assert set(connection.peer.sent_to) == {ELSEWHERE}


def test_a_stream_that_is_over_follows_nobody() -> None:
    connection = Connection()
    connection.stray(ELSEWHERE, packet(DATA, 1, bytes(10)))
    connection.peer.stream.destroy()
    connection.decrypt(10)
    assert connection.route == HOME
