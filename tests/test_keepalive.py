"""When an idle stream is to say that it lives."""

from __future__ import annotations

from holepunch.core import STEP
from holepunch.keepalive import KEEP_ALIVE, KeepAlive


def test_an_empty_frame_is_due_a_while_after_the_last_own_write_whatever_the_peer_wrote() -> None:
    alive = KeepAlive(100.0, waits=False)
    assert alive.due(False) == 100.0 + KEEP_ALIVE
    alive.heard_at = 103.0
    assert alive.due(False) == 100.0 + KEEP_ALIVE
    alive.wrote_at = 104.0
    assert alive.due(False) == 104.0 + KEEP_ALIVE


def test_of_two_peers_of_this_implementation_one_waits_for_the_frame_of_the_other() -> None:
    first, second = KeepAlive(100.0, waits=False), KeepAlive(100.0, waits=True)
    due = first.due(True)
    assert second.due(True) > due
    first.wrote_at = second.heard_at = due
    assert second.due(True) > first.due(True) == due + KEEP_ALIVE


def test_frames_of_many_streams_are_due_together() -> None:
    times = {KeepAlive(100.0 + n / 100, waits=False).due(False) for n in range(100)}
    assert len(times) <= 1 / STEP + 1
    assert all(KeepAlive(now, waits=False).due(False) > now for now in times)
