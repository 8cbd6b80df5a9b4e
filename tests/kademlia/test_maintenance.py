"""The table's upkeep: who gets in and out, and what happens every five seconds."""

from __future__ import annotations

from typing import Any

import pytest

from holepunch.address import Address
from holepunch.core import CLIENT, SERVER
from swarm.kademlia.events import Event
from swarm.kademlia.ids import node_id, row_index
from swarm.kademlia.maintenance import OLD_TICKS, RECENT_TICKS, REFRESH_TICKS, TICK
from swarm.kademlia.packets import FIND_NODE, PING, RequestPacket, encode_request
from swarm.kademlia.query import RETRIES
from swarm.kademlia.table import Contact, K
from tests.kademlia.simnet import Puppet, SimNet


class Scene:
    """A started node, alone until a test gives it company."""

    def __init__(self, **options: Any) -> None:
        self.net = SimNet(delay=0)
        self.host = self.net.host(ephemeral=True, **options)
        self.net.start(self.host)
        self.node = self.host.node
        self.tick = self.node.maintenance.tick

    @property
    def now(self) -> int:
        return self.node.maintenance.tick

    def greet(self, source: Address, *, id: bytes | None = None, role: int = CLIENT) -> None:
        """A request of a persistent node."""
        id = node_id(source) if id is None else id
        packet = RequestPacket(1, Address("7.7.7.7", 777), id, None, True, PING, None, None)
        self.net.carry(source, self.host.addresses[role], encode_request(packet))
        self.net.run(0)

    def know(self, address: Address, **ticks: int) -> Contact:
        contact = Contact(node_id(address), address, None, self.now)
        assert self.node.table.add(contact)
        for name, value in ticks.items():
            setattr(contact, name, value)
        return contact

    def ticks(self, count: int) -> None:
        self.net.run(count * TICK)

    def to_tick(self, number: int, modulo: int) -> None:
        """To just after a tick with this remainder."""
        self.net.run_until(lambda: self.now % modulo == number)

    def row(self, index: int, count: int) -> list[Address]:
        """Addresses that compete for one row of the table."""
        found = []
        for n in range(1, 65536):
            address = Address("20.0.0.1", n)
            if row_index(self.node.table.id, node_id(address)) == index:
                found.append(address)
                if len(found) == count:
                    return found
        raise AssertionError("no such row")

    def quiet(self) -> None:
        """No refresh in the way of what is looked at."""
        self.node.maintenance.queried()


def commands(puppet: Puppet) -> list[int]:
    return [request.command for _, _, request in puppet.heard]


# -- who gets in


def test_node_that_proves_its_id_gets_in_by_any_packet() -> None:
    scene = Scene()
    source = Address("9.9.9.9", 9)
    scene.greet(source)
    contact = scene.node.table.get(node_id(source))
    assert contact is not None
    assert (contact.added, contact.seen, contact.pinged, contact.sampled) == (scene.now,) * 4
    replier = scene.net.puppet(Address("9.9.9.8", 9), lambda request: {})
    scene.node.ping(replier.address, lambda reply: None)
    scene.net.run(0)
    assert node_id(replier.address) in scene.node.table


def test_node_with_a_false_or_no_id_does_not_get_in() -> None:
    scene = Scene()
    scene.greet(Address("9.9.9.9", 9), id=bytes(32))
    silent = scene.net.puppet(Address("9.9.9.8", 9), lambda request: {}, persistent=False)
    scene.node.ping(silent.address, lambda reply: None)
    scene.net.run(0)
    assert len(scene.node.table) == 0


def test_filtered_node_does_not_get_in_but_is_answered() -> None:
    scene = Scene(node_filter=lambda address: address.port != 9)
    answers = []
    scene.net.listen(Address("9.9.9.9", 9), lambda data, source: answers.append(data))
    scene.greet(Address("9.9.9.9", 9))
    assert len(scene.node.table) == 0
    assert len(answers) == 1


def test_node_heard_again_is_refreshed_and_latest() -> None:
    scene = Scene()
    one, other = Address("9.9.9.9", 9), Address("9.9.9.9", 10)
    for address in (one, other):
        scene.net.puppet(address, lambda request: {})
    scene.greet(one)
    scene.greet(other)
    scene.ticks(2)
    scene.greet(one)
    contact = scene.node.table.get(node_id(one))
    assert contact is not None
    assert (contact.seen, contact.pinged, contact.added) == (scene.now, scene.now, scene.now - 2)
    assert scene.node.latest() == [one, other]


def test_known_node_gives_another_sample_only_after_half_an_hour_and_on_the_main_socket() -> None:
    scene = Scene()
    source = Address("9.9.9.9", 9)
    scene.greet(source, role=SERVER)  # a newcomer's sample counts on any socket
    assert scene.node.sampler.size == 1
    contact = scene.node.table.get(node_id(source))
    assert contact is not None
    contact.sampled = scene.now - OLD_TICKS + 1
    scene.greet(source)
    assert scene.node.sampler.size == 1
    contact.sampled -= 1
    scene.greet(source, role=SERVER)
    assert scene.node.sampler.size == 1
    scene.greet(source, role=CLIENT)
    assert scene.node.sampler.size == 2
    assert contact.sampled == scene.now


# -- full rows


class FullRow(Scene):
    def __init__(self, **ticks: int) -> None:
        super().__init__()
        *members, self.newcomer = self.row(0, K + 1)
        # each member is contacted later than the one before it, all within the last minute
        self.members = [self.know(address, pinged=self.now - 1) for address in members]
        self.oldest = self.members[7]
        self.oldest.pinged = self.now - 2
        for name, value in ticks.items():
            setattr(self.oldest, name, value)
        self.puppet = self.net.puppet(self.oldest.address, lambda request: {})

    def has(self, address: Address) -> bool:
        return node_id(address) in self.node.table


def test_newcomer_to_a_full_row_replaces_the_oldest_when_that_is_silent() -> None:
    scene = FullRow()
    scene.puppet.answer = None
    scene.greet(scene.newcomer)
    assert not scene.has(scene.newcomer)
    scene.net.run(4.1)
    assert scene.has(scene.newcomer)
    assert not scene.has(scene.oldest.address)


def test_newcomer_to_a_full_row_is_dropped_when_the_oldest_answers() -> None:
    scene = FullRow()
    scene.greet(scene.newcomer)
    scene.net.run(4.1)
    assert not scene.has(scene.newcomer)
    assert scene.has(scene.oldest.address)
    assert commands(scene.puppet) == [PING]


def test_oldest_that_answers_without_its_id_is_replaced() -> None:
    scene = FullRow()
    scene.puppet.persistent = False
    scene.greet(scene.newcomer)
    scene.net.run(4.1)
    assert scene.has(scene.newcomer)
    assert not scene.has(scene.oldest.address)


def test_old_and_recently_contacted_row_is_left_alone() -> None:
    scene = FullRow()
    for member in scene.members:
        member.added = scene.now - OLD_TICKS - 1
        member.pinged = scene.now - RECENT_TICKS + 1
    scene.greet(scene.newcomer)
    assert scene.puppet.heard == []
    for member in scene.members:
        member.pinged = scene.now - RECENT_TICKS
    scene.members[3].added -= 1  # of equally neglected ones, the one added first
    puppet = scene.net.puppet(scene.members[3].address, lambda request: {})
    scene.greet(scene.newcomer)
    assert commands(puppet) == [PING]


def test_row_contacted_in_this_tick_is_left_alone() -> None:
    scene = FullRow()
    for member in scene.members:
        member.pinged = scene.now
    sent = scene.net.sent
    scene.greet(scene.newcomer)
    assert scene.net.sent == sent + 2  # the greeting and its answer


def test_three_rows_are_checked_at_a_time() -> None:
    scene = FullRow()
    checked = [scene.net.puppet(member.address, None) for member in scene.members]
    for address in scene.row(0, K + 6)[K:]:
        scene.greet(address)
    assert sum(bool(puppet.heard) for puppet in checked) == 3


# -- who goes out, and ticks


def test_ticks_come_every_five_seconds_from_a_random_start() -> None:
    starts = {Scene().tick for _ in range(3)} | {SimNet(seed).host().node.maintenance.tick for seed in range(50)}
    assert min(starts) >= 51
    assert max(starts) <= 100
    assert len(starts) > 10
    scene = Scene()
    before = scene.now
    scene.net.run(60)
    assert scene.now == before + 12


def test_silent_node_is_removed_within_a_minute_and_an_answering_one_stays() -> None:
    scene = Scene()
    good = [scene.net.puppet(Address("9.9.9.9", n + 1), lambda request: {}) for n in range(3)]
    silent = [Address("9.9.9.8", n + 1) for n in range(2)]
    for address in [*silent, *(puppet.address for puppet in good)]:
        scene.know(address, pinged=scene.now - RECENT_TICKS, seen=scene.now - RECENT_TICKS)
    scene.net.run(8 * TICK + 4.1)
    assert {contact.address for contact in scene.node.table.oldest()} == {puppet.address for puppet in good}


def test_node_that_leaves_any_request_unanswered_for_good_is_removed() -> None:
    scene = Scene()
    pinged, asked, slow = (scene.net.puppet(Address("9.9.9.9", n + 1), None).address for n in range(3))
    for address in (pinged, asked, slow):
        scene.know(address)
    scene.node.ping(pinged, lambda reply: None)
    scene.node.request(asked, 7, lambda reply: None)
    scene.node.delayed_ping(slow, 1.0, lambda reply: None)
    scene.net.run(3.9)
    assert len(scene.node.table) == 3
    scene.net.run(5)
    assert [contact.address for contact in scene.node.table.oldest()] == [slow]


def test_node_that_answers_the_regular_ping_without_its_id_is_removed() -> None:
    scene = Scene()
    puppet = scene.net.puppet(Address("9.9.9.9", 1), lambda request: {}, persistent=False)
    scene.know(puppet.address)
    scene.net.run(8 * TICK + 1)
    assert len(scene.node.table) == 0


@pytest.mark.parametrize(("age", "busy", "expected"), [(RECENT_TICKS, 0, 5), (RECENT_TICKS, 3, 3), (5, 0, 2)])
def test_oldest_are_pinged_every_eighth_tick(age: int, busy: int, expected: int) -> None:
    scene = Scene()
    puppets = [scene.net.puppet(Address("9.9.9.9", n + 1), lambda request: {}) for n in range(10)]
    scene.to_tick(7, 8)
    for puppet in puppets:
        scene.know(puppet.address, pinged=scene.now + 1 - age)
    scene.net.run(TICK - 0.5)
    scene.quiet()
    for n in range(busy):
        scene.node.ping(Address("6.6.6.6", n + 1), lambda reply: None)
    scene.net.run(0.5)
    assert [commands(puppet) for puppet in puppets] == [[PING]] * expected + [[]] * (10 - expected)


def test_pinging_stops_at_a_node_contacted_in_this_tick() -> None:
    scene = Scene()
    puppets = [scene.net.puppet(Address("9.9.9.9", n + 1), lambda request: {}) for n in range(4)]
    scene.to_tick(7, 8)
    for n, puppet in enumerate(puppets):
        scene.know(puppet.address, pinged=scene.now + 1 - (0 if n == 2 else RECENT_TICKS))
    scene.net.run(TICK)
    assert [bool(puppet.heard) for puppet in puppets] == [True, True, False, False]


def test_empty_table_asks_the_bootstrap_nodes_again_every_forty_seconds_until_one_has_answered() -> None:
    scene = Scene()
    scene.quiet()
    puppet = scene.net.puppet(Address("9.9.9.9", 1), lambda request: None, persistent=False)
    scene.node.bootstrap = [puppet.address]
    scene.net.run(200)
    attempts = 1 + RETRIES
    assert commands(puppet) == [FIND_NODE] * 5 * attempts


def test_empty_table_asks_bootstrap_nodes_that_are_no_nodes_to_keep_every_ten_seconds() -> None:
    scene = Scene()
    scene.quiet()
    puppet = scene.net.puppet(Address("9.9.9.9", 1), lambda request: {}, persistent=False)
    scene.node.bootstrap = [puppet.address]
    scene.net.run(400)
    puppet.heard.clear()
    scene.net.run(200)
    assert set(commands(puppet)) == {FIND_NODE}
    assert 20 <= len(commands(puppet)) <= 30
    assert scene.node.online


def test_node_whose_company_is_gone_asks_without_a_break_and_notices_within_seconds_that_somebody_is_back() -> None:
    scene = Scene()
    scene.quiet()
    alive = True
    puppet = scene.net.puppet(Address("9.9.9.9", 1), lambda request: {} if alive else None, persistent=False)
    scene.node.bootstrap = [puppet.address]
    scene.net.run(60)
    assert scene.node.online
    alive = False
    puppet.heard.clear()
    scene.net.run(600)
    assert not scene.node.online
    assert 1 <= 600 / len(commands(puppet)) <= 3  # seconds: one search at a time
    alive = True
    scene.net.run(2 * TICK)
    assert scene.node.online


def test_table_is_refreshed_after_five_minutes_without_a_query() -> None:
    scene = Scene()
    puppets = [scene.net.puppet(Address("9.9.9.9", n + 1), lambda request: {}) for n in range(30)]
    for puppet in puppets:
        scene.node.table.add(Contact(node_id(puppet.address), puppet.address, None, scene.now))
    scene.quiet()
    scene.ticks(REFRESH_TICKS - 1)
    assert not any(FIND_NODE in commands(puppet) for puppet in puppets)
    scene.ticks(2)
    assert sum(FIND_NODE in commands(puppet) for puppet in puppets) >= K


def test_sparse_table_is_refreshed_every_sixty_fourth_tick() -> None:
    scene = Scene()
    puppet = scene.net.puppet(Address("9.9.9.9", 1), lambda request: {})
    scene.know(puppet.address)
    scene.to_tick(63, 64)
    scene.quiet()
    puppet.heard.clear()
    scene.net.run(TICK + 0.1)
    assert FIND_NODE in commands(puppet)


# -- waking up


def test_clock_that_jumped_makes_everything_old_and_the_table_is_checked_soon() -> None:
    scene = Scene()
    puppets = [scene.net.puppet(Address("9.9.9.9", n + 1), lambda request: {}) for n in range(5)]
    for puppet in puppets:
        scene.know(puppet.address)
    before = scene.now
    scene.host.events.clear()
    scene.net.sleep(3600)
    assert scene.host.events == [Event.WAKE_UP]
    assert scene.now - before >= 2 * OLD_TICKS - 1
    for puppet in puppets:
        puppet.heard.clear()
    scene.net.run(TICK)
    assert all(commands(puppet) == [FIND_NODE] for puppet in puppets)
    scene.net.run(TICK)
    assert sum(commands(puppet) == [FIND_NODE, PING] for puppet in puppets) == 2


def test_tick_a_little_late_is_a_tick() -> None:
    scene = Scene()
    scene.host.events.clear()
    scene.net.sleep(14)
    assert scene.host.events == []


def test_silence_across_a_sleep_costs_one_attempt_not_all() -> None:
    scene = Scene()
    replies: list[object] = []
    scene.node.ping(Address("9.9.9.9", 1), replies.append)
    scene.net.sleep(3600)
    assert replies == []
    scene.net.run(3.6)
    assert replies == [None]
