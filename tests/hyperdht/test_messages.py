"""HyperDHT's values against cases recorded from Node, and against bytes that mean nothing."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holepunch.address import Address
from holepunch.errors import DecodeError
from holepunch.keys import PublicKey
from swarm.hyperdht.messages import (
    AnnounceRequest,
    Command,
    LookupReply,
    MutablePutRequest,
    MutableValue,
    PeerAddress,
    PeerRecord,
    PluginRequest,
    decode_minimum_seq,
    encode_lookup_reply,
    encode_minimum_seq,
)
from swarm.hyperdht.signatures import verify_announce
from swarm.kademlia.ids import node_id
from tests.recorded import message_of, recorded

if TYPE_CHECKING:
    from collections.abc import Callable

ALONE, IN_DATAGRAMS = "hyperdht_messages.json", "dht_rpc.json"
"""Where messages were recorded."""
ANNOUNCES = recorded(ALONE, "announce") + recorded(IN_DATAGRAMS, "value of ANNOUNCE", "value of UNANNOUNCE")
PLUGINS = recorded(ALONE, "pluginRequest") + recorded(IN_DATAGRAMS, "value of PLUGIN")


def addresses(values: list[dict[str, Any]]) -> tuple[Address, ...]:
    return tuple(Address(value["host"], value["port"]) for value in values)


def unhex(text: str | None) -> bytes | None:
    return None if text is None else bytes.fromhex(text)


def record(value: dict[str, Any]) -> PeerRecord:
    return PeerRecord(PublicKey.parse(value["publicKey"]), addresses(value["relayAddresses"]))


@pytest.mark.parametrize("case", recorded(ALONE, "peer") + recorded(IN_DATAGRAMS, "answer to FIND_PEER"))
def test_peer_record_is_what_node_sends(case: dict[str, Any]) -> None:
    decoded, data = message_of(case)
    peer = record(decoded)
    assert peer.encode().hex() == data
    assert PeerRecord.decode(bytes.fromhex(data)) == peer


@pytest.mark.parametrize("case", recorded(ALONE, "peers"))
def test_list_of_peers_reads_as_a_lookup_reply_of_an_old_node(case: dict[str, Any]) -> None:
    peers = tuple(map(record, case["decoded"]))
    assert LookupReply.decode(bytes.fromhex(case["hex"])) == LookupReply(peers)
    assert encode_lookup_reply([peer.encode() for peer in peers], 0).hex() == case["hex"] + "00"


@pytest.mark.parametrize("case", recorded(ALONE, "lookupRawReply") + recorded(IN_DATAGRAMS, "answer to LOOKUP"))
def test_lookup_reply_is_what_node_sends(case: dict[str, Any]) -> None:
    decoded, data = message_of(case)
    peers = tuple(map(record, decoded["peers"]))
    assert LookupReply.decode(bytes.fromhex(data)) == LookupReply(peers, decoded["bump"])
    if "input" not in case or case["input"] is not None:  # else no Node of today encodes it
        assert encode_lookup_reply([peer.encode() for peer in peers], decoded["bump"]).hex() == data


@pytest.mark.parametrize("case", ANNOUNCES)
def test_announce_is_what_node_sends(case: dict[str, Any]) -> None:
    decoded, data = message_of(case)
    request = AnnounceRequest(
        peer=None if decoded["peer"] is None else record(decoded["peer"]),
        refresh=unhex(decoded["refresh"]),
        signature=unhex(decoded["signature"]),
        bump=decoded["bump"],
    )
    assert request.encode().hex() == data
    assert AnnounceRequest.decode(bytes.fromhex(data)) == request


@pytest.mark.parametrize("case", recorded(IN_DATAGRAMS, "value of ANNOUNCE", "value of UNANNOUNCE"))
def test_recorded_announce_is_signed_for_the_node_it_went_to(case: dict[str, Any]) -> None:
    request, to = case["parsed"], Address(**case["to"])
    announce = AnnounceRequest.decode(bytes.fromhex(request["value"]))
    target, token = bytes.fromhex(request["target"]), bytes.fromhex(request["token"])
    assert verify_announce(Command(request["command"]), target, node_id(to), token, announce)


@pytest.mark.parametrize("case", recorded(ALONE, "mutableSignable"))
def test_signed_part_of_a_mutable_value_is_what_node_signs(case: dict[str, Any]) -> None:
    value = bytes.fromhex(case["input"]["value"])
    assert MutableValue(case["input"]["seq"], value, b"").signed_part().hex() == case["hex"]


@pytest.mark.parametrize("case", recorded(ALONE, "mutablePutRequest") + recorded(IN_DATAGRAMS, "value of MUTABLE_PUT"))
def test_mutable_put_is_what_node_sends(case: dict[str, Any]) -> None:
    decoded, data = message_of(case)
    content = MutableValue(decoded["seq"], bytes.fromhex(decoded["value"]), bytes.fromhex(decoded["signature"]))
    request = MutablePutRequest(PublicKey.parse(decoded["publicKey"]), content)
    assert request.encode().hex() == data
    assert MutablePutRequest.decode(bytes.fromhex(data)) == request


@pytest.mark.parametrize(
    "case", recorded(ALONE, "mutableGetResponse") + recorded(IN_DATAGRAMS, "answer to MUTABLE_GET")
)
def test_mutable_value_is_what_node_sends(case: dict[str, Any]) -> None:
    decoded, data = message_of(case)
    content = MutableValue(decoded["seq"], bytes.fromhex(decoded["value"]), bytes.fromhex(decoded["signature"]))
    assert content.encode().hex() == data
    assert MutableValue.decode(bytes.fromhex(data)) == content


@pytest.mark.parametrize("case", recorded(ALONE, "mutableGetRequest") + recorded(IN_DATAGRAMS, "value of MUTABLE_GET"))
def test_minimum_seq_is_what_node_sends(case: dict[str, Any]) -> None:
    decoded, data = message_of(case)
    seq = decoded["seq"] if isinstance(decoded, dict) else decoded
    assert encode_minimum_seq(seq).hex() == data
    assert decode_minimum_seq(bytes.fromhex(data)) == seq


@pytest.mark.parametrize("case", PLUGINS)
def test_plugin_request_is_what_node_sends(case: dict[str, Any]) -> None:
    decoded, data = message_of(case)
    request = PluginRequest(decoded["plugin"], decoded["version"], decoded["command"], unhex(decoded["value"]))
    assert request.encode().hex() == data
    assert PluginRequest.decode(bytes.fromhex(data)) == request


@pytest.mark.parametrize("case", recorded(ALONE, "hyperdht-address"))
def test_peer_address_is_what_node_writes(case: dict[str, Any]) -> None:
    decoded = case["decoded"]
    nodes = None if decoded["nodes"] is None else addresses(decoded["nodes"])
    address = PeerAddress(PublicKey.parse(decoded["key"]), nodes)
    assert PeerAddress.decode(bytes.fromhex(case["hex"])) == address
    if case["input"] is not None:
        assert address.encode().hex() == case["hex"]


DECODERS: list[Callable[[bytes], object]] = [
    PeerRecord.decode,
    LookupReply.decode,
    AnnounceRequest.decode,
    MutableValue.decode,
    MutablePutRequest.decode,
    PluginRequest.decode,
    PeerAddress.decode,
    decode_minimum_seq,
]


@pytest.mark.parametrize("decode", DECODERS)
@given(junk=st.binary(max_size=300) | st.integers(0, 255).flatmap(lambda b: st.just(bytes([b]) * 200)))
def test_decoder_raises_nothing_but_decode_errors(decode: Callable[[bytes], object], junk: bytes) -> None:
    with contextlib.suppress(DecodeError):
        decode(junk)


@pytest.mark.parametrize(
    ("decode", "case"),
    [(AnnounceRequest.decode, param.values[0]) for param in ANNOUNCES]
    + [(PluginRequest.decode, param.values[0]) for param in PLUGINS],
)
def test_cut_off_message_is_refused(decode: Callable[[bytes], object], case: dict[str, Any]) -> None:
    whole = bytes.fromhex(message_of(case)[1])
    for end in range(len(whole)):
        with pytest.raises(DecodeError):
            decode(whole[:end])
