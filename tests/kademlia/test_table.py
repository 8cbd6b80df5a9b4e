"""The routing table: rows, order of last contact, and both staying the same set."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from holepunch.address import Address
from swarm.kademlia.ids import row_index
from swarm.kademlia.table import Contact, K, Table

OWN = bytes(32)


def contact(number: int, prefix: int = 0x80) -> Contact:
    return Contact(bytes([prefix, number]) + bytes(30), Address("10.0.0.1", number + 1), None, 0)


def test_row_holds_twenty() -> None:
    table = Table(OWN)
    assert all(table.add(contact(n)) for n in range(K))
    assert not table.add(contact(K))
    assert table.add(contact(K, prefix=0x40))
    assert len(table) == K + 1


def test_row_is_ascending_by_id() -> None:
    table = Table(OWN)
    for n in (5, 1, 9, 3):
        table.add(contact(n))
    assert [c.id[1] for c in table.row_of(contact(0).id)] == [1, 3, 5, 9]


def test_same_id_replaces_the_entry_even_in_a_full_row() -> None:
    table = Table(OWN)
    for n in range(K):
        table.add(contact(n))
    again = contact(7)
    assert table.add(again)
    assert len(table) == K
    assert table.get(again.id) is again
    assert next(table.latest()) is again


def test_removed_node_is_gone_from_row_and_order() -> None:
    table = Table(OWN)
    one, other = contact(1), contact(2)
    table.add(one)
    table.add(other)
    table.remove(one.id)
    table.remove(one.id)
    assert one.id not in table
    assert list(table.latest()) == [other]
    assert table.closest(one.id) == [other]


def test_node_heard_again_is_the_latest() -> None:
    table = Table(OWN)
    contacts = [contact(n) for n in range(3)]
    for each in contacts:
        table.add(each)
    table.heard(contacts[0])
    assert list(table.latest()) == [contacts[0], contacts[2], contacts[1]]
    assert list(table.oldest()) == [contacts[1], contacts[2], contacts[0]]


def test_rebuilt_table_keeps_what_fits_in_the_same_order() -> None:
    table = Table(OWN)
    spread = [contact(n, prefix) for prefix in (0x80, 0xC0) for n in range(10)] + [contact(n, 0x40) for n in range(K)]
    for each in spread:
        assert table.add(each)
    # around an id that starts with 1, the forties fall in one row with nothing else
    table.rebuild(spread[0].id)
    assert spread[0].id not in table
    kept = list(table.oldest())
    assert kept == spread[1:]
    assert len(table.row_of(spread[-1].id)) == K


@given(
    st.lists(st.tuples(st.booleans(), st.binary(min_size=32, max_size=32)), max_size=80),
    st.binary(min_size=32, max_size=32),
)
def test_rows_and_order_hold_the_same_nodes(steps: list[tuple[bool, bytes]], target: bytes) -> None:
    table = Table(OWN)
    for add, id in steps:
        if add:
            table.add(Contact(id, Address("10.0.0.1", 1), None, 0))
        else:
            table.remove(id)
    everyone = {c.id for c in table.oldest()}
    assert {table.at(n).id for n in range(len(table))} == everyone
    found = table.closest(target, 10_000)
    assert {c.id for c in found} == everyone
    assert len(found) == len(table)
    own_row = [c for c in found if row_index(OWN, c.id) == row_index(OWN, target)]
    assert found[: len(own_row)] == own_row
