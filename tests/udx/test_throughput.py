"""What share of a link a stream reaches: bounds that only a real change of behaviour crosses."""

from __future__ import annotations

import pytest

from tests.udx.pair import Link, Peer, World, route

MEGABIT = 125_000


def link(rate: float, rtt: float, *, loss: float = 0.0, queue: float = 1.0, seed: int = 0) -> Link:
    """``queue`` in bandwidth-delay products."""
    return Link(delay=rtt / 2, rate=rate, loss=loss, queue=rate * rtt * queue, seed=seed)


def flow(world: World, ids: tuple[int, int], forward: Link, back: Link) -> tuple[Peer, Peer]:
    sender, receiver = world.add("sender", ids[0], forward), world.add("receiver", ids[1], back)
    sender.stream.connect(route(2), ids[1], world.now)
    receiver.stream.connect(route(1), ids[0], world.now)
    receiver.keeping = False
    return sender, receiver


def share(rate: float, rtt: float, seconds: float, *, loss: float = 0.0, queue: float = 1.0) -> float:
    """Of the link, after a second of start-up."""
    world = World(tick=0.001)
    world.logging = False
    links = [link(rate, rtt, loss=loss, queue=queue, seed=seed) for seed in (1, 2)]
    sender, receiver = flow(world, (1, 2), *links)
    sender.write(bytes(int(rate * (seconds + 2))))
    world.run(seconds=1.0)
    before = receiver.received_bytes
    world.run(seconds=seconds)
    return (receiver.received_bytes - before) / (rate * seconds)


# the rate in megabits, the round trip, loss, queue in bandwidth-delay products; share at least
GRID = [
    (100, 0.1, 0.0, 1.0, 0.90),
    (100, 0.1, 0.0, 0.25, 0.90),
    (100, 0.1, 0.01, 1.0, 0.85),
    (100, 0.1, 0.05, 1.0, 0.50),
    (20, 0.04, 0.0, 1.0, 0.93),
    (20, 0.04, 0.05, 1.0, 0.80),
    (2, 0.3, 0.0, 4.0, 0.85),
]


@pytest.mark.parametrize(("megabits", "rtt", "loss", "queue", "least"), GRID)
def test_a_stream_fills_its_link(megabits: int, rtt: float, loss: float, queue: float, least: float) -> None:
    assert share(megabits * MEGABIT, rtt, 3.0, loss=loss, queue=queue) > least


def test_two_streams_share_a_link() -> None:
    world = World(tick=0.005)
    world.logging = False
    forward, back = Link(delay=0.02, rate=20 * MEGABIT, queue=100_000), Link(delay=0.02)
    flows = [flow(world, ids, forward, back) for ids in ((1001, 2), (3003, 4))]
    for sender, _ in flows:
        sender.write(bytes(40 * 20 * MEGABIT))
        world.run(seconds=1.0)
    before = [receiver.received_bytes for _, receiver in flows]
    world.run(seconds=30.0)
    shares = [
        (receiver.received_bytes - b) / (30 * 20 * MEGABIT) for (_, receiver), b in zip(flows, before, strict=True)
    ]
    assert min(shares) > 0.35
    assert sum(shares) > 0.9


def test_measuring_the_round_trip_anew_costs_a_moment_and_no_memory_of_the_bandwidth() -> None:
    rate = 20 * MEGABIT
    world = World(tick=0.001)
    world.logging = False
    forward = Link(delay=0.004, rate=rate, queue=50_000)
    sender, receiver = flow(world, (1, 2), forward, Link(delay=0.002))
    sender.write(bytes(30 * rate))
    congestion = sender.stream._sender.recovery.congestion
    world.run(seconds=2)
    forward.delay = 0.006
    world.run(seconds=12, until=lambda: congestion.probing_rtt)
    known = congestion.bandwidth
    world.run(seconds=0.5, until=lambda: not congestion.probing_rtt)
    assert congestion.bandwidth > 0.95 * known
    before = receiver.received_bytes
    world.run(seconds=0.2)
    assert receiver.received_bytes - before > 0.85 * 0.2 * rate


def test_a_fast_short_link_is_not_starved_by_late_timers() -> None:
    """500 MB/s and more, while the driver looks at the clock only once in 1.2 ms."""
    world = World(tick=0.0012)
    world.logging = False
    links = [Link(delay=0.00005) for _ in range(2)]
    sender, receiver = flow(world, (1, 2), *links)
    sender.write(bytes(100_000_000))
    world.run(seconds=100 / 500, until=lambda: receiver.received_bytes == 100_000_000)
