"""What a node says of the NAT in front of it: `swarm.nat` and `swarm.witnesses`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from holepunch.address import Address
from holepunch.core import CLIENT, SERVER
from holepunch.testing import ROUTERS, VirtualNetwork
from swarm import DHT, Swarm
from swarm.testing import Testnet
from swarm.witnesses import KEPT, Witnesses
from tests.sim.scene import start_dht

if TYPE_CHECKING:
    from holepunch.core import Role
    from swarm.nat import Nat

HERE = Address("5.6.7.8", 4000)
LOCAL = Address("192.168.1.2", 4000)


def node(number: int) -> Address:
    return Address(f"60.0.0.{number}", 49737)


def judged(witnesses: Witnesses, role: Role = CLIENT, *, firewalled: bool = True, remote: Address | None = None) -> Nat:
    return witnesses.nat(role, firewalled=firewalled, remote=remote, local=[LOCAL])


def heard(*seen: Address) -> Witnesses:
    witnesses = Witnesses()
    for number, address in enumerate(seen):
        witnesses.node(node(number), address, CLIENT)
    return witnesses


def test_nobody_asked_is_unknown() -> None:
    nat = judged(Witnesses())
    assert (nat.kind, nat.public_addresses, nat.witnesses) == ("unknown", (), ())
    assert nat.local_addresses == (LOCAL,)


def test_two_witnesses_are_too_few() -> None:
    assert judged(heard(HERE, HERE)).kind == "unknown"


def test_three_that_agree_are_enough() -> None:
    nat = judged(heard(HERE, HERE, HERE))
    assert (nat.kind, nat.public_addresses) == ("consistent", (HERE,))


def test_another_port_for_everyone_is_random() -> None:
    nat = judged(heard(*(Address(HERE.host, port) for port in (1, 2, 3))))
    assert (nat.kind, nat.public_addresses) == ("random", (Address(HERE.host, 0),))


def test_stun_servers_count_as_nodes_do() -> None:
    witnesses = heard(HERE)
    for number in (1, 2):
        witnesses.stun(f"stun{number}.example:3478", Address(f"70.0.0.{number}", 3478), HERE, CLIENT)
    nat = judged(witnesses)
    assert nat.kind == "consistent"
    assert [(w.kind, w.name) for w in nat.witnesses] == [
        ("dht", "60.0.0.0:49737"),
        ("stun", "stun1.example:3478"),
        ("stun", "stun2.example:3478"),
    ]


def test_two_names_of_one_server_are_one_witness() -> None:
    witnesses = heard(HERE)
    for name in ("one:1", "other:1"):
        witnesses.stun(name, Address("70.0.0.1", 1), HERE, CLIENT)
    assert judged(witnesses).kind == "unknown"


def test_what_one_node_says_again_replaces_what_it_said() -> None:
    witnesses = Witnesses()
    for port in range(1, 20):
        witnesses.node(node(1), Address(HERE.host, port), CLIENT)
    nat = judged(witnesses)
    assert nat.kind == "unknown"
    assert [w.address.port for w in nat.witnesses] == [19]


def test_later_witnesses_change_the_verdict() -> None:
    witnesses = heard(HERE, HERE, HERE, HERE)
    assert judged(witnesses).kind == "consistent"
    for number in range(10, 10 + KEPT):
        witnesses.node(node(number), Address(HERE.host, 1000 + number), CLIENT)
    assert judged(witnesses).kind == "random"
    for number in range(30, 30 + KEPT):
        witnesses.node(node(number), HERE, CLIENT)
    assert judged(witnesses).public_addresses == (HERE,)


def test_other_sockets_are_no_evidence() -> None:
    assert not judged(heard(HERE, HERE, HERE), SERVER).witnesses


def test_only_who_was_reached_by_strangers_is_open() -> None:
    witnesses = heard(HERE, HERE, HERE, HERE)
    assert judged(witnesses).kind != "open"
    nat = judged(witnesses, firewalled=False, remote=LOCAL)
    assert (nat.kind, nat.public_addresses) == ("open", (LOCAL,))
    assert judged(witnesses, firewalled=False).public_addresses == (HERE,)


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 3), st.integers(0, 3), st.booleans())))
def test_no_testimony_opens_a_firewall_or_fills_the_memory(said: list[tuple[int, int, int, bool]]) -> None:
    witnesses = Witnesses()
    for number, host, port, by_stun in said:
        seen = Address(f"5.5.5.{host}", 1 + port)
        if by_stun:
            witnesses.stun(f"{number % 4}", node(number), seen, CLIENT)
        else:
            witnesses.node(node(number), seen, CLIENT)
    nat = judged(witnesses)
    assert nat.kind in ("unknown", "consistent", "random")
    assert len(nat.witnesses) <= KEPT + 4


# -- of a running node


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("open", "open"),
        ("home", "consistent"),
        ("home-rand", "consistent"),
        ("firewall", "consistent"),
        ("symmetric", "random"),
        ("cgnat-symmetric", "random"),
        ("udpblocked", "unknown"),
    ],
)
async def test_a_node_finds_out_where_it_is(place: str, kind: str) -> None:
    async with VirtualNetwork() as network:
        server = network.host("192.88.99.1")
        async with Testnet(5, host="192.88.99.1", network=server) as net:
            host = network.place(place)
            async with Swarm(bootstrap=net.bootstrap, network=host) as swarm:
                await trio.sleep(30)
                await swarm.dht.check_firewall()
                nat = swarm.nat
                assert nat.kind == kind
                assert nat.firewalled == (kind != "open")
                assert {address.host for address in nat.public_addresses} <= {host.public_address}
                assert bool(nat.public_addresses) == (kind != "unknown")
                assert [address.host for address in nat.local_addresses] == list(host.addresses)
                assert json.loads(json.dumps(nat.to_dict()))["kind"] == kind


@pytest.mark.virtual_time
async def test_a_changed_address_shows() -> None:
    async with VirtualNetwork() as network:
        server = network.host("192.88.99.1")
        async with Testnet(5, host="192.88.99.1", network=server) as net:
            host = network.place("home")
            async with DHT(bootstrap=net.bootstrap, network=host) as dht:
                await trio.sleep(30)
                before = dht.nat.public_addresses
                host.boxes[0].rebind()
                await trio.sleep(60)
                assert dht.nat.public_addresses != before
                assert dht.nat.kind == "consistent"


@pytest.mark.virtual_time
async def test_a_router_that_turns_random_is_noticed() -> None:
    async with VirtualNetwork() as network, trio.open_nursery() as nursery:
        bootstrap = await start_dht(network, nursery)
        host = network.place("home")
        async with Swarm(bootstrap=bootstrap, network=host) as swarm:
            await trio.sleep(30)
            assert swarm.nat.kind == "consistent"
            (before,) = swarm.nat.public_addresses
            host.boxes[0].behaviour = ROUTERS["symmetric"]
            with trio.fail_after(120):
                while (nat := swarm.nat).kind == "consistent":  # noqa: ASYNC110 - it is no event
                    await trio.sleep(0.01)
            assert nat.kind == "random"
            assert nat.public_addresses == (Address(before.host, 0),)
        nursery.cancel_scope.cancel()


async def test_outside_the_block_there_is_nothing_to_tell() -> None:
    swarm = Swarm(bootstrap=(), host="127.0.0.1")
    with pytest.raises(RuntimeError):
        _ = swarm.nat
    async with swarm:
        assert swarm.nat.kind == "unknown"
    with pytest.raises(trio.ClosedResourceError):
        _ = swarm.nat
