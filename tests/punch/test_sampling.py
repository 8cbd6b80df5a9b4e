"""Who is asked where a punch socket is seen: nodes, and STUN servers only where these are not enough."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from holepunch.nat.classifier import Firewall
from holepunch.punch.sampling import ENOUGH, Sampling
from tests.punch.world import World, peer_behind

if TYPE_CHECKING:
    from collections.abc import Callable

    from holepunch.core import Role
    from holepunch.signaller import Cancel, Pong


def sample(nodes: int, *, dead: int = 0) -> tuple[int, Sampling]:
    """How often a STUN server that is silent was asked, and what was found out."""
    world = World()
    world.dead |= {node.address for node in world.nodes[:dead]}
    peer = peer_behind(world, "home", 1)
    peer.signaller.witness_limit = nodes
    asked = 0

    def ask(role: Role, on_pong: Callable[[Pong | None], None]) -> Cancel:
        nonlocal asked
        asked += 1
        return world.schedule.after(1.0, lambda: on_pong(None)).cancel

    peer.environment.stun = [ask]
    sampling = Sampling(peer.environment, peer.sockets.open())
    world.run(30)
    assert sampling.analysed.is_set
    sampling.close()
    return asked, sampling


def test_stun_servers_are_left_alone_where_nodes_tell_enough() -> None:
    asked, sampling = sample(ENOUGH)
    assert asked == 0
    assert sampling.firewall is Firewall.CONSISTENT


@pytest.mark.parametrize(("nodes", "dead"), [(0, 0), (ENOUGH - 1, 0), (ENOUGH, ENOUGH)])
def test_stun_servers_are_asked_once_where_nodes_are_few_or_silent(nodes: int, dead: int) -> None:
    assert sample(nodes, dead=dead)[0] == 1
