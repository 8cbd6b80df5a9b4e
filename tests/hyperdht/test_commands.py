"""The storing side, asked over the network: what it answers, and to what it is silent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holepunch.keys import hash32
from swarm.hyperdht.commands import Plugin
from swarm.hyperdht.messages import (
    AnnounceRequest,
    Command,
    LookupReply,
    MutablePutRequest,
    MutableValue,
    PeerRecord,
    PluginRequest,
    PutError,
    encode_minimum_seq,
)
from swarm.hyperdht.signatures import refresh_chain, signed_announce, signed_put
from swarm.hyperdht.storage import MAX_VALUE_SIZE
from swarm.kademlia.packets import UNKNOWN_COMMAND
from tests.hyperdht.hypernet import HyperNet, key_pair

if TYPE_CHECKING:
    from swarm.kademlia.rpc import Reply, Request

TOPIC = hash32(b"topic")
ALICE = key_pair(1)
STORING = [Command.FIND_PEER, Command.LOOKUP, Command.ANNOUNCE, Command.UNANNOUNCE, Command.MUTABLE_PUT]
STORING += [Command.MUTABLE_GET, Command.IMMUTABLE_PUT, Command.IMMUTABLE_GET, Command.PLUGIN]


class Conversation:
    """One client and one storing node."""

    def __init__(self) -> None:
        self.net = HyperNet(2)
        self.client = self.net.client()
        self.store = self.net.nodes[0]

    def ask(
        self, command: int, target: bytes | None = TOPIC, value: bytes | None = None, token: bytes | None = None
    ) -> Reply | None:
        return self.net.ask(self.client, self.store.address, command, target, value, token)

    def token(self, target: bytes = TOPIC) -> bytes:
        reply = self.ask(Command.LOOKUP, target)
        assert reply is not None
        assert reply.token is not None
        return reply.token

    def announce(self, target: bytes = TOPIC, refresh: bytes | None = None) -> Reply | None:
        token, node_id = self.token(), self.store.hyper.node.id
        assert node_id is not None
        value = signed_announce(Command.ANNOUNCE, ALICE, target, node_id, token, refresh=refresh)
        return self.ask(Command.ANNOUNCE, target, value, token)

    def found(self, target: bytes = TOPIC) -> set[bytes]:
        reply = self.ask(Command.LOOKUP, target)
        assert reply is not None
        return {bytes(p.public_key) for p in LookupReply.decode(reply.value).peers} if reply.value else set()


@pytest.fixture
def conversation() -> Conversation:
    return Conversation()


def test_announce_is_answered_with_nothing_and_kept(conversation: Conversation) -> None:
    reply = conversation.announce()
    assert reply is not None
    assert (reply.error, reply.value, reply.token, reply.closer) == (0, None, None, [])
    assert conversation.found() == {bytes(ALICE.public_key)}


def test_lookup_comes_with_token_and_closer_nodes(conversation: Conversation) -> None:
    reply = conversation.ask(Command.LOOKUP)
    assert reply is not None
    assert reply.value is None
    assert reply.token is not None
    assert reply.closer


def test_find_peer_names_a_peer_announced_under_its_own_key(conversation: Conversation) -> None:
    target = hash32(ALICE.public_key)
    assert conversation.announce(target) is not None
    reply = conversation.ask(Command.FIND_PEER, target)
    assert reply is not None
    assert reply.value == PeerRecord(ALICE.public_key).encode()
    forward = conversation.store.hyper.storage.forwards.get(target)
    assert forward is not None
    assert forward.relay in conversation.client.host.addresses.values()


def test_announce_without_token_is_met_with_silence(conversation: Conversation) -> None:
    token, node_id = conversation.token(), conversation.store.hyper.node.id
    assert node_id is not None
    value = signed_announce(Command.ANNOUNCE, ALICE, TOPIC, node_id, token)
    assert conversation.ask(Command.ANNOUNCE, TOPIC, value) is None
    assert conversation.found() == set()


@pytest.mark.parametrize("command", [Command.ANNOUNCE, Command.UNANNOUNCE])
def test_bad_signature_is_met_with_silence(conversation: Conversation, command: Command) -> None:
    conversation.announce()
    token, node_id = conversation.token(), conversation.store.hyper.node.id
    assert node_id is not None
    peer = PeerRecord(ALICE.public_key)
    unsigned = AnnounceRequest(peer, signature=bytes(64)).encode()
    other_node = signed_announce(command, ALICE, TOPIC, bytes(32), token)
    other_topic = signed_announce(command, ALICE, bytes(32), node_id, token)
    other_relays = AnnounceRequest.decode(signed_announce(command, ALICE, TOPIC, node_id, token))
    changed = AnnounceRequest(
        PeerRecord(ALICE.public_key, (conversation.store.address,)), signature=other_relays.signature
    ).encode()
    for value in (unsigned, other_node, other_topic, changed, AnnounceRequest(peer).encode(), b"", None):
        assert conversation.ask(command, TOPIC, value, token) is None
    assert conversation.found() == {bytes(ALICE.public_key)}


def test_signature_dies_with_its_token(conversation: Conversation) -> None:
    token, node_id = conversation.token(), conversation.store.hyper.node.id
    assert node_id is not None
    value = signed_announce(Command.ANNOUNCE, ALICE, TOPIC, node_id, token)
    conversation.net.run(20)
    reply = conversation.ask(Command.ANNOUNCE, TOPIC, value, token)
    assert reply is not None
    assert reply.error == 2
    assert reply.token is not None
    assert conversation.ask(Command.ANNOUNCE, TOPIC, value, reply.token) is None


def test_unannounce_removes_the_record(conversation: Conversation) -> None:
    conversation.announce()
    token, node_id = conversation.token(), conversation.store.hyper.node.id
    assert node_id is not None
    value = signed_announce(Command.UNANNOUNCE, ALICE, TOPIC, node_id, token)
    reply = conversation.ask(Command.UNANNOUNCE, TOPIC, value, token)
    assert reply is not None
    assert (reply.value, reply.token, reply.closer) == (None, None, [])
    assert conversation.found() == set()


def test_refresh_element_renews_without_a_signature(conversation: Conversation) -> None:
    chain = refresh_chain(bytes(32), 2)
    conversation.announce(refresh=chain[0])
    conversation.net.run(20 * 60 * 2 / 3)
    value = AnnounceRequest(None, refresh=chain[1]).encode()
    assert conversation.ask(Command.ANNOUNCE, TOPIC, value) is None
    assert conversation.ask(Command.ANNOUNCE, TOPIC, value, conversation.token()) is not None
    assert conversation.ask(Command.ANNOUNCE, TOPIC, value, conversation.token()) is None
    conversation.net.run(20 * 60 * 2 / 3)
    assert conversation.found() == {bytes(ALICE.public_key)}


def test_mutable_value_is_stored_and_versions_are_guarded(conversation: Conversation) -> None:
    target = hash32(ALICE.public_key)

    def put(seq: int, value: bytes) -> int:
        reply = conversation.ask(
            Command.MUTABLE_PUT, target, signed_put(ALICE, seq, value).encode(), conversation.token()
        )
        assert reply is not None
        assert (reply.token is None) == (reply.error != 0)
        return reply.error

    assert put(3, b"three") == 0
    assert put(3, b"three") == 0
    assert put(3, b"other") == PutError.SEQ_REUSED
    assert put(2, b"two") == PutError.SEQ_TOO_LOW
    reply = conversation.ask(Command.MUTABLE_GET, target, encode_minimum_seq(3))
    assert reply is not None
    assert reply.value == signed_put(ALICE, 3, b"three").content.encode()
    reply = conversation.ask(Command.MUTABLE_GET, target, encode_minimum_seq(4))
    assert reply is not None
    assert reply.value is None


def test_mutable_put_that_does_not_fit_its_target_or_signature_is_met_with_silence(conversation: Conversation) -> None:
    target, token = hash32(ALICE.public_key), conversation.token()
    good = signed_put(ALICE, 1, b"value")
    forged = MutablePutRequest(ALICE.public_key, MutableValue(2, b"value", good.content.signature))
    large = signed_put(ALICE, 1, bytes(MAX_VALUE_SIZE + 1))
    assert conversation.ask(Command.MUTABLE_PUT, TOPIC, good.encode(), token) is None
    assert conversation.ask(Command.MUTABLE_PUT, target, good.encode()) is None
    for put in (forged, large, signed_put(ALICE, 1, b"")):
        assert conversation.ask(Command.MUTABLE_PUT, target, put.encode(), token) is None
    assert conversation.ask(Command.MUTABLE_GET, target) is None


def test_immutable_value_is_stored_under_its_hash_only(conversation: Conversation) -> None:
    value, token = b"value", conversation.token()
    assert conversation.ask(Command.IMMUTABLE_PUT, TOPIC, value, token) is None
    assert conversation.ask(Command.IMMUTABLE_PUT, hash32(value), value) is None
    large = bytes(MAX_VALUE_SIZE + 1)
    assert conversation.ask(Command.IMMUTABLE_PUT, hash32(large), large, token) is None
    assert conversation.ask(Command.IMMUTABLE_PUT, hash32(b""), b"", token) is None
    reply = conversation.ask(Command.IMMUTABLE_PUT, hash32(value), value, token)
    assert reply is not None
    assert reply.token is not None
    reply = conversation.ask(Command.IMMUTABLE_GET, hash32(value))
    assert reply is not None
    assert reply.value == value
    reply = conversation.ask(Command.IMMUTABLE_GET, hash32(b"other"))
    assert reply is not None
    assert reply.value is None


def test_unknown_plugin_is_met_with_silence(conversation: Conversation) -> None:
    assert conversation.ask(Command.PLUGIN, None, PluginRequest("nobody", 1, 0).encode()) is None
    assert conversation.ask(Command.PLUGIN, None, b"\xff") is None


def test_plugin_answers_requests_of_its_name_and_version(conversation: Conversation) -> None:
    def echo(asked: PluginRequest, request: Request) -> None:
        request.reply(asked.value, token=False, closer=False)

    conversation.store.hyper.plugins["echo"] = Plugin(2, echo)
    reply = conversation.ask(Command.PLUGIN, None, PluginRequest("echo", 2, 0, b"hello").encode())
    assert reply is not None
    assert reply.value == b"hello"
    assert conversation.ask(Command.PLUGIN, None, PluginRequest("echo", 1, 0, b"hello").encode()) is None


@pytest.mark.parametrize("command", STORING)
def test_ephemeral_node_knows_no_storing_command(conversation: Conversation, command: Command) -> None:
    other = conversation.net.client()
    reply = conversation.net.ask(other, conversation.client.address, command, TOPIC)
    assert reply is not None
    assert reply.error == UNKNOWN_COMMAND
    assert reply.token is None
    assert reply.closer


@pytest.mark.parametrize("command", [c for c in STORING if c != Command.PLUGIN])
def test_storing_command_without_target_is_met_with_silence(conversation: Conversation, command: Command) -> None:
    assert conversation.ask(command, None, b"value") is None


def _values() -> st.SearchStrategy[bytes]:
    real = [
        signed_announce(Command.ANNOUNCE, ALICE, TOPIC, bytes(32), bytes(32)),
        signed_put(ALICE, 1, b"value").encode(),
        PluginRequest("echo", 1, 1, b"value").encode(),
        b"\x00\x00\x05noise",
        b"\x01\x02\x05noise\x01\x02\x03\x04\x05\x06",
    ]

    def broken(value: bytes, at: int, byte: int, cut: int) -> bytes:
        at %= len(value)
        return (value[:at] + bytes([byte]) + value[at + 1 :])[: len(value) - cut]

    mutated = st.builds(broken, st.sampled_from(real), st.integers(0, 200), st.integers(0, 255), st.integers(0, 3))
    return st.binary(max_size=100) | mutated


@pytest.fixture(scope="module")
def shared() -> Conversation:
    return Conversation()


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    command=st.integers(0, 12),
    value=st.none() | _values(),
    target=st.sampled_from([None, TOPIC, hash32(ALICE.public_key)]),
    with_token=st.booleans(),
)
def test_no_value_makes_any_command_raise(
    shared: Conversation, command: int, value: bytes | None, target: bytes | None, with_token: bool
) -> None:
    shared.ask(command, target, value, shared.token() if with_token else None)
