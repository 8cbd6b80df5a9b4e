"""Streams as they were recorded from Node: the same bytes come of the same keys, and the same errors are refused."""

from __future__ import annotations

from typing import Any

import pytest

from holepunch.errors import DecodeError
from holepunch.keys import KeyPair
from holepunch.secure import Handshake, SecretStream, Session
from tests.recorded import cases, recorded
from tests.secure.streams import frames, opened, wire

FILE = "secret_stream.json"
SIDES = ("initiator", "responder")


def other(side: str) -> str:
    return SIDES[side == "initiator"]


def recorded_sessions(case: dict[str, Any]) -> dict[str, Session]:
    statics = {side: KeyPair.from_seed(bytes.fromhex(case[f"{side}_static"]["seed"])) for side in SIDES}
    return {
        side: Session(
            bytes.fromhex(case[f"{side}_tx_key"]),
            bytes.fromhex(case[f"{other(side)}_tx_key"]),
            bytes.fromhex(case["handshake_hash"]),
            statics[other(side)].public_key,
            side == "initiator",
        )
        for side in SIDES
    }


def recorded_streams(case: dict[str, Any]) -> dict[str, SecretStream]:
    return {
        side: SecretStream(
            session,
            bytes.fromhex(case[f"{side}_secretstream_header"]),
            bytes.fromhex(case[f"{side}_counter_initial"]),
        )
        for side, session in recorded_sessions(case).items()
    }


@pytest.mark.usefixtures("cipher")
@pytest.mark.parametrize("case", recorded(FILE, "stream"))
def test_recorded_stream_is_reproduced_byte_for_byte(case: dict[str, Any]) -> None:
    streams = recorded_streams(case)
    headers = {w["from"]: w["hex"] for w in case["setup_writes"]}  # the header is the last frame before the data
    for side, stream in streams.items():
        assert stream.header().hex() == headers[side]
        streams[other(side)].feed([stream.header()])
    received: dict[str, list[str]] = {side: [] for side in SIDES}
    for (side, plaintext), write in zip(case["plaintexts_in_order"], case["data_writes"], strict=True):
        assert write["from"] == side
        written = wire(streams[side], bytes.fromhex(plaintext))
        assert written.hex() == write["hex"]
        streams[other(side)].feed([written])
        received[other(side)] += [frame.hex() for frame in frames(streams[other(side)])]
    assert received == {side: [m for m in case["received"][side] if m] for side in SIDES}


@pytest.mark.parametrize("case", recorded(FILE, "unordered_messages"))
def test_recorded_unordered_messages_are_reproduced_byte_for_byte(case: dict[str, Any]) -> None:
    streams = recorded_streams(case)
    received: dict[str, list[str]] = {side: [] for side in SIDES}
    messages = zip(case["unordered_plaintexts_in_order"], case["unordered_messages"], strict=True)
    for (side, plaintext), message in messages:
        datagram = streams[side].seal(bytes.fromhex(plaintext))
        assert datagram.hex() == message["hex"]
        received[other(side)].append((streams[other(side)].open(datagram) or b"").hex())
    assert received == case["received_unordered"]


@pytest.mark.parametrize("case", [case for case in cases(FILE) if "initiator_ephemeral" in case])
def test_recorded_handshake_leads_to_the_recorded_keys(case: dict[str, Any]) -> None:
    initiator, responder = (
        Handshake(
            "XX",
            side == "initiator",
            KeyPair.from_seed(bytes.fromhex(case[f"{side}_static"]["seed"])),
            None,
            b"",
            KeyPair.from_seed(bytes.fromhex(case[f"{side}_ephemeral"]["seed"])),
        )
        for side in SIDES
    )
    responder.read(initiator.write())
    initiator.read(responder.write())
    responder.read(initiator.write())
    seen = {"initiator": initiator.session, "responder": responder.session}
    ephemeral = initiator.session.ephemeral
    assert seen == {side: one._replace(ephemeral=ephemeral) for side, one in recorded_sessions(case).items()}


@pytest.mark.usefixtures("cipher")
@pytest.mark.parametrize("case", recorded(FILE, "bad frame"))
def test_recorded_protocol_error_is_refused(case: dict[str, Any]) -> None:
    _, receiver = opened()
    receiver.feed([bytes.fromhex(case["bytes"])])
    with pytest.raises(DecodeError):
        receiver.next_frame()
