"""Queries: whom they begin with, and what they leave behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from holepunch.address import Address
from swarm.kademlia.query import Commit
from swarm.kademlia.table import K
from tests.kademlia.puppets import PUT, TARGET, Scene, naming, some_addresses
from tests.kademlia.simnet import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# -- seeds


def test_the_nearest_is_asked_first_wherever_it_is_known_from() -> None:
    bootstrap, from_table, given = (some_addresses(2, seed=n) for n in range(3))
    scene = Scene(bootstrap=bootstrap, table=from_table)
    puppets = {address: scene.net.puppet(address, naming([])) for address in [*bootstrap, *from_table, *given]}
    scene.finish(nodes=given, concurrency=1)
    order = sorted(puppets, key=lambda address: puppets[address].heard[0][0])
    assert order == nearest(list(puppets), TARGET)


def test_search_begins_with_what_is_known_while_bootstrap_hosts_are_resolved() -> None:
    table, bootstrap = some_addresses(5, seed=9), some_addresses(2, seed=8)
    scene = Scene(table=table)
    scene.puppets([*table, *bootstrap], naming([]))
    resolving: list[Callable[[Sequence[Address]], None]] = []
    scene.node.resolve = resolving.append
    query = scene.query()
    scene.net.run(0.5)
    assert scene.ended == [query]
    assert query.closest_nodes == nearest(table, TARGET)
    resolving[0](bootstrap)
    scene.net.run(0.5)
    assert scene.ended == [query]


def test_search_that_only_knows_dead_nodes_waits_for_bootstrap_hosts() -> None:
    bootstrap = some_addresses(2, seed=8)
    scene = Scene(table=some_addresses(5, seed=9))
    scene.puppets(bootstrap, naming([]))
    resolving: list[Callable[[Sequence[Address]], None]] = []
    scene.node.resolve = resolving.append
    query = scene.query()
    scene.net.run(30)
    assert scene.ended == []
    resolving[0](bootstrap)
    scene.net.run(0.5)
    assert scene.ended == [query]
    assert query.closest_nodes == nearest(bootstrap, TARGET)


def test_bootstrap_nodes_are_asked_once_none_of_twenty_known_nodes_answers() -> None:
    bootstrap, table = some_addresses(2, seed=8), some_addresses(K, seed=9)
    scene = Scene(bootstrap=bootstrap, table=table)
    puppets = scene.puppets(bootstrap, naming([]))
    query = scene.finish()
    assert query.closest_nodes == nearest(bootstrap, TARGET)
    assert set(query.asked) == {*table, *bootstrap}
    assert [len(puppet.heard) for puppet in puppets] == [1, 1]
    assert query.errors == K


def test_bootstrap_nodes_are_left_alone_while_one_of_twenty_known_nodes_answers() -> None:
    bootstrap, table = some_addresses(2, seed=8), some_addresses(K, seed=9)
    scene = Scene(bootstrap=bootstrap, table=table)
    puppets = scene.puppets(bootstrap, naming([]))
    scene.puppets(table[:1], naming([]))
    query = scene.finish()
    assert query.successes == 1
    assert not any(puppet.heard for puppet in puppets)


def test_twenty_given_nodes_keep_the_table_out_and_go_slowly_first() -> None:
    given = some_addresses(K)
    scene = Scene(table=some_addresses(5, seed=9), bootstrap=some_addresses(2, seed=8))
    puppets = scene.puppets(given, None)
    others = scene.puppets([*some_addresses(5, seed=9), *some_addresses(2, seed=8)], naming([]))
    scene.query(nodes=given)
    scene.net.run(0.5)
    # the first round goes out at once; then three at a time until ten have answered
    assert [bool(puppet.heard) for puppet in puppets] == [True] * 10 + [False] * 10
    assert not any(puppet.heard for puppet in others)


@pytest.mark.parametrize(("answering", "asked"), [(10, K), (9, 12), (7, 10)])
def test_query_goes_broad_when_ten_of_the_given_nodes_answered(answering: int, asked: int) -> None:
    given = some_addresses(K)
    scene = Scene()
    puppets = [*scene.puppets(given[:answering], naming([])), *scene.puppets(given[answering:], None)]
    scene.query(nodes=given)
    scene.net.run(0.2)
    assert sum(bool(puppet.heard) for puppet in puppets) == asked


def test_given_nodes_of_no_use_are_made_up_for_from_the_table() -> None:
    table = some_addresses(5, seed=9)
    scene = Scene(table=table)
    scene.puppets(table, naming([]))
    query = scene.finish(nodes=some_addresses(K))
    assert query.closest_nodes == nearest(table, TARGET)


def test_only_the_given_nodes_are_asked_when_told_so() -> None:
    given, table = some_addresses(3), some_addresses(5, seed=9)
    scene = Scene(table=table, bootstrap=some_addresses(2, seed=8))
    others = scene.puppets([*table, *some_addresses(2, seed=8)], naming([]))
    scene.puppets(given, naming(table))
    query = scene.finish(nodes=given, only_nodes=True)
    assert query.closest_nodes == given
    assert not any(puppet.heard for puppet in others)


def test_query_waits_for_bootstrap_nodes_that_must_be_resolved_first() -> None:
    (address,) = some_addresses(1)
    scene = Scene()
    scene.net.puppet(address, naming([]))
    asked: list[Callable[[Sequence[Address]], None]] = []
    scene.node.resolve = asked.append
    scene.query()
    scene.net.run(5)
    assert not scene.ended
    asked[0]([address])
    scene.net.run(1)
    assert scene.ended[0].closest_nodes == [address]


# -- committing


def test_commit_goes_to_each_of_the_closest_with_its_own_token() -> None:
    everyone = some_addresses(30)
    scene = Scene(bootstrap=everyone[-3:])
    puppets = [
        scene.net.puppet(a, naming(everyone[:K], token=bytes([n]) * 32, value=b"v")) for n, a in enumerate(everyone)
    ]
    query = scene.finish(commit=lambda reply: Commit(PUT, reply.from_.host.encode()))
    for n, puppet in enumerate(puppets):
        puts = [r for _, _, r in puppet.heard if r.command == PUT]
        expected = [(bytes([n]) * 32, TARGET, puppet.address.host.encode(), False)] if n < K else []
        assert [(r.token, r.target, r.value, r.internal) for r in puts] == expected
    assert len(query.commits) == K


def test_query_ends_when_all_commits_were_answered_or_given_up() -> None:
    good, refusing, silent = some_addresses(3)
    scene = Scene(bootstrap=[good, refusing, silent])
    scene.net.puppet(good, naming([]))
    scene.net.puppet(refusing, lambda r: {"error": 17} if r.command == PUT else {})
    scene.net.puppet(silent, lambda r: None if r.command == PUT else {})
    query = scene.query(commit=lambda reply: Commit(PUT, b""))
    scene.net.run(3.9)
    assert not scene.ended
    scene.net.run(0.5)
    assert scene.ended == [query]
    assert sorted(reply.error for reply in query.commits) == [0, 17]


def test_query_cancelled_while_committing_forgets_its_commits() -> None:
    everyone = some_addresses(5)
    scene = Scene(bootstrap=everyone)
    for address in everyone:
        scene.net.puppet(address, lambda request: None if request.command == PUT else {})
    query = scene.query(commit=lambda reply: Commit(PUT, None))
    scene.net.run(0.5)
    assert scene.node.rpc.in_flight == 5
    query.cancel()
    assert scene.node.rpc.in_flight == 0
    scene.net.run(10)
    assert scene.ended == []


@pytest.mark.parametrize("answering", [True, False])
def test_query_with_nothing_to_commit_ends_all_the_same(answering: bool) -> None:
    (address,) = some_addresses(1)
    scene = Scene(bootstrap=[address])
    scene.net.puppet(address, naming([]) if answering else None)
    query = scene.finish(commit=lambda reply: None)
    assert query.commits == []
    assert len(query.closest) == answering


def test_forced_query_sends_once_and_past_the_window() -> None:
    (address,) = some_addresses(1)
    scene = Scene(bootstrap=[address])
    puppet = scene.net.puppet(address, None)
    for _ in range(100):
        scene.node.ping(Address("9.9.9.9", 9), lambda reply: None)
    query = scene.query(force=True)
    scene.net.run(0.1)
    assert len(puppet.heard) == 1
    scene.net.run(1)
    assert scene.ended == [query]
    assert len(puppet.heard) == 1
