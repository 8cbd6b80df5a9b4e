"""Every error this library raises, from one root. Errors are data first, text second.

Nothing here does I/O. Misuse (a wrong type, a wrong length) is a plain ``TypeError`` or ``ValueError`` and is raised
where the mistake is made.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

__all__ = ["Attempt", "ConnectError", "DecodeError", "HandshakeError", "Reason", "Stage", "SwarmError"]


class SwarmError(Exception):
    """The root of every error that is not misuse."""


class DecodeError(SwarmError, ValueError):
    """Bytes from the network that are not what they should be. The one error a decoder raises."""


class HandshakeError(SwarmError):
    """A Noise message that does not decrypt, or carries a point that is no valid public key."""


class Reason(Enum):
    """Why a connection did not come about: HyperDHT's error codes (its lib/errors.js), and what to do about each."""

    PEER_NOT_FOUND = "no node of the DHT knows this peer: is it running, listening, and on the same DHT?"
    PEER_CONNECTION_FAILED = "the peer is announced but answered through none of its relays: it went away, or it refuses us"
    HANDSHAKE_INVALID = "the peer's handshake does not decrypt: is the public key right?"
    SERVER_INCOMPATIBLE = "the peer speaks another version of the protocol: update the older side"
    SERVER_ERROR = "the peer reported an error of its own; try again"
    CANNOT_HOLEPUNCH = "the peer offered no way through its NAT: give one side a relay"
    HOLEPUNCH_ABORTED = "hole punching ran out of time or was refused: give one side a relay"
    HOLEPUNCH_INVALID = "the peer's hole-punch reply does not decrypt; try again"
    HOLEPUNCH_PROBE_TIMEOUT = "the NAT of one side could not be classified: it may block UDP; see `swarm doctor`"
    HOLEPUNCH_DOUBLE_RANDOMIZED_NATS = "both NATs pick a random port for each destination: give one side a relay"
    REMOTE_ABORTED = "the peer gave up hole punching; try again, or give one side a relay"
    REMOTE_NOT_HOLEPUNCHING = "the peer did not join the punch; try again"
    REMOTE_NOT_HOLEPUNCHABLE = "the peer's address could not be verified: give one side a relay"
    RELAY_ABORTED = "the relay did not pair the two sides in time: is it running?"
    DUPLICATE_CONNECTION = "another connection to this peer is kept instead"
    NOT_CONFIRMED = "the path opened but the peer's encrypted stream never did; try again"
    REFUSED = "this side refuses the peer"
    SUSPENDED = "the swarm is suspended: resume it first"

    @property
    def advice(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of a dial. ``at`` is in seconds since the dial began."""

    name: str
    at: float
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.at:.3f}s {self.name}" + (f" ({self.detail})" if self.detail else "")


@dataclass(slots=True)
class Attempt:
    """What one dial tried, in order."""

    id: str = ""
    remote_public_key: bytes = b""
    stages: list[Stage] = field(default_factory=list)
    local_nat: str = "unknown"
    remote_nat: str = "unknown"
    addresses: list[str] = field(default_factory=list)
    gave_up: str = "local"

    def to_dict(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "remote_public_key": self.remote_public_key.hex(),
            "stages": [{"name": s.name, "at": round(s.at, 4), "detail": s.detail} for s in self.stages],
            "local_nat": self.local_nat,
            "remote_nat": self.remote_nat,
            "addresses": list(self.addresses),
            "gave_up": self.gave_up,
        }


class ConnectError(SwarmError):
    """A peer could not be connected to. ``reason`` says why, ``attempt`` what was tried, ``str()`` what to do."""

    def __init__(self, reason: Reason, attempt: Attempt | None = None) -> None:
        self.reason = reason
        self.attempt = attempt if attempt is not None else Attempt()
        super().__init__(reason, self.attempt)

    def __str__(self) -> str:
        a = self.attempt
        who = f"could not connect to {a.remote_public_key.hex()[:8]}: " if a.remote_public_key else ""
        nats = f" [NAT here {a.local_nat}, there {a.remote_nat}]" if a.remote_nat != "unknown" else ""
        last = f" after {a.stages[-1]}" if a.stages else ""
        return f"{who}{self.reason.name}{last}{nats}. {self.reason.advice}"

    def to_dict(self) -> dict[str, Any]:
        return {"reason": self.reason.name, "advice": self.reason.advice, "attempt": self.attempt.to_dict()}
