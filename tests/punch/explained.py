"""What must hold for every dial that fails, whatever the reason: it explains itself."""

from __future__ import annotations

import json
from ipaddress import IPv4Address
from itertools import pairwise
from typing import TYPE_CHECKING

from holepunch.errors import Reason

if TYPE_CHECKING:
    from holepunch.errors import ConnectError

__all__ = ["check_explanation"]

KINDS = ("unknown", "open", "consistent", "random")
BEFORE_THE_ANSWER = (
    Reason.PEER_NOT_FOUND,
    Reason.OFFLINE,
    Reason.PEER_CONNECTION_FAILED,
    Reason.HANDSHAKE_INVALID,
    Reason.SERVER_INCOMPATIBLE,
    Reason.SERVER_ERROR,
)
"""Reasons of dials that never learned where the peer is."""


def check_explanation(error: ConnectError) -> None:
    """One line with the reason and the advice; an attempt with stages, both NATs, addresses, and who gave up."""
    text, reason, attempt = str(error), error.reason, error.attempt
    assert "\n" not in text
    peer = attempt.remote_public_key.hex()[:8]
    assert text.startswith(f"could not connect to {peer}: {reason.summary} ({reason.name}")
    assert text.endswith(f" {reason.advice}")
    stages = attempt.stages
    assert stages[-1].name == "failed"
    assert len(stages) == 1 or f"at {stages[-2].name!r}" in text
    assert stages[-1].detail in text
    assert all(one.at <= other.at for one, other in pairwise(stages))
    assert attempt.local_nat in KINDS
    assert attempt.remote_nat in KINDS
    assert attempt.gave_up in ("local", "remote")
    for address in attempt.addresses:
        host, _, port = address.rpartition(":")
        assert str(IPv4Address(host)) == host
        assert 0 <= int(port) < 65536  # 0: a random NAT is searched
    if reason not in BEFORE_THE_ANSWER:
        assert "answered" in [stage.name for stage in stages]
        nothing_sent = "no socket" in stages[-1].detail or "waiting" in [stage.name for stage in stages]
        assert attempt.addresses or nothing_sent or reason is Reason.CANNOT_HOLEPUNCH
    if reason is Reason.HOLEPUNCH_DOUBLE_RANDOMIZED_NATS:
        assert attempt.local_nat == attempt.remote_nat == "random"
    if reason is Reason.HOLEPUNCH_PROBE_TIMEOUT:
        assert "unknown" in (attempt.local_nat, attempt.remote_nat)
    assert json.loads(json.dumps(error.to_dict()))["attempt"]["gave_up"] == attempt.gave_up
