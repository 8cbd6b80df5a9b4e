"""Which nodes did not answer lately: bounded, and forgotten."""

from __future__ import annotations

from holepunch.address import Address
from swarm.kademlia.silence import KEPT, MOST, Silence


def test_who_falls_silent_again_is_remembered_from_then_on() -> None:
    silence, address = Silence(), Address("1.1.1.1", 1)
    silence.noticed(address, 0.0)
    silence.noticed(address, KEPT / 2)
    assert silence.of(address, KEPT + 1)
    assert not silence.of(address, 2 * KEPT)


def test_only_the_nodes_that_fell_silent_last_are_remembered() -> None:
    silence = Silence()
    addresses = [Address("1.1.1.1", port) for port in range(1, MOST + 2)]
    for address in (*addresses[:MOST], addresses[0], addresses[MOST]):
        silence.noticed(address, 0.0)
    assert [silence.of(address, 1.0) for address in addresses] == [True, False, *[True] * (MOST - 1)]
