"""Each kind of place behaves as a STUN client sees its namesake among real routers (RFC 4787, RFC 5780)."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from holepunch.testing import PLACES, Host
from tests.testing.world import Port, World

if TYPE_CHECKING:
    from holepunch.address import Address


class Verdict(NamedTuple):
    mapping: str
    filtering: str
    ports: str
    hairpin: bool


MEASURED = {
    "open": Verdict("EI", "EI", "same", True),
    "firewall": Verdict("EI", "APD", "same", True),
    "dmz": Verdict("EI", "EI", "preserved", True),
    "fullcone": Verdict("EI", "EI", "preserved", True),
    "fullcone-rand": Verdict("EI", "EI", "other", True),
    "restricted": Verdict("EI", "AD", "preserved", False),
    "restricted-rand": Verdict("EI", "AD", "other", False),
    "home": Verdict("EI", "APD", "preserved", False),
    "home-rand": Verdict("EI", "APD", "other", False),
    "home-hairpin": Verdict("EI", "APD", "preserved", True),
    "addrdep": Verdict("AD", "APD", "other", False),
    "symmetric": Verdict("APD", "APD", "other", False),
    "symmetric-seq": Verdict("APD", "APD", "next", False),
    "cgnat": Verdict("EI", "APD", "other", False),
    "cgnat-hairpin": Verdict("EI", "APD", "other", False),
    "cgnat-symmetric": Verdict("APD", "APD", "other", False),
    "udpblocked": None,
}
"""Real Linux routers, as a STUN client measured them from a host behind each. The carrier of "cgnat-hairpin" turns
packets around, but the home router before it lets them in no more than others."""


def classify(world: World, host: Host[Any]) -> Verdict | None:
    one, two = world.host(), world.host()
    servers = [Port(one, 3478), Port(one, 3479), Port(two, 3478), Port(two, 3479)]

    client = Port(host)
    client.send(b"request", servers[0].address)
    world.settle()
    if not servers[0].sources:
        return None
    seen = servers[0].sources[0]
    for server, answer in zip(servers[1:], (b"port", b"host", b"both"), strict=True):
        server.send(answer, seen)
    world.settle()
    filtering = "EI" if b"both" in client.payloads else "AD" if b"port" in client.payloads else "APD"
    assert (b"host" in client.payloads) == (filtering == "EI")

    client = Port(host)
    for server in servers:
        client.send(b"request", server.address)
        world.settle()
    mapped = [server.sources[-1] for server in servers]
    mapping = "EI" if len(set(mapped)) == 1 else "AD" if mapped[0] == mapped[1] and mapped[2] == mapped[3] else "APD"

    neighbour = Port(host)
    neighbour.send(b"turn around", mapped[0])
    world.settle()
    return Verdict(mapping, filtering, _ports(client, mapped), b"turn around" in client.payloads)


def _ports(client: Port, mapped: list[Address]) -> str:
    if mapped[0] == client.address:
        return "same"
    if mapped[0].port == client.address.port:
        return "preserved"
    steps = {after.port - before.port for before, after in pairwise(mapped)}
    return "next" if steps == {1} else "other"


@pytest.mark.parametrize("kind", PLACES)
def test_place_is_what_its_name_says(kind: str) -> None:
    for seed in range(5):
        world = World(seed)
        assert classify(world, world.place(kind)) == MEASURED[kind]


def test_every_place_is_measured() -> None:
    assert set(PLACES) == set(MEASURED)


def test_unknown_place_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"'attic'; there are open, .*symmetric.*cgnat"):
        World().place("attic")
    with pytest.raises(ValueError, match=r"'open'; there are dmz, .*symmetric"):
        World().nat("1.2.3.4", "open")


def test_host_knows_its_boxes_and_its_public_address() -> None:
    world = World()
    open_host, home, carried = world.place("open"), world.place("home"), world.place("cgnat")
    assert open_host.boxes == []
    assert open_host.public_address == open_host.addresses[0]
    assert home.public_address == home.boxes[0].addresses[0] != home.addresses[0]
    inner, outer = carried.boxes
    assert carried.public_address == outer.addresses[0]
    assert inner.addresses[0].startswith("100.64.")


def test_homes_of_a_carrier_that_hairpins_can_punch_through_it() -> None:
    assert _punched("cgnat-hairpin") == (True, True)
    assert _punched("cgnat") == (False, False)


def _punched(kind: str) -> tuple[bool, bool]:
    """Two homes of one carrier, each sends to the public address of the other: who heard the other?"""
    world = World()
    server = Port(world.host())
    host = world.place(kind)
    a, b = Port(host), Port(host.boxes[1].place("home"))
    for port in (a, b):
        port.send(b"where am I?", server.address)
    world.settle()
    for _ in range(2):
        a.send(b"punch", server.sources[1])
        b.send(b"punch", server.sources[0])
        world.settle()
    return b"punch" in a.payloads, b"punch" in b.payloads


def test_low_ttl_opens_the_senders_nat_without_reaching_the_other_side() -> None:
    world = World()
    server = Port(world.host())
    a, b = Port(world.place("home")), Port(world.place("home"))
    for port in (a, b):
        port.send(b"where am I?", server.address)
    world.settle()
    a.send(b"open", server.sources[1], ttl=5)
    world.settle()
    b.send(b"knock", server.sources[0])
    world.settle()
    assert b"open" not in b.payloads
    assert b"knock" in a.payloads
    assert world.drops["time to live"] == 1
