"""Handshakes and hole-punch messages on their way: client, relays, server. The tables of the protocol, role by role."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from holepunch.address import Address
from holepunch.core import CLIENT, SERVER
from holepunch.keys import hash32
from holepunch.punch.messages import HandshakeMessage, HolepunchMessage, Mode
from holepunch.signaller import HandshakeReply, HolepunchReply
from swarm.hyperdht.messages import Command
from swarm.hyperdht.router import HANDSHAKES_PER_CLIENT, HANDSHAKES_PER_RELAY, RELAYED_PER_HOST
from swarm.hyperdht.storage import Forward
from swarm.kademlia.packets import RequestPacket, encode_request
from tests.hyperdht.hypernet import Desk, HyperNet, Outcome, Peer, key_pair

if TYPE_CHECKING:
    from swarm.kademlia.rpc import Reply

ALICE = key_pair(1)
TARGET = hash32(ALICE.public_key)
STRANGER = Address("7.7.7.7", 7)


@pytest.fixture
def net() -> HyperNet:
    return HyperNet(5)


@pytest.fixture
def desk() -> Desk:
    return Desk(answer=b"answer")


def shake(net: HyperNet, client: Peer, relay: Address, noise: bytes = b"noise") -> HandshakeReply | None:
    ended = Outcome["HandshakeReply | None"]()
    client.hyper.signaller.handshake(TARGET, noise, relay, ended)
    return net.wait(ended)


def punch(
    net: HyperNet, client: Peer, relay: Address, peer_address: Address, role: int = CLIENT
) -> HolepunchReply | None:
    ended = Outcome["HolepunchReply | None"]()
    client.hyper.signaller.holepunch(TARGET, 3, b"payload", relay, peer_address, role, ended)
    return net.wait(ended)


def ask(net: HyperNet, peer: Peer, to: Peer, message: HandshakeMessage | HolepunchMessage) -> Reply | None:
    command = Command.PEER_HANDSHAKE if isinstance(message, HandshakeMessage) else Command.PEER_HOLEPUNCH
    return net.ask(peer, to.address, command, TARGET, message.encode())


# the way of a handshake


def test_handshake_through_one_relay(net: HyperNet, desk: Desk) -> None:
    server, client = net.client(filtered=True), net.client(filtered=True)
    announcer = net.listen(server, ALICE, desk)
    for relay in announcer.relays:
        reply = shake(net, client, relay.relay_address)
        assert reply == HandshakeReply(
            noise=b"answer",
            relayed=True,
            server_address=server.host.addresses[CLIENT],
            client_address=client.host.addresses[CLIENT],
            relay=relay.relay_address,
            role=CLIENT,
        )
        message, source = desk.handshakes[-1]
        assert message == HandshakeMessage(Mode.FROM_RELAY, b"noise", client.host.addresses[CLIENT])
        assert source == relay.relay_address


def test_handshake_through_two_relays(net: HyperNet, desk: Desk) -> None:
    server, client = net.client(), net.client()
    announcer = net.listen(server, ALICE, desk)
    second = net.named(announcer.relays[0].relay_address)
    first = next(peer for peer in net.nodes if not announcer.is_relay(peer.address))
    first.hyper.storage.forwards.set(TARGET, Forward(second.address, announcer.record))
    reply = shake(net, client, first.address)
    message, source = desk.handshakes[-1]
    assert message == HandshakeMessage(
        Mode.FROM_SECOND_RELAY, b"noise", client.host.addresses[CLIENT], relay_address=first.address
    )
    assert source == second.address
    assert reply is not None
    assert reply.noise == b"answer"
    assert reply.relayed
    assert reply.server_address == server.host.addresses[CLIENT]


def test_handshake_straight_to_the_server(net: HyperNet, desk: Desk) -> None:
    server, client = net.client(), net.client()
    net.listen(server, ALICE, desk)
    reply = shake(net, client, server.address)
    assert reply is not None
    assert not reply.relayed
    assert reply.server_address == server.address
    assert desk.handshakes[-1][0] == HandshakeMessage(Mode.FROM_CLIENT, b"noise")


def test_direct_handshake_cannot_pass_for_a_relayed_one(net: HyperNet, desk: Desk) -> None:
    server, client = net.client(), net.client()
    net.listen(server, ALICE, desk)
    reply = ask(net, client, server, HandshakeMessage(Mode.FROM_CLIENT, b"noise", peer_address=STRANGER))
    assert reply is not None
    assert desk.handshakes[-1][0].peer_address is None


def test_relay_named_by_the_client_needs_no_forward(net: HyperNet, desk: Desk) -> None:
    server, client = net.client(), net.client()
    net.listen(server, ALICE, desk)
    way = HandshakeMessage(Mode.FROM_CLIENT, b"noise", relay_address=server.address)
    reply = ask(net, client, net.first_peer, way)
    assert reply is not None
    assert HandshakeMessage.decode(reply.value or b"").noise == b"answer"


def test_node_that_knows_no_way_helps_to_find_one(net: HyperNet) -> None:
    reply = ask(net, net.client(), net.nodes[0], HandshakeMessage(Mode.FROM_CLIENT, b"noise"))
    assert reply is not None
    assert (reply.value, reply.token, reply.error) == (None, None, 0)
    assert reply.closer
    assert shake(net, net.client(), net.nodes[0].address) is None


def test_ephemeral_node_relays_too(net: HyperNet, desk: Desk) -> None:
    server, client, between = net.client(), net.client(), net.client()
    net.listen(server, ALICE, desk)
    between.hyper.storage.forwards.set(TARGET, Forward(server.address, b""))
    assert shake(net, client, between.address) is not None


def test_refused_peer_hears_nothing(net: HyperNet) -> None:
    desk = Desk(answer=None)
    announcer = net.listen(net.client(), ALICE, desk)
    start = net.schedule.now
    assert shake(net, net.client(), announcer.relays[0].relay_address) is None
    assert len(desk.handshakes) == 4
    assert net.schedule.now - start == pytest.approx(4, abs=0.1)


def test_server_answers_from_the_socket_it_chooses(net: HyperNet) -> None:
    server, client = net.client(), net.client()
    announcer = net.listen(server, ALICE, Desk(answer=b"answer", role=SERVER))
    relay = announcer.relays[0].relay_address
    reply = shake(net, client, relay)
    assert reply is not None
    assert reply.server_address == server.host.addresses[SERVER]
    punched = punch(net, client, relay, announcer.relays[0].peer_address)
    assert punched is not None
    assert punched.peer_address == server.host.addresses[SERVER]


@pytest.mark.parametrize(
    "message",
    [
        HandshakeMessage(Mode.FROM_RELAY, b"noise"),
        HandshakeMessage(Mode.FROM_SECOND_RELAY, b"noise"),
        HandshakeMessage(Mode.FROM_SECOND_RELAY, b"noise", peer_address=STRANGER),
        HandshakeMessage(Mode.FROM_SECOND_RELAY, b"noise", relay_address=STRANGER),
        HandshakeMessage(Mode.FROM_SERVER, b"noise", peer_address=STRANGER),
        HandshakeMessage(Mode.REPLY, b"noise", peer_address=STRANGER),
        HandshakeMessage(Mode.FROM_CLIENT, b""),
        HolepunchMessage(Mode.FROM_RELAY, 0, b"payload"),
        HolepunchMessage(Mode.FROM_SECOND_RELAY, 0, b"payload", STRANGER),
        HolepunchMessage(Mode.REPLY, 0, b"payload", STRANGER),
    ],
    ids=repr,
)
def test_server_drops_what_cannot_be_answered(
    net: HyperNet, desk: Desk, message: HandshakeMessage | HolepunchMessage
) -> None:
    server = net.client()
    net.listen(server, ALICE, desk)
    assert ask(net, net.client(), server, message) is None
    assert not desk.handshakes
    assert not desk.holepunches


@pytest.mark.parametrize(
    "message",
    [
        HandshakeMessage(Mode.FROM_CLIENT, b""),
        HandshakeMessage(Mode.FROM_RELAY, b"noise", peer_address=STRANGER),
        HandshakeMessage(Mode.FROM_SECOND_RELAY, b"noise", STRANGER, STRANGER),
        HandshakeMessage(Mode.FROM_SERVER, b"noise"),
        HandshakeMessage(Mode.FROM_SERVER, b"noise", peer_address=Address("7.7.7.7", 0)),
        HandshakeMessage(Mode.REPLY, b"noise", peer_address=STRANGER),
        HolepunchMessage(Mode.FROM_CLIENT, 0, b"payload"),
        HolepunchMessage(Mode.FROM_RELAY, 0, b"payload", STRANGER),
        HolepunchMessage(Mode.FROM_SECOND_RELAY, 0, b"payload", STRANGER),
        HolepunchMessage(Mode.FROM_SERVER, 0, b"payload"),
        HolepunchMessage(Mode.REPLY, 0, b"payload", STRANGER),
    ],
    ids=repr,
)
def test_relay_drops_what_it_cannot_send_on(net: HyperNet, message: HandshakeMessage | HolepunchMessage) -> None:
    heard = net.overhear(STRANGER)
    assert ask(net, net.client(), net.nodes[0], message) is None
    assert not heard


def test_relay_with_a_forward_drops_a_message_without_its_client(net: HyperNet) -> None:
    relay = net.nodes[0]
    relay.hyper.storage.forwards.set(TARGET, Forward(STRANGER, b""))
    heard = net.overhear(STRANGER)
    assert ask(net, net.client(), relay, HandshakeMessage(Mode.FROM_RELAY, b"noise")) is None
    assert not heard


# the way of a hole-punch message


def test_holepunch_message_through_the_servers_relay(net: HyperNet, desk: Desk) -> None:
    server, client = net.client(filtered=True), net.client(filtered=True)
    relay = net.listen(server, ALICE, desk).relays[0]
    reply = punch(net, client, relay.relay_address, relay.peer_address)
    assert reply == HolepunchReply(
        payload=b"answer",
        peer_address=server.host.addresses[CLIENT],
        to=client.host.addresses[CLIENT],
        relay=relay.relay_address,
    )
    message, source = desk.holepunches[-1]
    assert message == HolepunchMessage(Mode.FROM_RELAY, 3, b"payload", client.host.addresses[CLIENT])
    assert source == relay.relay_address


def test_holepunch_message_leaves_from_the_socket_it_is_about(net: HyperNet, desk: Desk) -> None:
    server, client = net.client(), net.client()
    relay = net.listen(server, ALICE, desk).relays[0]
    reply = punch(net, client, relay.relay_address, relay.peer_address, role=SERVER)
    assert reply is not None
    assert reply.to == client.host.addresses[SERVER]


def test_holepunch_message_finds_its_way_by_the_forward(net: HyperNet, desk: Desk) -> None:
    relay = net.named(net.listen(net.client(), ALICE, desk).relays[0].relay_address)
    reply = ask(net, net.client(), relay, HolepunchMessage(Mode.FROM_CLIENT, 3, b"payload"))
    assert reply is not None
    assert HolepunchMessage.decode(reply.value or b"").payload == b"answer"


def test_holepunch_message_for_an_unknown_server_is_silence(net: HyperNet) -> None:
    assert punch(net, net.client(), net.nodes[0].address, net.client().address) is None


# what the client believes


@pytest.mark.parametrize("value", [b"", b"\xff", HandshakeMessage(Mode.FROM_SERVER, b"noise").encode()])
def test_reply_that_is_none_ends_the_attempt(net: HyperNet, value: bytes) -> None:
    relay = net.nodes[0]
    relay.hyper.node.commands[Command.PEER_HANDSHAKE] = lambda request: request.reply(value)
    relay.hyper.node.commands[Command.PEER_HOLEPUNCH] = lambda request: request.reply(value)
    client = net.client()
    assert shake(net, client, relay.address) is None
    assert punch(net, client, relay.address, STRANGER) is None


def test_reply_without_noise_is_none(net: HyperNet) -> None:
    relay = net.nodes[0]
    empty = HandshakeMessage(Mode.REPLY, b"").encode()
    relay.hyper.node.commands[Command.PEER_HANDSHAKE] = lambda request: request.reply(empty)
    assert shake(net, net.client(), relay.address) is None


def test_reply_from_another_than_the_asked_relay_is_refused(net: HyperNet) -> None:
    relay = net.nodes[0]
    good = HandshakeMessage(Mode.REPLY, b"noise").encode()
    relay.hyper.node.commands[Command.PEER_HANDSHAKE] = lambda request: request.reply(good, role=CLIENT)
    relay.hyper.node.commands[Command.PEER_HOLEPUNCH] = lambda request: request.reply(
        HolepunchMessage(Mode.REPLY, 0, b"payload").encode(), role=CLIENT
    )
    client = net.client()
    assert shake(net, client, relay.address) is None
    assert punch(net, client, relay.address, STRANGER) is None


def test_cancelled_handshake_reports_nothing(net: HyperNet, desk: Desk) -> None:
    relay = net.listen(net.client(), ALICE, desk).relays[0].relay_address
    ended = Outcome["HandshakeReply | None"]()
    net.client().hyper.signaller.handshake(TARGET, b"noise", relay, ended)()
    net.run(10)
    assert not ended.values


# limits


def test_stranger_cannot_have_a_host_flooded(net: HyperNet) -> None:
    relay, client = net.nodes[0], net.client()
    message = HandshakeMessage(Mode.FROM_CLIENT, b"noise", relay_address=STRANGER).encode()
    heard = net.overhear(STRANGER)
    for _ in range(int(RELAYED_PER_HOST.burst) + 150):
        client.hyper.node.request(relay.address, Command.PEER_HANDSHAKE, print, target=TARGET, value=message, retries=0)
    net.run(20)
    assert 0 < len(heard) <= RELAYED_PER_HOST.burst + 20 * RELAYED_PER_HOST.per_second


def flood(net: HyperNet, to: Peer, count: int, message: HandshakeMessage) -> None:
    puppet = Address("5.5.5.5", 5)
    packet = RequestPacket(1, to.address, None, None, False, Command.PEER_HANDSHAKE, TARGET, message.encode())
    for _ in range(count):
        net.sim.carry(puppet, to.address, encode_request(packet))
    net.run(0.1)


def test_relay_cannot_bring_more_handshakes_than_its_share(net: HyperNet, desk: Desk) -> None:
    server = net.client()
    net.listen(server, ALICE, desk)
    for n in range(20):
        client = Address(f"4.4.4.{n}", 4)
        flood(net, server, 25, HandshakeMessage(Mode.FROM_RELAY, b"noise", peer_address=client))
    assert 350 <= len(desk.handshakes) <= HANDSHAKES_PER_RELAY.burst + 2 * HANDSHAKES_PER_RELAY.per_second


@pytest.mark.parametrize("mode", [Mode.FROM_CLIENT, Mode.FROM_RELAY])
def test_client_cannot_bring_more_handshakes_than_its_share(net: HyperNet, desk: Desk, mode: Mode) -> None:
    server = net.client()
    net.listen(server, ALICE, desk)
    for n in range(20):
        client = Address("4.4.4.4" if mode == Mode.FROM_RELAY else f"4.4.4.{n}", 4)
        flood(net, server, 20, HandshakeMessage(mode, b"noise", peer_address=client))
    share = HANDSHAKES_PER_CLIENT.burst + 2 * HANDSHAKES_PER_CLIENT.per_second
    assert HANDSHAKES_PER_CLIENT.burst <= len(desk.handshakes) <= share


def test_key_is_listened_for_once(net: HyperNet, desk: Desk) -> None:
    server = net.client()
    net.listen(server, ALICE, desk)
    with pytest.raises(ValueError, match="already"):
        server.hyper.listen(ALICE, desk)
