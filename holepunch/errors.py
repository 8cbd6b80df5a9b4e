"""Every error this library raises, from one root. Errors are data first, text second.

Nothing here does I/O. Misuse (a wrong type, a wrong length) is a plain ``TypeError`` or ``ValueError`` and is raised
where the mistake is made.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from holepunch.fields import Fields

__all__ = ["Attempt", "ConnectError", "DecodeError", "HandshakeError", "Reason", "Stage", "SwarmError"]


class SwarmError(Exception):
    """The root of every error that is not misuse."""


class DecodeError(SwarmError, ValueError):
    """Bytes from the network that are not what they should be. The one error a decoder raises."""


class HandshakeError(SwarmError):
    """A Noise message that does not decrypt, or carries a point that is no valid public key."""


class Reason(Enum):
    """Why a connection did not come about, and what to do about it.

    The names are HyperDHT's codes (its lib/errors.js), all of them; OFFLINE, NOT_CONFIRMED and REFUSED are our own.
    Some end no dial here: misuse is a ``ValueError``, and use after the end ``trio.ClosedResourceError``.
    """

    PEER_NOT_FOUND = (
        "no node of the DHT knows this peer",
        "Is the public key right, and is the peer running, listening, and on the same DHT? Run `swarm doctor` there.",
    )
    OFFLINE = (
        "no node of the DHT answers",
        "Is this host online, and does its firewall let UDP out? Run `swarm doctor`.",
    )
    PEER_CONNECTION_FAILED = (
        "the peer is announced, but did not answer through any of its relays",
        "It went away or lost its network, or it refuses this side; try again in a minute.",
    )
    BAD_HANDSHAKE_REPLY = (
        "a relay of the peer answered the handshake with something else",
        "Try again: another relay is asked then.",
    )
    HANDSHAKE_UNFINISHED = (
        "the handshake ended before both sides had proven their keys",
        "Try again.",
    )
    HANDSHAKE_INVALID = (
        "the handshake cannot be decrypted",
        "Is the public key right? If it is, a node on the way altered the message: try again.",
    )
    SERVER_INCOMPATIBLE = (
        "the peer speaks another version of the protocol",
        "Update the older side.",
    )
    SERVER_ERROR = (
        "the peer reported an error of its own",
        "Look at the peer's log, and try again.",
    )
    CANNOT_HOLEPUNCH = (
        "the peer offered no way through its NAT",
        "Give one side a relay, or open a UDP port on the peer's router.",
    )
    HOLEPUNCH_ABORTED = (
        "no packet got through the NATs in time",
        "Try again; if it goes on, give one side a relay.",
    )
    BAD_HOLEPUNCH_REPLY = (
        "a relay of the peer answered the hole punch with something else",
        "Try again: another relay is asked then.",
    )
    HOLEPUNCH_INVALID = (
        "the peer's answer to the hole punch cannot be decrypted",
        "Try again.",
    )
    HOLEPUNCH_PROBE_TIMEOUT = (
        "the NAT of one side could not be judged",
        "Run `swarm doctor` on both sides: UDP may be blocked, or the DHT is too small and needs `stun_servers`.",
    )
    HOLEPUNCH_DOUBLE_RANDOMIZED_NATS = (
        "both NATs choose another port for every destination, so neither side can guess where to send",
        "Give one side a relay, or open a UDP port on one router.",
    )
    REMOTE_ABORTED = (
        "the peer gave up punching",
        "Try again; if it goes on, give one side a relay.",
    )
    REMOTE_NOT_HOLEPUNCHING = (
        "the peer did not join in punching",
        "Try again; if it goes on, give one side a relay.",
    )
    REMOTE_NOT_HOLEPUNCHABLE = (
        "the peer's address could not be verified, and its NAT allows no blind attempt",
        "Try again; if it goes on, give one side a relay.",
    )
    RELAY_ABORTED = (
        "the relay did not bring the two sides together in time",
        "Is the relay running, does it serve both sides, and does the peer let relays be used?",
    )
    DUPLICATE_CONNECTION = (
        "another connection to this peer is kept instead",
        "Use that one; nothing is wrong.",
    )
    STREAM_NOT_CONNECTED = (
        "the stream is not connected yet, or no more",
        "Wait until it is, or connect again.",
    )
    ALREADY_LISTENING = (
        "this listener listens already",
        "Use it, or close it first.",
    )
    KEYPAIR_ALREADY_USED = (
        "this node listens for the key already",
        "Use another key pair, or close the listener that has it.",
    )
    NODE_DESTROYED = (
        "the DHT node has ended",
        "Connect inside the block of its `DHT` or `Swarm`.",
    )
    NOT_CONFIRMED = (
        "a path opened, but the peer never spoke on it",
        "Try again.",
    )
    REFUSED = (
        "this side refuses the peer",
        "Unban it, or let `allow` accept it.",
    )
    SUSPENDED = (
        "this side is suspended",
        "Resume it first.",
    )

    def __init__(self, summary: str, advice: str) -> None:
        self.summary = summary
        """What happened, as the end of a sentence."""
        self.advice = advice
        """What to do next, one or two sentences."""


@dataclass(frozen=True, eq=False, repr=False)
class Stage(Fields):
    """One step of a dial. ``at`` is in seconds since the dial began."""

    name: str
    at: float
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.at:.3f}s {self.name}" + (f" ({self.detail})" if self.detail else "")


@dataclass
class Attempt:
    """What one dial tried, in order."""

    id: str = ""
    """Short, for finding the dial in a log."""
    remote_public_key: bytes = b""
    stages: list[Stage] = field(default_factory=list)
    local_nat: str = "unknown"
    """``unknown``, ``open``, ``consistent`` or ``random``: the names of `holepunch.nat.classifier.Firewall`."""
    remote_nat: str = "unknown"
    addresses: list[str] = field(default_factory=list)
    """Where the peer was tried, as ``ip:port``; port 0: somewhere at that host, its NAT does not tell."""
    gave_up: str = "local"
    """The side that ended it: ``local`` or ``remote``."""
    cause: Reason | None = None
    """Why no direct way was found either, where the reason is that a relay was of no help."""

    def to_dict(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "remote_public_key": self.remote_public_key.hex(),
            "stages": [{"name": s.name, "at": round(s.at, 4), "detail": s.detail} for s in self.stages],
            "local_nat": self.local_nat,
            "remote_nat": self.remote_nat,
            "addresses": list(self.addresses),
            "gave_up": self.gave_up,
            "cause": None if self.cause is None else self.cause.name,
        }


class ConnectError(SwarmError):
    """A peer could not be connected to. ``reason`` says why, ``attempt`` what was tried, ``str()`` what to do."""

    def __init__(self, reason: Reason, attempt: Attempt | None = None) -> None:
        self.reason = reason
        self.attempt = attempt if attempt is not None else Attempt()
        super().__init__(reason, self.attempt)

    def __str__(self) -> str:
        attempt = self.attempt
        facts = self.reason.name
        if attempt.stages:
            last = attempt.stages[-1]
            # that it failed is known: how far it came is not
            reached = next((stage.name for stage in reversed(attempt.stages) if stage.name != "failed"), None)
            facts += f", {last.at:.1f} s in" + (f", at {reached!r}" if reached else "")
            if last.name == "failed" and last.detail:
                facts += f": {last.detail}"
        if {attempt.local_nat, attempt.remote_nat} != {"unknown"}:
            facts += f", NAT {attempt.local_nat} here and {attempt.remote_nat} there"
        peer = f" to {attempt.remote_public_key.hex()[:8]}" if attempt.remote_public_key else ""
        cause = f"; without it, {attempt.cause.summary} ({attempt.cause.name})" if attempt.cause is not None else ""
        return f"could not connect{peer}: {self.reason.summary} ({facts}){cause}. {self.reason.advice}"

    def to_dict(self) -> dict[str, Any]:
        return {"reason": self.reason.name, "advice": self.reason.advice, "attempt": self.attempt.to_dict()}
