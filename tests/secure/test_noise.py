from __future__ import annotations

from typing import Any, Literal, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holepunch.errors import HandshakeError
from holepunch.keys import KeyPair
from holepunch.secure import Handshake
from holepunch.secure.noise import SymmetricState, dh, scalar_of
from tests.recorded import recorded

HANDSHAKES = recorded("noise_xx.json", "XX") + recorded("noise_ik.json", "IK")
NEUTRAL = bytes([1]) + bytes(31)
"""The neutral element of the curve: a valid point, of order 1."""


def pair(recorded: dict[str, str]) -> KeyPair:
    return KeyPair.from_seed(bytes.fromhex(recorded["seed"]))


def key(number: int) -> KeyPair:
    return KeyPair.from_seed(bytes([number]) * 32)


def both(pattern: Literal["IK", "XX"] = "IK", prologue: bytes = b"") -> tuple[Handshake, Handshake]:
    remote = key(2).public_key if pattern == "IK" else None
    return (
        Handshake(pattern, True, key(1), remote, prologue, key(3)),
        Handshake(pattern, False, key(2), None, prologue, key(4)),
    )


def converse(initiator: Handshake, responder: Handshake) -> None:
    sender, receiver = initiator, responder
    while not initiator.complete or not responder.complete:
        receiver.read(sender.write())
        sender, receiver = receiver, sender


def recorded_sides(case: dict[str, Any]) -> dict[str, Handshake]:
    prologue = bytes.fromhex(case["prologue"])
    statics = {side: pair(case[f"{side}_static"]) for side in ("initiator", "responder")}
    remote = statics["responder"].public_key if case["pattern"] == "IK" else None
    return {
        side: Handshake(
            case["pattern"],
            side == "initiator",
            statics[side],
            remote if side == "initiator" else None,
            prologue,
            pair(case[f"{side}_ephemeral"]),
        )
        for side in statics
    }


@pytest.mark.parametrize("case", HANDSHAKES)
def test_recorded_handshake_is_reproduced_byte_for_byte(case: dict[str, Any]) -> None:
    sides = recorded_sides(case)
    for message in case["messages"]:
        sender = sides[message["from"]]
        receiver = sides["responder" if message["from"] == "initiator" else "initiator"]
        written = sender.write(bytes.fromhex(message["payload"]))
        assert written.hex() == message["message"]
        assert receiver.read(memoryview(written)).hex() == message["payload_seen_by_peer"]
    for side, handshake in sides.items():
        assert handshake.complete
        session = handshake.session
        assert session.hash.hex() == case["handshake_hash"] == case["messages"][-1]["hash_after"]
        assert session.tx.hex() == case[f"{side}_tx"]
        assert session.rx.hex() == case[f"{side}_rx"]
        assert session.remote_public_key.hex() == case[f"{side}_sees_remote_static"]
        assert session.initiator == (side == "initiator")


@pytest.mark.parametrize("case", HANDSHAKES)
def test_recorded_initial_hash_covers_prologue_and_known_key(case: dict[str, Any]) -> None:
    state = SymmetricState(case["protocol"].encode())
    assert state.ck.hex() == case["chaining_key_after_initialise"]
    state.mix_hash(bytes.fromhex(case["prologue"]))
    if case["pattern"] == "IK":
        state.mix_hash(bytes.fromhex(case["responder_static"]["publicKey"]))
    assert state.h.hex() == case["hash_after_initialise"]


@pytest.mark.parametrize("case", recorded("noise_dh.json", "shared point"))
def test_recorded_shared_point(case: dict[str, Any]) -> None:
    scalar = bytes.fromhex(case["scalar"]) if "scalar" in case else scalar_of(pair(case["a"]))
    own_public = bytes.fromhex(case["publicKey"] if "publicKey" in case else case["a"]["publicKey"])
    assert scalar.hex() == case.get("scalar_of_a", scalar.hex())
    assert dh(scalar, bytes.fromhex(case["b"]["publicKey"])).hex() == case["shared"]
    assert dh(scalar_of(pair(case["b"])), own_public).hex() == case["shared_reverse"]


@pytest.mark.parametrize("case", recorded("noise_dh.json", "bad point"))
def test_recorded_bad_point_is_refused(case: dict[str, Any]) -> None:
    assert case["error"]
    with pytest.raises(HandshakeError, match="no valid public key"):
        dh(scalar_of(pair(case["a"])), bytes.fromhex(case["b_public"]))


def test_responder_of_ik_knows_who_calls_before_it_answers() -> None:
    initiator, responder = both()
    assert initiator.remote_public_key == key(2).public_key
    assert responder.remote_public_key is None
    responder.read(initiator.write())
    assert responder.remote_public_key == key(1).public_key
    assert not responder.complete
    with pytest.raises(RuntimeError, match="not complete"):
        _ = responder.session


def test_keys_do_not_show_in_the_session_as_text() -> None:
    initiator, responder = both()
    converse(initiator, responder)
    session = responder.session
    for secret in (session.tx, session.rx, session.hash):
        assert repr(secret) not in repr(session)


@pytest.mark.parametrize("pattern", ["IK", "XX"])
def test_sides_with_unequal_prologues_do_not_understand_each_other(pattern: Literal["IK", "XX"]) -> None:
    initiator, _ = both(pattern, b"one")
    _, responder = both(pattern, b"two")
    with pytest.raises(HandshakeError):
        converse(initiator, responder)


def test_message_for_another_responder_does_not_decrypt() -> None:
    initiator, _ = both()
    stranger = Handshake("IK", False, key(9), None, b"", key(4))
    with pytest.raises(HandshakeError, match="does not decrypt"):
        stranger.read(initiator.write(b"for key 2"))
    assert stranger.remote_public_key is None


@given(at=st.integers(0, 98), flip=st.integers(1, 255))
def test_altered_message_is_refused_and_the_right_one_accepted_after_it(at: int, flip: int) -> None:
    initiator, responder = both()
    message = initiator.write(b"abc")
    altered = bytearray(message)
    altered[at] ^= flip
    with pytest.raises(HandshakeError):
        responder.read(altered)
    assert responder.remote_public_key is None
    assert responder.read(message) == b"abc"
    assert initiator.read(responder.write(b"xyz")) == b"xyz"
    assert initiator.session.tx == responder.session.rx


@pytest.mark.parametrize("pattern", ["IK", "XX"])
def test_every_shortened_message_is_refused(pattern: Literal["IK", "XX"]) -> None:
    sides = both(pattern)
    number = 0
    while not sides[0].complete:
        sender, receiver = sides[number % 2], sides[1 - number % 2]
        message = sender.write()
        for size in range(len(message)):
            with pytest.raises(HandshakeError):
                receiver.read(message[:size])
        receiver.read(message)
        number += 1


@given(st.binary(max_size=200))
def test_random_bytes_are_refused(message: bytes) -> None:
    initiator, responder = both()
    with pytest.raises(HandshakeError):
        responder.read(message)
    initiator.write()
    with pytest.raises(HandshakeError):
        initiator.read(message)


def test_low_order_ephemeral_key_is_refused() -> None:
    initiator, responder = both("XX")
    responder.read(NEUTRAL)
    with pytest.raises(HandshakeError, match="no valid public key"):
        responder.write()
    assert not initiator.complete


def test_initiator_is_told_that_the_remote_key_is_no_key() -> None:
    with pytest.raises(HandshakeError, match=f"{NEUTRAL.hex()} is no valid public key"):
        Handshake("IK", True, key(1), NEUTRAL, b"", key(3)).write()


def test_longest_message_travels_and_one_byte_more_is_misuse() -> None:
    longest = bytes(65535 - 96)
    initiator, responder = both()
    with pytest.raises(ValueError, match="at most 65535 bytes, got 65536"):
        initiator.write(longest + b"x")
    assert responder.read(initiator.write(longest)) == longest
    assert initiator.read(responder.write(b"ok")) == b"ok"


def test_overlong_message_is_refused() -> None:
    _, responder = both("XX")
    with pytest.raises(HandshakeError, match="at most 65535"):
        responder.read(bytes(65536))


def test_speaking_out_of_turn_is_misuse() -> None:
    initiator, responder = both()
    with pytest.raises(RuntimeError, match="the peer's turn"):
        responder.write()
    with pytest.raises(RuntimeError, match="this side's turn"):
        initiator.read(bytes(48))
    converse(initiator, responder)
    with pytest.raises(RuntimeError, match="complete"):
        initiator.write()


def test_wrong_arguments_are_misuse() -> None:
    with pytest.raises(ValueError, match="remote public key"):
        Handshake("IK", True, key(1), None, b"", key(3))
    with pytest.raises(ValueError, match="remote public key"):
        Handshake("IK", False, key(1), bytes(32), b"", key(3))
    with pytest.raises(ValueError, match="remote public key"):
        Handshake("XX", True, key(1), bytes(32), b"", key(3))
    with pytest.raises(ValueError, match="'NN'"):
        Handshake(cast("Any", "NN"), True, key(1), None, b"", key(3))
