"""The bytes of connecting, against cases recorded from HyperDHT."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holepunch.address import Address
from holepunch.errors import DecodeError
from holepunch.keys import KeyPair
from holepunch.punch.messages import (
    MAX_LISTED,
    MAX_TAGS,
    NS_PEER_HANDSHAKE,
    NS_PEER_HOLEPUNCH,
    VERSION,
    Greeting,
    HandshakeMessage,
    HolepunchInfo,
    HolepunchMessage,
    HolepunchPayload,
    Mode,
    NoisePayload,
    RelayInfo,
    RelayThrough,
    SecurePayload,
    UdxInfo,
    holepunch_secret,
)
from holepunch.secure.noise import Handshake
from tests.recorded import message_of, recorded

ALONE, IN_DATAGRAMS = "hyperdht_messages.json", "dht_rpc.json"
"""Where messages were recorded."""
OVERHEAD = {Mode.FROM_CLIENT: 96, Mode.FROM_RELAY: 96, Mode.FROM_SERVER: 48, Mode.REPLY: 48}
"""Bytes that Noise adds to a payload: the first message of IK holds two keys and two MACs, the second one of each."""


def address(value: dict[str, Any] | None) -> Address | None:
    return None if value is None else Address(value["host"], value["port"])


def addresses(values: list[dict[str, Any]] | None) -> tuple[Address, ...] | None:
    return None if values is None else tuple(Address(v["host"], v["port"]) for v in values)


def octets6(value: dict[str, Any]) -> bytes:
    groups = [int(group, 16).to_bytes(2, "big") for group in value["host"].split(":")]
    return b"".join(groups) + int(value["port"]).to_bytes(2, "little")


def fixed(value: str | None) -> bytes | None:
    return None if value is None else bytes.fromhex(value)


def noise_payload(value: dict[str, Any]) -> NoisePayload:
    punch, udx, through = value["holepunch"], value["udx"], value["relayThrough"]
    return NoisePayload(
        version=value["version"],
        error=value["error"],
        firewall=value["firewall"],
        holepunch=punch
        and HolepunchInfo(
            punch["id"],
            tuple(
                RelayInfo(Address(**relay["relayAddress"]), Address(**relay["peerAddress"]))
                for relay in punch["relays"]
            ),
        ),
        addresses4=addresses(value["addresses4"]) or (),
        addresses6=tuple(map(octets6, value["addresses6"])),
        udx=udx and UdxInfo(udx["id"], udx["reusableSocket"], udx["seq"]),
        secret_stream=value["secretStream"] is not None,
        relay_through=through and RelayThrough(bytes.fromhex(through["publicKey"]), bytes.fromhex(through["token"])),
        relay_addresses=addresses(value["relayAddresses"]),
    )


def holepunch_payload(value: dict[str, Any]) -> HolepunchPayload:
    return HolepunchPayload(
        error=value["error"],
        firewall=value["firewall"],
        round=value["round"],
        connected=value["connected"],
        punching=value["punching"],
        addresses=addresses(value["addresses"]),
        remote_address=address(value["remoteAddress"]),
        token=fixed(value["token"]),
        remote_token=fixed(value["remoteToken"]),
    )


HANDSHAKES = recorded(IN_DATAGRAMS, "value of PEER_HANDSHAKE", "answer to PEER_HANDSHAKE")
HOLEPUNCHES = recorded(IN_DATAGRAMS, "value of PEER_HOLEPUNCH", "answer to PEER_HOLEPUNCH")


@pytest.mark.parametrize("case", recorded(ALONE, "handshake") + HANDSHAKES)
def test_recorded_handshake_message(case: dict[str, Any]) -> None:
    value, data = message_of(case)
    message = HandshakeMessage(
        Mode(value["mode"]),
        bytes.fromhex(value["noise"]),
        address(value["peerAddress"]),
        address(value["relayAddress"]),
    )
    assert HandshakeMessage.decode(bytes.fromhex(data)) == message
    assert message.encode().hex() == data


@pytest.mark.parametrize("case", recorded(ALONE, "holepunch") + HOLEPUNCHES)
def test_recorded_holepunch_message(case: dict[str, Any]) -> None:
    value, data = message_of(case)
    message = HolepunchMessage(
        Mode(value["mode"]), value["id"], bytes.fromhex(value["payload"]), address(value["peerAddress"])
    )
    assert HolepunchMessage.decode(bytes.fromhex(data)) == message
    assert message.encode().hex() == data


@pytest.mark.parametrize("case", recorded(ALONE, "noisePayload"))
def test_recorded_noise_payload(case: dict[str, Any]) -> None:
    payload = noise_payload(case["decoded"])
    assert NoisePayload.decode(bytes.fromhex(case["hex"])) == payload
    if case["input"] is not None:
        assert payload.encode().hex() == case["hex"]


@pytest.mark.parametrize("case", recorded(IN_DATAGRAMS, "noise_payload"))
def test_payload_inside_a_recorded_handshake_is_as_long_as_ours(case: dict[str, Any]) -> None:
    payload = noise_payload(case["noise_payload"])
    message = HandshakeMessage.decode(bytes.fromhex(case["parsed"]["value"]))
    assert len(payload.encode()) == len(message.noise) - OVERHEAD[message.mode]
    assert NoisePayload.decode(payload.encode()) == payload


@pytest.mark.parametrize("case", recorded(IN_DATAGRAMS, "payload_decoded"))
def test_payload_of_a_recorded_holepunch_message_opens_and_seals(case: dict[str, Any]) -> None:
    sealed = HolepunchMessage.decode(bytes.fromhex(case["parsed"]["value"])).payload
    secure = SecurePayload(bytes.fromhex(case["holepunch_secret"]), bytes(32))
    payload = secure.open(sealed)
    assert payload == holepunch_payload(case["payload_decoded"])
    assert secure.seal(payload, sealed[:24]) == sealed


@pytest.mark.parametrize("case", recorded(ALONE, "holepunchPayload"))
def test_recorded_holepunch_payload(case: dict[str, Any]) -> None:
    payload = holepunch_payload(case["decoded"])
    assert HolepunchPayload.decode(bytes.fromhex(case["hex"])) == payload
    assert payload.encode().hex() == case["hex"]


@pytest.mark.parametrize("case", recorded(ALONE, "securePayload"))
def test_recorded_secure_payload_opens_and_seals(case: dict[str, Any]) -> None:
    secure = SecurePayload(bytes.fromhex(case["input"]["secret"]), bytes(32))
    payload = holepunch_payload(case["decoded"])
    assert payload.encode().hex() == case["input"]["payload_hex"]
    assert secure.open(bytes.fromhex(case["hex"])) == payload
    assert secure.seal(payload, bytes.fromhex(case["input"]["nonce"])).hex() == case["hex"]


@pytest.mark.parametrize("case", recorded(ALONE, "holepunchToken"))
def test_recorded_token(case: dict[str, Any]) -> None:
    secure = SecurePayload(bytes(32), bytes.fromhex(case["input"]["local_secret"]))
    assert secure.token(case["input"]["host"]).hex() == case["hex"]


def test_namespaces_are_those_of_the_protocol() -> None:
    assert NS_PEER_HANDSHAKE.hex() == "14d6d4b49214ab1033ed204976caa258bae9e1e8543b9ad1fd996a910b0c4e3a"
    assert NS_PEER_HOLEPUNCH.hex() == "f1191cd5e67b10b54a507033280ed1ff0e12278268d5679c8f93d417210d168b"


@pytest.mark.parametrize("case", recorded(ALONE, "noiseHandshakeIK"))
def test_recorded_handshake_with_its_payloads(case: dict[str, Any]) -> None:
    given, recorded = case["input"], case["decoded"]

    def pair(name: str) -> KeyPair:
        return KeyPair.from_seed(bytes.fromhex(given[name]))

    server = pair("responder_static_seed")
    client = Handshake(
        "IK",
        True,
        pair("initiator_static_seed"),
        server.public_key,
        NS_PEER_HANDSHAKE,
        pair("initiator_ephemeral_seed"),
    )
    responder = Handshake("IK", False, server, None, NS_PEER_HANDSHAKE, pair("responder_ephemeral_seed"))
    said, answered = (
        NoisePayload.decode(bytes.fromhex(given[f"{side}_payload_hex"])) for side in ("initiator", "responder")
    )
    first = client.write(said.encode())
    assert first.hex() == recorded["message1"]
    assert NoisePayload.decode(responder.read(first)) == said
    second = responder.write(answered.encode())
    assert second.hex() == recorded["message2"]
    assert NoisePayload.decode(client.read(second)) == answered
    assert client.session.tx.hex() == recorded["initiator_tx"]
    assert client.session.rx.hex() == recorded["initiator_rx"]
    assert holepunch_secret(client.session.hash).hex() == recorded["holepunch_secret"]


@pytest.mark.parametrize("change", range(60))
def test_altered_secure_payload_does_not_open(change: int) -> None:
    secure = SecurePayload(bytes(32), bytes(32))
    sealed = bytearray(secure.seal(HolepunchPayload(token=bytes(32)), bytes(24)))
    sealed[change] ^= 1
    with pytest.raises(DecodeError):
        secure.open(sealed)


@given(st.binary(max_size=200))
def test_random_bytes_decode_or_give_the_one_error(data: bytes) -> None:
    secure = SecurePayload(bytes(32), bytes(32))
    for decode in (
        HandshakeMessage.decode,
        HolepunchMessage.decode,
        NoisePayload.decode,
        HolepunchPayload.decode,
        secure.open,
    ):
        with contextlib.suppress(DecodeError):
            decode(data)


ipv4 = st.builds(Address, st.ip_addresses(v=4).map(str), st.integers(0, 65535))
key = st.binary(min_size=32, max_size=32)


@given(
    st.builds(
        NoisePayload,
        error=st.integers(0, 252),
        firewall=st.integers(0, 252),
        holepunch=st.none()
        | st.builds(
            HolepunchInfo, st.integers(0, 2**32), st.lists(st.builds(RelayInfo, ipv4, ipv4), max_size=4).map(tuple)
        ),
        version=st.just(VERSION),
        addresses4=st.lists(ipv4, max_size=4).map(tuple),
        addresses6=st.lists(st.binary(min_size=18, max_size=18), max_size=4).map(tuple),
        greeting=st.none()
        | st.builds(Greeting, st.lists(st.binary(min_size=16, max_size=16), max_size=16).map(tuple), st.booleans()),
        udx=st.none() | st.builds(UdxInfo, st.integers(0, 2**32 - 1), st.booleans(), st.integers(0, 2**32)),
        secret_stream=st.booleans(),
        relay_through=st.none() | st.builds(RelayThrough, key, key),
        relay_addresses=st.none() | st.lists(ipv4, max_size=4).map(tuple),
    )
)
def test_noise_payload_survives_the_wire(payload: NoisePayload) -> None:
    assert NoisePayload.decode(payload.encode()) == payload
    assert NoisePayload.decode(payload._replace(version=2).encode()) == NoisePayload(version=2)


def test_long_lists_are_cut() -> None:
    many = tuple(Address("10.0.0.1", port) for port in range(1000))
    relays = tuple(RelayInfo(a, a) for a in many)
    payload = NoisePayload.decode(
        NoisePayload(holepunch=HolepunchInfo(0, relays), addresses4=many, relay_addresses=many).encode()
    )
    assert payload.holepunch is not None
    assert payload.relay_addresses is not None
    assert len(payload.holepunch.relays) == len(payload.addresses4) == len(payload.relay_addresses) == MAX_LISTED
    assert HolepunchPayload.decode(HolepunchPayload(addresses=many).encode()).addresses == many[:MAX_LISTED]


# -- what peers of this implementation tell each other besides ---------------------------------------------------------


@pytest.mark.parametrize(
    "greeting", [Greeting(), Greeting((b"a" * 16, b"b" * 16)), Greeting((b"c" * 16,), proves=True)]
)
def test_greeting_survives_behind_everything_that_node_knows(greeting: Greeting) -> None:
    plain = NoisePayload(udx=UdxInfo(1), secret_stream=True, relay_addresses=(Address("10.0.0.1", 1),))
    greeted = plain._replace(greeting=greeting)
    assert NoisePayload.decode(greeted.encode()) == greeted
    # a decoder that stops after what it knows, as Node's does, sees nothing but a flag it does not look at
    assert greeted.encode()[2:].startswith(plain.encode()[2:])
    assert greeted.encode()[1] == plain.encode()[1] | 128


@pytest.mark.parametrize("other", [b"", b"\x01", b"trio", b"trio\x00\xff", b"trio\x00\x02" + bytes(16), b"node" * 20])
def test_whatever_another_implementation_puts_behind_the_flag_is_no_greeting(other: bytes) -> None:
    plain = NoisePayload(udx=UdxInfo(1))
    encoded = bytearray(plain.encode())
    encoded[1] |= 128
    assert NoisePayload.decode(bytes(encoded) + other) == plain


def test_greeting_is_bounded() -> None:
    many = NoisePayload(greeting=Greeting((bytes(16),) * 100))
    decoded = NoisePayload.decode(many.encode()).greeting
    assert decoded is not None
    assert len(decoded.tags) == MAX_TAGS
