"""Queries: who is asked, what silence means, and when they end."""

from __future__ import annotations

import random
from typing import Any

import pytest

from holepunch.address import Address
from swarm.kademlia.candidates import MAX_ADDRESSES
from swarm.kademlia.ids import node_id
from swarm.kademlia.maintenance import HINTS_PER_TICK
from swarm.kademlia.packets import DOWN_HINT, RequestPacket, decode_address
from swarm.kademlia.query import Commit
from swarm.kademlia.table import K
from tests.kademlia.puppets import GET, PUT, TARGET, Scene, after, naming, some_addresses
from tests.kademlia.simnet import SimNet, closest

# -- searching


def test_search_ends_at_the_truly_closest_nodes() -> None:
    net = SimNet(seed=7)
    first = net.first()
    hosts = [first, *net.persistent(80, first)]
    missed = 0
    for n in range(20):
        target = random.Random(n).randbytes(32)
        asker = hosts[4 * n]
        query = net.find_node(asker, target)
        true = closest([host for host in hosts if host is not asker], target)
        assert query.closest_nodes[:10] == true[:10]
        missed += len(set(true) - set(query.closest_nodes))
    # nodes name the closest of their tables in an order that is not quite by distance
    assert missed <= 0.02 * 20 * K


def test_search_on_a_lossy_network_waits_for_retries() -> None:
    net = SimNet(seed=3)
    first = net.first()
    hosts = [first, *net.persistent(15, first)]
    net.loss = 0.3
    query = net.find_node(hosts[7], TARGET)
    assert query.closest_nodes == closest([host for host in hosts if host is not hosts[7]], TARGET)
    assert query.errors == 0


@pytest.mark.parametrize(("lossy", "ended"), [(False, True), (True, False)])
def test_dead_node_of_a_small_network_is_not_waited_for_unless_packets_are_lost(lossy: bool, ended: bool) -> None:
    dead, *living = some_addresses(3)
    scene = Scene(table=[dead, *living])
    scene.puppets([dead], None)
    for address in living:
        scene.net.puppet(address, after(1 if lossy else 0, []))
    query = scene.query()
    scene.net.run(2.0)
    assert bool(scene.ended) is ended
    assert query.closest_nodes == living
    scene.net.run(8)
    assert scene.ended == [query]
    assert node_id(dead) not in scene.node.table


def test_later_search_waits_for_a_silent_node_no_longer_than_others_take() -> None:
    dead, living = some_addresses(2)
    scene = Scene(bootstrap=[living])
    scene.puppets([dead], None)
    scene.net.puppet(living, naming([dead]))

    def seconds() -> float:
        started, query = scene.net.schedule.now, scene.query()
        scene.net.run_until(lambda: query.ended)
        return scene.net.schedule.now - started

    took = [seconds() for _ in range(3)]
    assert took[0] > 0.6
    assert max(took[1:]) < 0.3


def test_node_that_is_back_is_found_although_it_was_silent_a_moment_ago() -> None:
    back, living = some_addresses(2)
    scene = Scene(bootstrap=[living])
    silent = scene.puppets([back], None)[0]
    scene.net.puppet(living, naming([back]))
    assert scene.finish().closest_nodes == [living]
    silent.answer = naming([])
    query = scene.query()
    scene.net.run_until(lambda: query.ended)
    assert query.closest_nodes == [back, living]


def test_node_that_is_left_out_is_doubted_by_who_named_it_at_once() -> None:
    dead, living = some_addresses(2)
    scene = Scene(bootstrap=[living])
    scene.puppets([dead], None)
    puppet = scene.net.puppet(living, naming([dead]))
    scene.finish()
    scene.net.run(0.1)
    hints = [request for _, _, request in puppet.heard if request.command == DOWN_HINT]
    assert [decode_address(hint.value or b"") for hint in hints] == [dead]
    scene.net.run(10)  # it is given up
    assert sum(request.command == DOWN_HINT for _, _, request in puppet.heard) == 1


def test_node_that_answers_after_all_is_doubted_no_more() -> None:
    slow, slower, *chain = some_addresses(17)
    chain.reverse()
    scene = Scene(bootstrap=chain[:1])
    for address, following in zip(chain, [*chain[1:], slower], strict=True):  # which takes so long as to be asked last
        scene.net.puppet(address, naming([slow, following]))
    scene.net.puppet(slow, after(2, []))
    puppet = scene.net.puppet(slower, after(2, [slow]))
    query = scene.finish()
    scene.net.run(0.1)
    assert query.closest_nodes[:2] == [slow, slower]
    assert DOWN_HINT not in [request.command for _, _, request in puppet.heard]


def test_search_follows_the_nodes_it_is_told_of() -> None:
    chain = some_addresses(30)[::-1]
    scene = Scene(bootstrap=chain[:1])
    for address, closer in zip(chain, [*([a] for a in chain[1:]), []], strict=True):
        scene.net.puppet(address, naming(closer))
    query = scene.finish()
    assert query.closest_nodes == chain[::-1][:K]
    assert query.successes == 30
    assert [reply.from_ for reply in scene.replies] == chain


def test_every_node_is_asked_the_same_once() -> None:
    everyone = some_addresses(15)
    scene = Scene(bootstrap=everyone[:2])
    puppets = scene.puppets(everyone, naming(everyone))
    scene.finish()
    for puppet in puppets:
        assert [(r.command, r.target, r.value, r.token) for _, _, r in puppet.heard] == [(GET, TARGET, b"?", None)]


def test_reading_of_a_list_stops_at_the_first_node_that_is_not_closer() -> None:
    near = some_addresses(45)
    scene = Scene(table=near[:K])
    scene.puppets(near[1:], naming([]))
    scene.net.puppet(near[0], naming([near[30], near[5]]))
    unlisted = scene.net.puppet(near[40], naming([]))
    query = scene.query()
    scene.net.run(0.5)
    assert scene.ended
    assert query.closest_nodes == near[:K]
    assert unlisted.heard == []


def test_nodes_without_id_answer_but_are_never_among_the_closest() -> None:
    addresses = some_addresses(3)
    scene = Scene(bootstrap=addresses)
    for address in addresses:
        scene.net.puppet(address, naming([]), persistent=False)
    query = scene.finish()
    assert len(scene.replies) == 3
    assert query.closest == []


def test_error_replies_are_read_for_closer_nodes_only() -> None:
    unwilling, willing = some_addresses(2)
    scene = Scene(bootstrap=[unwilling])
    scene.net.puppet(unwilling, naming([willing], error=1))
    scene.net.puppet(willing, naming([]))
    query = scene.finish()
    assert [reply.from_ for reply in scene.replies] == [willing]
    assert query.closest_nodes == [willing]
    assert (query.successes, query.errors) == (1, 1)


def test_filtered_own_and_impossible_addresses_are_not_asked() -> None:
    bootstrap, good, stray = some_addresses(3)
    scene = Scene(bootstrap=[bootstrap], node_filter=lambda address: address != stray)
    scene.node.rpc.table.rebuild(node_id(scene.host.address))
    odd = [scene.host.address, stray, Address("0.0.0.1", 5), Address("224.0.0.1", 5), Address("20.0.0.1", 0), good]
    puppets = {address: scene.net.puppet(address, naming([])) for address in odd[1:]}
    scene.net.puppet(bootstrap, naming(odd))
    scene.finish()
    assert [address for address, puppet in puppets.items() if puppet.heard] == [good]


def test_query_without_anybody_to_ask_ends_after_it_was_started() -> None:
    scene = Scene()
    query = scene.query()
    assert not query.ended
    scene.net.run(0)
    assert scene.ended == [query]
    assert query.ended


def test_closest_known_node_is_asked_next() -> None:
    near = some_addresses(40)
    scene = Scene(table=near[10:30])
    puppets = scene.puppets(near, None)
    puppets[12].answer = naming(near[5:8])
    scene.query()
    scene.net.run(0.1)
    assert [n for n, puppet in enumerate(puppets) if puppet.heard] == [5, *range(10, 20)]


def test_nobody_is_asked_beyond_the_twenty_closest_known() -> None:
    near = some_addresses(50)
    scene = Scene(table=near[:K])
    puppets = scene.puppets(near, naming(near[::-1]))
    query = scene.finish()
    assert query.closest_nodes == near[:K]
    assert not any(puppet.heard for puppet in puppets[K:])


def test_next_closest_stands_in_for_a_node_that_keeps_silent() -> None:
    near = some_addresses(K + 2)
    scene = Scene(table=near[:K])
    scene.puppets(near[1:], naming(near[::-1]))
    scene.net.puppet(near[0], None)
    query = scene.query()
    scene.net.run(1.1)
    assert scene.ended == [query]
    assert query.closest_nodes == near[1 : K + 1]


def test_ten_are_asked_at_a_time() -> None:
    scene = Scene(table=some_addresses(K))
    puppets = scene.puppets(some_addresses(K), None)
    scene.query()
    scene.net.run(0.4)
    assert sum(bool(puppet.heard) for puppet in puppets) == 10


# -- silence


def test_slow_nodes_give_up_their_place_after_a_second() -> None:
    scene = Scene(table=some_addresses(K))
    puppets = scene.puppets(some_addresses(K), None)
    scene.query()
    scene.net.run(1.5)
    assert sum(bool(puppet.heard) for puppet in puppets) == K


def test_silent_node_is_asked_six_times_in_six_seconds() -> None:
    (silent,) = some_addresses(1)
    scene = Scene(bootstrap=[silent])
    puppet = scene.net.puppet(silent, None)
    query = scene.query()
    scene.net.run(5.99)
    assert not scene.ended
    scene.net.run(0.01)
    assert scene.ended == [query]
    assert len(puppet.heard) == 6
    assert query.errors == 1


def test_search_does_not_wait_for_slow_nodes_once_twenty_answered() -> None:
    near = some_addresses(K + 3)
    scene = Scene(bootstrap=[near[-1]])
    scene.puppets(near[:3], None)
    scene.puppets(near[3:], naming(near))
    query = scene.query()
    scene.net.run(1.5)
    assert scene.ended == [query]
    assert query.closest_nodes == near[3:]


def test_late_replies_change_nothing() -> None:
    near = some_addresses(K + 1)
    scene = Scene(bootstrap=[near[-1]])
    scene.puppets(near[1:], naming(near))
    late = scene.net.puppet(near[0], None)
    query = scene.finish()
    late.answer = naming([])
    count = len(scene.replies)
    scene.net.run(10)
    assert len(scene.replies) == count
    assert near[0] not in query.closest_nodes


def test_node_that_is_down_leaves_the_table_and_who_named_it_is_told() -> None:
    down, *referrers = some_addresses(4)
    scene = Scene(bootstrap=referrers[:2], table=[down])
    told = scene.puppets(referrers[:2], naming([down]))
    told.append(scene.net.puppet(referrers[2], None))
    scene.finish()
    scene.net.run(8)  # until it is given up
    assert node_id(down) not in scene.node.table
    for puppet in told[:2]:
        hints = [r for _, _, r in puppet.heard if r.internal]
        assert [(r.command, decode_address(r.value or b""), r.target) for r in hints] == [(DOWN_HINT, down, None)]
    assert told[2].heard == []


def test_who_names_a_node_known_to_be_down_is_told_too() -> None:
    down, quick, slow, late = some_addresses(4)
    scene = Scene(bootstrap=[quick, slow])
    scene.net.puppet(quick, after(1, [down]))  # on a network that loses packets
    scene.net.puppet(slow, after(5, [late]))  # at 5 s
    puppet = scene.net.puppet(late, after(3, [down]))  # at 8 s, two after the other one was given up
    scene.finish()
    scene.net.run(1)
    assert [decode_address(r.value or b"") for _, _, r in puppet.heard if r.command == DOWN_HINT] == [down]


def test_hints_are_bounded_per_tick() -> None:
    bad = some_addresses(200)
    scene = Scene(bootstrap=[Address("9.9.9.9", 9)])
    liar = scene.net.puppet(Address("9.9.9.9", 9), naming(bad[:40]))
    others = [Address("9.9.9.8", n + 1) for n in range(2)]
    for n, other in enumerate(others):
        scene.net.puppet(other, naming(bad[40 * (n + 1) : 40 * (n + 2)]))
    scene.node.bootstrap = [liar.address, *others]
    scene.finish()
    scene.net.run(10)
    hints = sum(r.command == DOWN_HINT for puppet in (liar,) for _, _, r in puppet.heard)
    assert 0 < hints <= HINTS_PER_TICK


def test_endless_made_up_addresses_end_the_search_all_the_same() -> None:
    rng = random.Random(5)
    scene = Scene(bootstrap=[Address("9.9.9.9", 9)])

    def invent(request: RequestPacket) -> dict[str, Any]:
        made = [Address(f"30.{rng.randrange(256)}.{rng.randrange(256)}.9", rng.randrange(1, 65536)) for _ in range(40)]
        for address in made:
            scene.net.puppet(address, invent, persistent=False)
        return {"closer": made}

    scene.net.puppet(Address("9.9.9.9", 9), invent)
    query = scene.finish()
    assert query.successes <= MAX_ADDRESSES


def test_suspending_ends_queries_and_blames_nobody() -> None:
    table = some_addresses(K)
    scene = Scene(table=table)
    scene.query()
    scene.net.run(0.5)
    scene.node.suspend()
    scene.net.run(1)
    assert len(scene.ended) == 1
    assert len(scene.node.table) == K


def test_cancelled_query_says_nothing_more() -> None:
    everyone = some_addresses(15)
    scene = Scene(bootstrap=everyone[:5])
    scene.puppets(everyone, naming(everyone))
    query = scene.query(commit=lambda reply: Commit(PUT, None))
    scene.net.run(0.012)
    query.cancel()
    heard = len(scene.replies)
    scene.net.run(20)
    assert len(scene.replies) == heard < 15
    assert scene.node.rpc.in_flight == 0
    assert scene.ended == []
    assert query.ended
