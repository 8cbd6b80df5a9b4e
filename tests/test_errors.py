from __future__ import annotations

import json
import pickle

import pytest

from holepunch.errors import Attempt, ConnectError, DecodeError, HandshakeError, Reason, Stage, SwarmError
from holepunch.keys import PublicKey

ATTEMPT = Attempt(
    id="a1",
    remote_public_key=PublicKey(bytes(range(32))),
    stages=[Stage("lookup", 0.0), Stage("probe", 1.25, "2 rounds")],
    local_nat="random",
    remote_nat="consistent",
    addresses=["198.51.100.1:1"],
    gave_up="remote",
)


def test_every_error_has_one_root() -> None:
    for kind in (DecodeError, HandshakeError, ConnectError):
        assert issubclass(kind, SwarmError)


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_says_what_happened_and_what_to_do(reason: Reason) -> None:
    assert reason.summary[0].islower()
    assert reason.summary[-1].isalpha()
    assert reason.advice[0].isupper()
    assert reason.advice[-1] in ".?"


def test_no_two_reasons_are_the_same() -> None:
    assert len(Reason) == len(Reason.__members__)


@pytest.mark.parametrize(
    "name",
    [
        "BAD_HANDSHAKE_REPLY",
        "BAD_HOLEPUNCH_REPLY",
        "HOLEPUNCH_ABORTED",
        "HOLEPUNCH_INVALID",
        "HOLEPUNCH_PROBE_TIMEOUT",
        "HOLEPUNCH_DOUBLE_RANDOMIZED_NATS",
        "CANNOT_HOLEPUNCH",
        "REMOTE_NOT_HOLEPUNCHING",
        "REMOTE_NOT_HOLEPUNCHABLE",
        "REMOTE_ABORTED",
        "HANDSHAKE_UNFINISHED",
        "HANDSHAKE_INVALID",
        "ALREADY_LISTENING",
        "KEYPAIR_ALREADY_USED",
        "NODE_DESTROYED",
        "PEER_CONNECTION_FAILED",
        "PEER_NOT_FOUND",
        "STREAM_NOT_CONNECTED",
        "SERVER_INCOMPATIBLE",
        "SERVER_ERROR",
        "DUPLICATE_CONNECTION",
        "RELAY_ABORTED",
        "SUSPENDED",
    ],
)
def test_every_error_code_of_node_is_a_reason(name: str) -> None:
    assert Reason[name].name == name


def test_failed_dial_explains_itself_in_one_line() -> None:
    text = str(ConnectError(Reason.HOLEPUNCH_ABORTED, ATTEMPT))
    assert text == (
        "could not connect to 00010203: no packet got through the NATs in time"
        " (HOLEPUNCH_ABORTED, 1.2 s in, at 'probe', NAT random here and consistent there)."
        " Try again; if it goes on, give one side a relay."
    )


def test_line_leaves_out_what_is_not_known() -> None:
    assert str(ConnectError(Reason.SUSPENDED)) == (
        "could not connect: this side is suspended (SUSPENDED). Resume it first."
    )


def test_failed_dial_becomes_json() -> None:
    data = ConnectError(Reason.HOLEPUNCH_ABORTED, ATTEMPT).to_dict()
    assert json.loads(json.dumps(data)) == {
        "reason": "HOLEPUNCH_ABORTED",
        "advice": Reason.HOLEPUNCH_ABORTED.advice,
        "attempt": {
            "id": "a1",
            "remote_public_key": bytes(range(32)).hex(),
            "stages": [
                {"name": "lookup", "at": 0.0, "detail": ""},
                {"name": "probe", "at": 1.25, "detail": "2 rounds"},
            ],
            "local_nat": "random",
            "remote_nat": "consistent",
            "addresses": ["198.51.100.1:1"],
            "gave_up": "remote",
            "cause": None,
        },
    }


def test_stage_shows_when_and_what() -> None:
    assert [str(stage) for stage in ATTEMPT.stages] == ["0.000s lookup", "1.250s probe (2 rounds)"]


def test_error_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(ConnectError(Reason.REFUSED, ATTEMPT)))
    assert error.reason is Reason.REFUSED
    assert error.attempt == ATTEMPT


def test_dials_that_fail_share_nothing() -> None:
    one, other = ConnectError(Reason.REFUSED), ConnectError(Reason.REFUSED)
    one.attempt.stages.append(Stage("lookup", 0.0))
    assert other.attempt.stages == []
