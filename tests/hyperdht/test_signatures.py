"""What HyperDHT signs, against signatures made by Node."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from holepunch.address import Address
from holepunch.keys import KeyPair, hash32
from swarm.hyperdht.messages import AnnounceRequest, Command, MutablePutRequest, MutableValue, PeerRecord
from swarm.hyperdht.signatures import (
    announce_signable,
    mutable_signable,
    namespace,
    refresh_chain,
    signed_announce,
    signed_put,
    verify_announce,
    verify_mutable,
)
from tests.recorded import recorded

FILE = "signatures.json"


def parts(case: dict[str, Any]) -> tuple[Command, KeyPair, bytes, bytes, bytes, tuple[Address, ...], bytes | None]:
    return (
        Command[case["kind"].upper()],
        KeyPair.from_seed(bytes.fromhex(case["seed"])),
        bytes.fromhex(case["target"]),
        bytes.fromhex(case["node_id"]),
        bytes.fromhex(case["token"]),
        tuple(Address(relay["host"], relay["port"]) for relay in case["relay_addresses"]),
        None if case["refresh"] is None else bytes.fromhex(case["refresh"]),
    )


@pytest.mark.parametrize("case", recorded(FILE, "namespaces"))
def test_namespaces_are_those_of_node(case: dict[str, Any]) -> None:
    assert hash32(case["name_string"].encode()).hex() == case["name_hash"]
    for name, expected in case["namespaces"].items():
        assert Command[name] == expected["index"]
        assert namespace(Command[name]).hex() == expected["hex"]


@pytest.mark.parametrize("case", recorded(FILE, "key_pair"))
def test_key_pair_and_its_target_are_those_of_node(case: dict[str, Any]) -> None:
    pair = KeyPair.from_seed(bytes.fromhex(case["seed"]))
    assert pair.public_key.hex() == case["public_key"]
    assert pair.secret_key.hex() == case["secret_key"]
    assert hash32(pair.public_key).hex() == case["target"]


@pytest.mark.parametrize("case", recorded(FILE, "hash"))
def test_hash_is_that_of_node(case: dict[str, Any]) -> None:
    assert hash32(bytes.fromhex(case["input"])).hex() == case["hash"]


@pytest.mark.parametrize("case", recorded(FILE, "immutable_put"))
def test_target_of_an_immutable_value_is_its_hash(case: dict[str, Any]) -> None:
    assert hash32(bytes.fromhex(case["value"])).hex() == case["target"]


@pytest.mark.parametrize("case", recorded(FILE, "announce", "unannounce"))
def test_announce_signature_is_that_of_node(case: dict[str, Any]) -> None:
    command, pair, target, node_id, token, relays, refresh = parts(case)
    peer = PeerRecord(pair.public_key, relays)
    assert peer.encode().hex() == case["peer_encoding"]
    assert announce_signable(command, target, node_id, token, peer, refresh).hex() == case["signable"]
    value = signed_announce(command, pair, target, node_id, token, relays, refresh)
    assert value.hex() == case["request_value"]
    assert AnnounceRequest.decode(value).signature == bytes.fromhex(case["signature"])
    assert verify_announce(command, target, node_id, token, AnnounceRequest.decode(value))


@pytest.mark.parametrize("case", recorded(FILE, "announce", "unannounce"))
def test_announce_signature_holds_for_one_command_node_token_and_target(case: dict[str, Any]) -> None:
    command, _, target, node_id, token, _, _ = parts(case)
    request = AnnounceRequest.decode(bytes.fromhex(case["request_value"]))
    other = bytes(32)
    opposite = Command.ANNOUNCE if command == Command.UNANNOUNCE else Command.UNANNOUNCE
    assert not verify_announce(opposite, target, node_id, token, request)
    assert not verify_announce(command, other, node_id, token, request)
    assert not verify_announce(command, target, other, token, request)
    assert not verify_announce(command, target, node_id, other, request)


def test_announce_without_peer_or_signature_is_not_signed() -> None:
    peer = PeerRecord(KeyPair.from_seed(bytes(32)).public_key)
    for request in (AnnounceRequest(peer), AnnounceRequest(None, signature=bytes(64))):
        assert not verify_announce(Command.ANNOUNCE, bytes(32), bytes(32), bytes(32), request)


@pytest.mark.parametrize("case", recorded(FILE, "mutable_put"))
def test_mutable_signature_is_that_of_node(case: dict[str, Any]) -> None:
    pair = KeyPair.from_seed(bytes.fromhex(case["seed"]))
    value = bytes.fromhex(case["value"])
    request = signed_put(pair, case["seq"], value)
    assert request.content.signed_part().hex() == case["signable_encoding"]
    assert mutable_signable(request.content).hex() == case["signable"]
    assert request.content.signature.hex() == case["signature"]
    assert request.encode().hex() == case["request_value"]
    assert MutablePutRequest.decode(request.encode()) == request
    assert verify_mutable(request.content, pair.public_key)
    assert not verify_mutable(MutableValue(case["seq"] + 1, value, request.content.signature), pair.public_key)


@pytest.mark.parametrize("case", recorded(FILE, "refresh_chain"))
def test_refresh_chain_of_node_is_one_here(case: dict[str, Any]) -> None:
    chain = [bytes.fromhex(element) for element in case["chain"]]
    assert all(hash32(later) == earlier for earlier, later in itertools.pairwise(chain))
    assert refresh_chain(chain[-1], len(chain) - 1) == chain[:-1]
