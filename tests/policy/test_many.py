"""Many swarms, many topics, random failures: in the end everyone has exactly the peers they should have."""

import random

import pytest

from swarm.policy import Limits
from swarm.topic import Topic
from tests.policy.world import TOPIC, Host, World


def expected(host: Host, joined: dict[Host, set[Topic]]) -> list[Host]:
    return [other for other in joined if other is not host and joined[host] & joined[other]]


def test_ten_swarms_on_one_topic_are_each_connected_to_the_nine_others() -> None:
    world = World(jitter=0.02)
    hosts = [world.host(number) for number in range(1, 11)]
    for host in hosts:
        host.policy.join(TOPIC)
        world.run(0.3)
    world.run(5)
    for host in hosts:
        assert host.remotes == [other for other in hosts if other is not host]
    world.check()


@pytest.mark.parametrize("seed", range(8))
def test_after_random_disconnects_everyone_has_exactly_the_expected_peers(seed: int) -> None:
    world = World(seed, jitter=0.02)
    rng = random.Random(seed)
    hosts = [world.host(number) for number in range(1, 11)]
    topics = [Topic.from_name(f"topic {number}") for number in range(15)]
    joined: dict[Host, set[Topic]] = {host: set() for host in hosts}
    for topic in topics:
        for host in rng.sample(hosts, rng.randrange(2, 6)):
            host.policy.join(topic)
            joined[host].add(topic)
    world.run(1)
    for _ in range(30):
        world.run(rng.random() * 10 / 15)
        host = rng.choice(hosts)
        if host.open:
            host.end(rng.choice(host.open))
    world.run(45)
    for host in hosts:
        assert host.remotes == expected(host, joined)
        for other in host.remotes:
            assert set(host.info(other).topics) <= joined[host] & joined[other]
    world.check()


@pytest.mark.parametrize("seed", range(4))
def test_peers_that_are_killed_and_restarted_are_all_found_again(seed: int) -> None:
    world = World(seed, jitter=0.02)
    rng = random.Random(seed)
    hosts = {number: world.host(number) for number in range(1, 7)}
    for host in hosts.values():
        host.policy.join(TOPIC)
    for _ in range(20):
        world.run(1)
        number = rng.randrange(1, 7)
        world.kill(hosts[number])
        hosts[number] = world.host(number)
        hosts[number].policy.join(TOPIC)
    world.run(60)
    for host in hosts.values():
        assert host.remotes == [other for other in hosts.values() if other is not host]
    world.check()


@pytest.mark.parametrize("seed", range(4))
def test_limits_hold_in_a_crowd_and_everyone_gets_somebody(seed: int) -> None:
    world = World(seed, jitter=0.02)
    hosts = [world.host(number, limits=Limits(max_peers=3)) for number in range(1, 13)]
    for host in hosts:
        host.policy.join(TOPIC)
    for _ in range(120):
        world.run(0.5)
        for host in hosts:
            stats = host.policy.stats()
            assert stats.connections + stats.connecting <= 3
    assert all(host.open for host in hosts)
    world.check()


def test_nothing_is_left_of_a_crowd_that_went_away() -> None:
    world = World(jitter=0.02)
    stays = world.host(100)
    stays.policy.join(TOPIC)
    hosts = [world.host(number) for number in range(1, 11)]
    for host in hosts:
        host.policy.join(TOPIC)
    world.run(20)
    assert len(stays.open) == 10
    for host in hosts:
        world.kill(host)
        world.records[TOPIC].pop(host.public_key)
    world.run(120)
    stats = stays.policy.stats()
    assert (stats.peers, stats.connections, stats.connecting, stats.queued, stats.waiting) == (0, 0, 0, 0, 0)
    assert stats.dialled.attempted == stats.dialled.opened + stats.dialled.failed
    assert stats.dialled.opened == stats.dialled.closed
    assert stats.accepted.opened == stats.accepted.closed
