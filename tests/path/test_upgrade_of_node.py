"""Peers that know no challenges: Node changes over on its own, and may let the relay go before its next frame."""

from __future__ import annotations

import pytest

from holepunch.path.upgrade import LAST_FRAME
from holepunch.udx.packet import DESTROY, MESSAGE, header
from tests.path.world import RELAY, World, opened

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


def changes_over_as_node_does(world: World) -> None:
    """``b`` does so, and lets the relay go before it has said anything in order."""
    opened(world)
    world.b.upgrade.close()
    world.a.upgrade.offer(world.a.route)
    world.b.is_node = True
    world.b.core.change_route(world.b.route, world.a.core.local_id, world.schedule.now)
    world.deliver(world.a, NOTICE, world.a.route, 0)
    world.run(0.1)
    world.relay_works = False
    world.deliver(world.a, header(DESTROY, 1, 0, 1 << 20, 0), RELAY, 0)
    world.run(0.1)
    assert not world.a.closed
    assert not world.a.directs


def test_node_peer_that_lets_the_relay_go_early_is_followed_from_its_next_frame_on(world: World) -> None:
    changes_over_as_node_does(world)
    world.a.write(b" is anybody there?")
    world.run(5)
    assert not world.a.directs
    world.b.write(b" keep-alive")
    world.run(1)
    assert world.a.directs == [world.a.route]
    assert world.b.received == b"hello from a is anybody there?!"
    world.run(10)
    assert world.a.lost_at is None


def test_message_and_the_end_of_the_relay_send_nothing_to_a_stranger(world: World) -> None:
    """It answered the punch, too, and nobody else comes."""
    changes_over_as_node_does(world)
    ended, sent = world.schedule.now - 0.1, len(world.a.sent)
    world.a.write(b" is anybody there?")
    world.run(10)
    assert world.a.lost_at == pytest.approx(ended + LAST_FRAME)
    assert {route for _, route, flags in world.a.sent[sent:] if flags != MESSAGE} == {RELAY}
    assert not world.a.directs


def test_application_that_reads_late_does_not_lose_a_peer_that_changed_over(world: World) -> None:
    changes_over_as_node_does(world)
    world.a.believes = False
    world.b.write(b" keep-alive")
    world.run(10)
    assert world.a.lost_at is None
    assert not world.a.directs
    world.a.believes = True
    world.a.upgrade.check()
    assert world.a.directs == [world.a.route]


def test_relay_that_ends_twice_is_waited_for_once(world: World) -> None:
    changes_over_as_node_does(world)
    world.run(5)
    assert world.a.upgrade.survives()
    world.run(2)
    assert world.a.lost_at is not None


def test_relay_that_ends_leaves_no_way_to_where_the_own_punch_was_not_answered(world: World) -> None:
    opened(world)
    world.direct_works = False
    world.deliver(world.a, NOTICE, world.a.route, 0)
    world.run(0.1)
    world.deliver(world.a, header(DESTROY, 1, 0, 1 << 20, 0), RELAY, 0)
    world.run(0.1)
    assert world.a.closed
    assert not world.a.directs
