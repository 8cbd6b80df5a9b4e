"""What links do to datagrams: delay, loss, order, size and rate."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from holepunch.testing import LAN, UPLINK, Link
from tests.testing.world import Port, World


def pair(link: Link, seed: int = 0) -> tuple[World, Port, Port]:
    """Two hosts on the internet; the first is connected by ``link``, the second by a perfect link."""
    world = World(seed)
    return world, Port(world.host(link=link)), Port(world.host(link=Link()))


def numbered(a: Port, b: Port, count: int, size: int = 100) -> list[bytes]:
    sent = [number.to_bytes(4, "big") * (size // 4) for number in range(count)]
    for payload in sent:
        a.send(payload, b.address)
    return sent


def test_delay_is_that_of_all_links_on_the_way() -> None:
    world = World()
    a, b = Port(world.place("home")), Port(world.host())
    a.send(b"x", b.address)
    world.settle()
    assert b.times == [pytest.approx(LAN.delay + 2 * UPLINK.delay)]
    assert b.sources == [(a.host.public_address, a.address.port)]


def test_loss_is_near_its_share_and_follows_the_seed() -> None:
    outcomes = []
    for seed in (1, 1, 2):
        world, a, b = pair(Link(loss=0.2), seed)
        numbered(a, b, 5000)
        world.settle()
        assert 0.18 < 1 - len(b.payloads) / 5000 < 0.22
        assert world.drops["lost on the link"] == 5000 - len(b.payloads)
        outcomes.append(b.payloads)
    assert outcomes[0] == outcomes[1] != outcomes[2]


def test_loss_on_one_link_does_not_depend_on_traffic_elsewhere() -> None:
    quiet, a, b = pair(Link(loss=0.5))
    numbered(a, b, 100)
    quiet.settle()
    busy, c, d = pair(Link(loss=0.5))
    e = Port(busy.host(link=Link(loss=0.5)))
    for number in range(100):
        e.send(b"noise", d.address)
        c.send(number.to_bytes(4, "big") * 25, d.address)
    busy.settle()
    assert [payload for payload in d.payloads if payload != b"noise"] == b.payloads


def test_jitter_keeps_the_order() -> None:
    world, a, b = pair(Link(delay=0.01, jitter=0.05))
    sent = numbered(a, b, 500)
    world.settle()
    assert b.payloads == sent
    assert b.times[0] < b.times[-1] <= 0.06 + 1e-9


def test_reordering_lets_some_be_overtaken_and_loses_none() -> None:
    world, a, b = pair(Link(delay=0.01, reorder=0.1))
    sent = numbered(a, b, 1000)
    world.settle()
    assert sorted(b.payloads) == sent
    late = sum(after < before for before, after in pairwise(b.payloads))
    assert 0 < late <= 150


def test_duplicates_arrive_twice() -> None:
    world, a, b = pair(Link(duplicate=1))
    numbered(a, b, 10)
    world.settle()
    assert len(b.payloads) == 20


def test_rate_spaces_datagrams_and_the_queue_is_bounded() -> None:
    world, a, b = pair(Link(rate=100_000, queue=0.05))
    numbered(a, b, 100, 972)  # 1000 bytes with headers: 10 ms each
    world.settle()
    assert b.times == [pytest.approx(0.01 * n) for n in range(1, len(b.times) + 1)]
    assert 5 <= len(b.times) <= 7
    assert b.payloads == sorted(b.payloads)


def test_what_is_larger_than_the_mtu_vanishes() -> None:
    world, a, b = pair(Link(mtu=1280))
    for size in (1252, 1253, 20):
        a.send(bytes(size), b.address)
    world.settle()
    assert [len(payload) for payload in b.payloads] == [1252, 20]
    assert world.drops == {"too large for the link": 1}


def test_run_stays_together_where_nothing_tells_its_datagrams_apart() -> None:
    world, a, b = pair(Link(delay=0.02))
    run = bytes(range(250)) * 4
    a.send(run, b.address, segment=300)
    world.settle()
    assert (b.payloads, b.segments) == ([run], [300])


@pytest.mark.parametrize("link", [Link(jitter=0.01), Link(rate=1e6), Link(reorder=0.001), Link(loss=1e-9)])
def test_run_falls_apart_on_a_link_that_treats_each_datagram(link: Link) -> None:
    world, a, b = pair(link)
    run = bytes(range(250)) * 4
    a.send(run, b.address, segment=300)
    world.settle()
    assert b.payloads == [run[:300], run[300:600], run[600:900], run[900:]]
    assert b.segments == [300, 300, 300, 100]


def test_only_the_datagrams_of_a_run_that_fit_get_through() -> None:
    world, a, b = pair(Link(mtu=1228))
    a.send(bytes(1300) + b"end", b.address, segment=1300)
    world.settle()
    assert b.payloads == [b"end"]


def test_conditions_may_change_and_differ_by_direction() -> None:
    world, a, b = pair(Link())
    a.host.up.link = Link(loss=1)
    a.send(b"lost", b.address)
    b.send(b"arrives", a.address)
    world.settle()
    assert (a.payloads, b.payloads) == ([b"arrives"], [])
    a.host.link = Link()
    a.send(b"arrives too", b.address)
    world.settle()
    assert b.payloads == [b"arrives too"]


@pytest.mark.parametrize("wrong", [{"loss": 1.5}, {"reorder": -1}, {"delay": -1}, {"rate": 0}])
def test_impossible_conditions_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Link(**wrong)
