"""Node ids, row indexes and the closest selection, against recorded cases of the Node packages."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holepunch.address import Address
from swarm.kademlia.ids import distance, node_id, row_index
from swarm.kademlia.packets import encode_address
from swarm.kademlia.table import Contact, Table
from tests.recorded import recorded

IDS = st.binary(min_size=32, max_size=32)


@pytest.mark.parametrize("case", recorded("ids.json", "node_id"))
def test_id_is_the_hash_of_the_address(case: dict[str, Any]) -> None:
    address = Address(case["host"], case["port"])
    assert encode_address(address).hex() == case["address_bytes"]
    assert node_id(address).hex() == case["id"]


@pytest.mark.parametrize("case", recorded("ids.json", "bucket_index"))
def test_row_index_is_the_number_of_shared_leading_bits(case: dict[str, Any]) -> None:
    assert row_index(bytes.fromhex(case["own_id"]), bytes.fromhex(case["id"])) == case["row"]


@pytest.mark.parametrize("case", recorded("ids.json", "closest"))
def test_closest_come_in_the_order_of_the_reference(case: dict[str, Any]) -> None:
    table = Table(bytes.fromhex(case["own_id"]))
    for number, id in enumerate(case["inserted"]):
        assert table.add(Contact(bytes.fromhex(id), Address("10.0.0.1", number + 1), None, 0))
    found = table.closest(bytes.fromhex(case["target"]), case["k"])
    assert [contact.id.hex() for contact in found] == case["result"]


@given(IDS, IDS)
def test_nearer_rows_are_nearer_by_distance(own: bytes, other: bytes) -> None:
    shared = row_index(own, other)
    assert distance(own, other) < 1 << 256 - shared
    assert shared == 255 or distance(own, other) >= 1 << 255 - shared
