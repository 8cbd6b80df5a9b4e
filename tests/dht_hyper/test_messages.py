"""HyperDHT's values against cases recorded from Node, and against bytes that mean nothing."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holepunch.address import Address
from holepunch.errors import DecodeError
from holepunch.keys import PublicKey
from swarm.dht.messages import (
    AnnounceRequest,
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

if TYPE_CHECKING:
    from collections.abc import Callable

CASES = json.loads((Path(__file__).parents[1] / "vectors" / "hyperdht_messages.json").read_text())["cases"]


def of_type(name: str) -> list[Any]:
    cases = [pytest.param(case, id=f"{name}: {case['name']}") for case in CASES if case["type"] == name]
    assert cases
    return cases


def addresses(values: list[dict[str, Any]]) -> tuple[Address, ...]:
    return tuple(Address(value["host"], value["port"]) for value in values)


def data(text: str | None) -> bytes | None:
    return None if text is None else bytes.fromhex(text)


def record(value: dict[str, Any]) -> PeerRecord:
    return PeerRecord(PublicKey.parse(value["publicKey"]), addresses(value["relayAddresses"]))


@pytest.mark.parametrize("case", of_type("peer"))
def test_peer_record_is_what_node_sends(case: dict[str, Any]) -> None:
    peer = record(case["decoded"])
    assert peer.encode().hex() == case["hex"]
    assert PeerRecord.decode(bytes.fromhex(case["hex"])) == peer


@pytest.mark.parametrize("case", of_type("peers"))
def test_list_of_peers_reads_as_a_lookup_reply_of_an_old_node(case: dict[str, Any]) -> None:
    peers = tuple(map(record, case["decoded"]))
    assert LookupReply.decode(bytes.fromhex(case["hex"])) == LookupReply(peers)
    assert encode_lookup_reply([peer.encode() for peer in peers], 0).hex() == case["hex"] + "00"


@pytest.mark.parametrize("case", of_type("lookupRawReply"))
def test_lookup_reply_is_what_node_sends(case: dict[str, Any]) -> None:
    decoded = case["decoded"]
    reply = LookupReply.decode(bytes.fromhex(case["hex"]))
    assert reply == LookupReply(tuple(map(record, decoded["peers"])), decoded["bump"])
    if case["input"] is not None:
        raw = [bytes.fromhex(peer) for peer in case["input"]["peers"]]
        assert encode_lookup_reply(raw, case["input"]["bump"]).hex() == case["hex"]


@pytest.mark.parametrize("case", of_type("announce"))
def test_announce_is_what_node_sends(case: dict[str, Any]) -> None:
    decoded = case["decoded"]
    request = AnnounceRequest(
        peer=None if decoded["peer"] is None else record(decoded["peer"]),
        refresh=data(decoded["refresh"]),
        signature=data(decoded["signature"]),
        bump=decoded["bump"],
    )
    assert request.encode().hex() == case["hex"]
    assert AnnounceRequest.decode(bytes.fromhex(case["hex"])) == request


@pytest.mark.parametrize("case", of_type("mutableSignable"))
def test_signed_part_of_a_mutable_value_is_what_node_signs(case: dict[str, Any]) -> None:
    value = bytes.fromhex(case["input"]["value"])
    assert MutableValue(case["input"]["seq"], value, b"").signed_part().hex() == case["hex"]


@pytest.mark.parametrize("case", of_type("mutablePutRequest"))
def test_mutable_put_is_what_node_sends(case: dict[str, Any]) -> None:
    decoded = case["decoded"]
    content = MutableValue(decoded["seq"], bytes.fromhex(decoded["value"]), bytes.fromhex(decoded["signature"]))
    request = MutablePutRequest(PublicKey.parse(decoded["publicKey"]), content)
    assert request.encode().hex() == case["hex"]
    assert MutablePutRequest.decode(bytes.fromhex(case["hex"])) == request


@pytest.mark.parametrize("case", of_type("mutableGetResponse"))
def test_mutable_value_is_what_node_sends(case: dict[str, Any]) -> None:
    decoded = case["decoded"]
    content = MutableValue(decoded["seq"], bytes.fromhex(decoded["value"]), bytes.fromhex(decoded["signature"]))
    assert content.encode().hex() == case["hex"]
    assert MutableValue.decode(bytes.fromhex(case["hex"])) == content


@pytest.mark.parametrize("case", of_type("mutableGetRequest"))
def test_minimum_seq_is_what_node_sends(case: dict[str, Any]) -> None:
    assert encode_minimum_seq(case["input"]["seq"]).hex() == case["hex"]
    assert decode_minimum_seq(bytes.fromhex(case["hex"])) == case["decoded"]["seq"]


@pytest.mark.parametrize("case", of_type("pluginRequest"))
def test_plugin_request_is_what_node_sends(case: dict[str, Any]) -> None:
    decoded = case["decoded"]
    request = PluginRequest(decoded["plugin"], decoded["version"], decoded["command"], data(decoded["value"]))
    assert request.encode().hex() == case["hex"]
    assert PluginRequest.decode(bytes.fromhex(case["hex"])) == request


@pytest.mark.parametrize("case", of_type("hyperdht-address"))
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


@pytest.mark.parametrize("case", [param.values[0] for name in ("announce", "pluginRequest") for param in of_type(name)])
def test_cut_off_message_is_refused(case: dict[str, Any]) -> None:
    decode: Callable[[bytes], object] = AnnounceRequest.decode if case["type"] == "announce" else PluginRequest.decode
    whole = bytes.fromhex(case["hex"])
    for end in range(len(whole)):
        with pytest.raises(DecodeError):
            decode(whole[:end])
