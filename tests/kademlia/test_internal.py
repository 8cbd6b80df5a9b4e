"""Answers to PING, PING_NAT, FIND_NODE, DOWN_HINT, DELAYED_PING, and to what is unknown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holepunch.address import Address
from holepunch.core import CLIENT, SERVER
from swarm.kademlia.ids import node_id
from swarm.kademlia.internal import MAX_DELAYED
from swarm.kademlia.maintenance import MAX_CHECKS
from swarm.kademlia.packets import (
    DELAYED_PING,
    DOWN_HINT,
    FIND_NODE,
    PING,
    PING_NAT,
    RESPONSE,
    UNKNOWN_COMMAND,
    RequestPacket,
    ResponsePacket,
    decode_response,
    encode_address,
    encode_request,
)
from swarm.kademlia.table import Contact
from tests.kademlia.simnet import SimNet

if TYPE_CHECKING:
    from holepunch.core import Role

TARGET = bytes(range(32))
ASKER = Address("20.0.0.1", 500)


class Scene:
    """A node with a few nodes in its table, and one that asks it."""

    def __init__(self) -> None:
        self.net = SimNet(delay=0)
        self.host = self.net.host(bootstrapper=True)
        self.net.start(self.host)
        self.node = self.host.node
        for n in range(5):
            address = Address("9.9.9.9", n + 1)
            self.node.table.add(Contact(node_id(address), address, None, self.node.maintenance.tick))
        self.heard: list[tuple[Address, int, ResponsePacket]] = []
        for port in (500, 700):
            self.listen(Address(ASKER.host, port))

    def listen(self, address: Address) -> None:
        def receive(data: bytes, source: Address) -> None:
            if data[0] == RESPONSE:
                self.heard.append((source, address.port, decode_response(data)))

        self.net.listen(address, receive)

    def ask(self, command: int, value: bytes | None = None, *, role: Role = SERVER, **fields: Any) -> None:
        packet = RequestPacket(77, self.host.address, None, None, True, command, None, value)._replace(**fields)
        self.net.carry(ASKER, self.host.addresses[role], encode_request(packet))
        self.net.run(0.001)

    def answers(self) -> list[ResponsePacket]:
        return [packet for _, _, packet in self.heard]


def empty(scene: Scene, role: Role = SERVER, to: Address = ASKER) -> ResponsePacket:
    return ResponsePacket(77, to, scene.node.id if role == SERVER else None, None, [], 0, None)


@pytest.mark.parametrize("role", [SERVER, CLIENT])
@pytest.mark.parametrize("value", [None, b"", bytes(1000)])
def test_ping_is_answered_with_nothing(role: Role, value: bytes | None) -> None:
    scene = Scene()
    scene.ask(PING, value, role=role, target=TARGET)
    assert scene.heard == [(scene.host.addresses[role], 500, empty(scene, role))]


def test_ping_nat_is_answered_to_the_other_port_from_the_same_socket() -> None:
    scene = Scene()
    scene.ask(PING_NAT, (700).to_bytes(2, "little") + b"ignored", role=CLIENT)
    assert scene.heard == [(scene.host.addresses[CLIENT], 700, empty(scene, CLIENT, Address(ASKER.host, 700)))]


@pytest.mark.parametrize("value", [None, b"", b"\x05", b"\x00\x00"])
def test_ping_nat_without_a_port_is_ignored(value: bytes | None) -> None:
    scene = Scene()
    scene.ask(PING_NAT, value)
    assert scene.heard == []


def test_find_node_is_answered_with_closer_nodes_and_no_token() -> None:
    scene = Scene()
    scene.ask(FIND_NODE, target=TARGET)
    (packet,) = scene.answers()
    assert packet.closer == [contact.address for contact in scene.node.table.closest(TARGET)]
    assert len(packet.closer) == 5
    assert (packet.token, packet.value, packet.error) == (None, None, 0)


def test_find_node_without_target_is_ignored() -> None:
    scene = Scene()
    scene.ask(FIND_NODE)
    assert scene.heard == []


@pytest.mark.parametrize("internal", [True, False])
@pytest.mark.parametrize("target", [TARGET, None])
def test_unknown_command_is_an_error_with_closer_nodes(internal: bool, target: bytes | None) -> None:
    scene = Scene()
    scene.ask(99, internal=internal, target=target)
    (packet,) = scene.answers()
    assert (packet.error, packet.token) == (UNKNOWN_COMMAND, None)
    assert len(packet.closer) == (5 if target else 0)


def test_external_command_goes_to_its_handler() -> None:
    scene = Scene()
    scene.node.commands[3] = lambda request: request.reply(b"three")
    scene.ask(3, internal=False)
    assert [packet.value for packet in scene.answers()] == [b"three"]


def delay(milliseconds: int) -> bytes:
    return milliseconds.to_bytes(4, "little")


def test_delayed_ping_is_answered_after_its_delay() -> None:
    scene = Scene()
    scene.ask(DELAYED_PING, delay(2500))
    scene.net.run(2.4)
    assert scene.heard == []
    scene.net.run(0.2)
    assert scene.answers() == [empty(scene)]


@pytest.mark.parametrize("value", [None, b"\x01\x00\x00", delay(10_001)])
def test_delayed_ping_without_a_permitted_delay_is_ignored(value: bytes | None) -> None:
    scene = Scene()
    scene.ask(DELAYED_PING, value)
    scene.net.run(20)
    assert scene.heard == []


def test_only_so_many_delayed_answers_are_owed_at_a_time() -> None:
    scene = Scene()
    for _ in range(MAX_DELAYED + 50):
        scene.ask(DELAYED_PING, delay(9000))
    scene.net.run(10)
    assert len(scene.heard) == MAX_DELAYED
    scene.ask(DELAYED_PING, delay(0))
    assert len(scene.heard) == MAX_DELAYED + 1


def test_down_hint_is_answered_and_its_node_pinged() -> None:
    scene = Scene()
    accused = Address("9.9.9.9", 3)
    puppet = scene.net.puppet(accused, lambda request: {})
    scene.ask(DOWN_HINT, encode_address(accused) + b"ignored")
    scene.ask(DOWN_HINT, encode_address(accused))  # hinted and contacted in this tick: answered, not followed
    assert scene.answers() == [empty(scene)] * 2
    scene.net.run(5)
    assert [request.command for _, _, request in puppet.heard] == [PING]
    assert node_id(accused) in scene.node.table


def test_node_rightly_said_to_be_down_is_removed() -> None:
    scene = Scene()
    accused = Address("9.9.9.9", 3)
    scene.ask(DOWN_HINT, encode_address(accused))
    scene.net.run(3.9)
    assert node_id(accused) in scene.node.table
    scene.net.run(0.2)
    assert node_id(accused) not in scene.node.table


@pytest.mark.parametrize("value", [None, b"12345"])
def test_down_hint_without_an_address_is_ignored(value: bytes | None) -> None:
    scene = Scene()
    scene.ask(DOWN_HINT, value)
    assert scene.heard == []


def test_hints_about_strangers_and_too_many_of_them_make_us_send_nothing() -> None:
    scene = Scene()
    sent = scene.net.sent
    scene.ask(DOWN_HINT, encode_address(Address("9.9.9.1", 3)))
    assert scene.net.sent == sent + 2  # the hint and its answer
    pinged = []
    for n in range(MAX_CHECKS + 5):
        address = Address("9.9.8.8", n + 1)
        pinged.append(scene.net.puppet(address, None))
        scene.node.table.add(Contact(node_id(address), address, None, scene.node.maintenance.tick))
        scene.ask(DOWN_HINT, encode_address(address))
    assert sum(bool(puppet.heard) for puppet in pinged) == MAX_CHECKS


@given(st.integers(0, 6), st.none() | st.binary(max_size=40), st.booleans())
def test_no_internal_command_raises_whatever_it_carries(command: int, value: bytes | None, target: bool) -> None:
    scene = Scene()
    scene.ask(command, value, target=TARGET if target else None)
    assert len(scene.heard) <= 1
