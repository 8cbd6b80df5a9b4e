"""The translation table of a NAT box, with time and randomness by hand."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holepunch.address import Address
from holepunch.testing import Dependence, NatBehaviour, PortAllocation
from holepunch.testing.nat import Translation

INSIDE = Address("192.168.1.10", 5000)
NEIGHBOUR = Address("192.168.1.11", 5000)
PEER = Address("1.2.3.4", 1000)
SAME_HOST = Address("1.2.3.4", 2000)
STRANGER = Address("5.6.7.8", 1000)


def table(**changes: Any) -> Translation:
    return Translation(replace(NatBehaviour(expiry=30), **changes), random.Random(1))


def test_only_who_was_sent_to_may_come_in() -> None:
    nat = table()
    port = nat.outbound(INSIDE, PEER, 0)
    assert port == INSIDE.port
    assert nat.inbound(port, PEER, 1) == INSIDE
    assert nat.inbound(port, SAME_HOST, 1) is None
    assert nat.inbound(port, STRANGER, 1) is None
    assert nat.inbound(port + 1, PEER, 1) is None


@pytest.mark.parametrize(
    ("filtering", "other_port", "other_host"),
    [
        (Dependence.ENDPOINT_INDEPENDENT, True, True),
        (Dependence.ADDRESS_DEPENDENT, True, False),
        (Dependence.ADDRESS_AND_PORT_DEPENDENT, False, False),
    ],
)
def test_filtering_depends_on_what_it_says(filtering: Dependence, other_port: bool, other_host: bool) -> None:
    nat = table(filtering=filtering)
    port = nat.outbound(INSIDE, PEER, 0)
    assert port is not None
    assert (nat.inbound(port, SAME_HOST, 0) == INSIDE) is other_port
    assert (nat.inbound(port, STRANGER, 0) == INSIDE) is other_host


def test_mapping_expires_without_traffic() -> None:
    nat = table()
    port = nat.outbound(INSIDE, PEER, 0)
    assert port is not None
    assert nat.inbound(port, PEER, 29.9) == INSIDE
    assert nat.inbound(port, PEER, 59.8) == INSIDE
    assert nat.inbound(port, PEER, 89.8) is None
    assert nat.owner(port, 89.8) is None
    assert len(nat) == 0


def test_permission_expires_though_its_mapping_lives_on() -> None:
    nat = table()
    port = nat.outbound(INSIDE, PEER, 0)
    assert port is not None
    nat.outbound(INSIDE, STRANGER, 20)
    assert nat.inbound(port, PEER, 31) is None
    assert nat.inbound(port, STRANGER, 31) == INSIDE


def test_preserved_port_that_is_taken_becomes_another() -> None:
    nat = table()
    assert nat.outbound(INSIDE, PEER, 0) == 5000
    other = nat.outbound(NEIGHBOUR, PEER, 0)
    assert other not in (None, 5000)
    assert nat.outbound(NEIGHBOUR, STRANGER, 0) == other


def test_flush_closes_everything_and_preserved_ports_come_back() -> None:
    nat = table()
    assert nat.outbound(INSIDE, PEER, 0) == 5000
    nat.flush()
    assert nat.inbound(5000, PEER, 0) is None
    assert nat.outbound(INSIDE, PEER, 0) == 5000


@pytest.mark.parametrize("allocation", PortAllocation)
def test_rebinding_gives_other_ports(allocation: PortAllocation) -> None:
    nat = table(port_allocation=allocation)
    before = nat.outbound(INSIDE, PEER, 0)
    assert before is not None
    nat.rebind()
    assert nat.inbound(before, PEER, 0) is None
    assert nat.outbound(INSIDE, PEER, 0) not in (None, before)


def test_port_is_given_out_again_when_its_mapping_expired() -> None:
    nat = table()
    assert nat.outbound(INSIDE, PEER, 0) == 5000
    assert nat.outbound(NEIGHBOUR, PEER, 31) == 5000


def test_nat_without_a_free_port_maps_no_more() -> None:
    nat = table(mapping=Dependence.ADDRESS_AND_PORT_DEPENDENT, port_allocation=PortAllocation.SEQUENTIAL)
    ports = {nat.outbound(INSIDE, Address("1.2.3.4", number), 0) for number in range(1024, 65536)}
    assert None not in ports
    assert len(ports) == 64512
    assert nat.outbound(INSIDE, STRANGER, 0) is None
    assert nat.outbound(INSIDE, STRANGER, 31) is not None


def test_memory_for_permissions_is_swept() -> None:
    nat = table()
    for second in range(10000):
        nat.outbound(INSIDE, Address("1.2.3.4", second + 1), float(second))
    mapping = nat._by_port[5000]
    assert len(mapping.permitted) <= 128


@given(st.integers(), st.sampled_from(Dependence), st.sampled_from(PortAllocation), st.data())
def test_what_goes_out_can_come_back_and_ports_are_never_shared(
    seed: int, mapping: Dependence, allocation: PortAllocation, data: st.DataObject
) -> None:
    nat = Translation(NatBehaviour(mapping=mapping, port_allocation=allocation), random.Random(seed))
    endpoints = st.builds(Address, st.sampled_from(["10.0.0.1", "10.0.0.2"]), st.integers(1, 5))
    held: dict[int, Address] = {}
    for _ in range(20):
        inside, remote = data.draw(endpoints), data.draw(endpoints)
        port = nat.outbound(inside, remote, 0)
        assert port is not None
        assert held.setdefault(port, inside) == inside
        assert nat.inbound(port, remote, 0) == inside
