"""What ``swarm doctor`` finds out, as values: asks, waits, concludes. Prints nothing.

`examine` never raises for what is wrong with the network, however much is: that is what it is there to tell.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any

import trio

from holepunch.address import Address
from holepunch.relay.choice import RelayChoice
from holepunch.udp.localhosts import delivers
from swarm.errors import BootstrapError
from swarm.kademlia.bootstrap import BootstrapHost

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holepunch.errors import ConnectError, Stage
    from holepunch.keys import PublicKey
    from holepunch.path import Path
    from holepunch.udp import Network
    from swarm import DHT, Connection
    from swarm.nat import Nat

__all__ = [
    "DIAL_DEADLINE",
    "Bootstrap",
    "LocalHost",
    "PeerResult",
    "RelayResult",
    "Report",
    "StunResult",
    "examine",
    "reach",
]

CHECKS_DEADLINE = 9.0
"""Seconds for everything but a peer: four for a name, and four sends of a second each to what it resolves to."""
DIAL_DEADLINE = 15.0
"""Seconds, from the start, after which a dial is given up."""
RESOLVE_DEADLINE = 4.0
WITNESS_DEADLINE = 1.5
"""Seconds for nodes to answer, and to reach this one where they can. Those who cannot would take four."""
MORE_WITNESSES = 8
"""Nodes that are asked where they see this one, besides those that bootstrapping met."""


@dataclass(frozen=True, slots=True)
class LocalHost:
    host: str
    delivers: bool
    """Whether what this machine sends to this address of its own arrives."""

    def to_dict(self) -> dict[str, Any]:
        return {"address": self.host, "delivers": self.delivers}


@dataclass(slots=True)
class Bootstrap:
    """One bootstrap host, as it was given."""

    name: str
    resolved: list[str] = field(default_factory=list)
    answered: str | None = None
    rtt: float | None = None
    """Seconds."""

    @property
    def result(self) -> str:
        if self.answered is not None and self.rtt is not None:
            return f"answers in {self.rtt * 1000:.0f} ms from {self.answered}"
        if self.resolved:
            return "does not answer"
        suggested = BootstrapHost.parse(self.name).suggested
        return "does not resolve" + (f", and {suggested} does not answer" if suggested else "")

    def to_dict(self) -> dict[str, Any]:
        return {"host": self.name, "resolved": list(self.resolved), "answered": self.answered, "rtt": self.rtt}


@dataclass(frozen=True, slots=True)
class StunResult:
    server: str
    seen: Address | None

    def to_dict(self) -> dict[str, Any]:
        return {"server": self.server, "address": None if self.seen is None else str(self.seen)}


@dataclass(slots=True)
class PeerResult:
    """How dialling one peer went."""

    key: PublicKey
    stages: list[Stage] = field(default_factory=list)
    path: Path | None = None
    error: ConnectError | None = None

    @property
    def result(self) -> str:
        if self.path is not None:
            through = "" if self.path.relay is None else f" through {self.path.relay.z32}"
            rtt = "" if self.path.rtt is None else f", round trip {self.path.rtt * 1000:.0f} ms"
            return f"connected, {self.path.kind}{through} to {self.path.remote_address}{rtt}"
        return "no result in time" if self.error is None else str(self.error)

    def to_dict(self) -> dict[str, Any]:
        return {
            "public_key": self.key.z32,
            "connected": self.path is not None,
            "path": None if self.path is None else self.path.kind,
            "address": None if self.path is None else str(self.path.remote_address),
            "relay": None if self.path is None or self.path.relay is None else self.path.relay.z32,
            "rtt": None if self.path is None else self.path.rtt,
            "stages": [{"name": s.name, "at": round(s.at, 4), "detail": s.detail} for s in self.stages],
            "error": None if self.error is None else self.error.to_dict(),
        }


@dataclass(slots=True)
class RelayResult:
    """Whether one of the configured relays can be reached."""

    key: PublicKey
    address: Address | None = None
    """Where it was reached."""
    rtt: float | None = None
    """Seconds; None when it does not answer pings there."""
    error: ConnectError | None = None

    @property
    def result(self) -> str:
        if self.address is not None:
            rtt = "" if self.rtt is None else f" in {self.rtt * 1000:.0f} ms"
            return f"answers{rtt} from {self.address}"
        return "no result in time" if self.error is None else str(self.error)

    def to_dict(self) -> dict[str, Any]:
        return {
            "public_key": self.key.z32,
            "reachable": self.address is not None,
            "address": None if self.address is None else str(self.address),
            "rtt": self.rtt,
            "error": None if self.error is None else self.error.to_dict(),
        }


@dataclass(slots=True)
class Report:
    """Everything that was found out."""

    nat: Nat
    local: list[LocalHost] = field(default_factory=list)
    bootstrap: list[Bootstrap] = field(default_factory=list)
    reachable: bool = False
    """Whether this node became part of the DHT."""
    nodes: int = 0
    """DHT nodes known in the end."""
    stun: list[StunResult] = field(default_factory=list)
    relays: list[RelayResult] = field(default_factory=list)
    peer: PeerResult | None = None

    @property
    def has_network(self) -> bool:
        """Whether there is an interface besides loopback, or loopback is all that was asked for and it works."""
        return self.reachable or any(not IPv4Address(local.host).is_loopback for local in self.local)

    def advice(self) -> list[str]:
        """What to do, most urgent first; empty when all is well."""
        found = [*self._about_reachability(), *self._about_relays(), *self._about_nat()]
        found += [
            f"Packets that this machine sends to its own address {local.host} do not arrive (some VPNs and virtual "
            "machines do that): peers are not told this address."
            for local in self.local
            if self.has_network and not local.delivers
        ]
        if self.peer is not None and self.peer.path is None:
            late = "The peer could not be reached in time: try again, or give one side a relay."
            found.append(late if self.peer.error is None else self.peer.error.reason.advice)
        return found

    def _about_reachability(self) -> list[str]:
        if not self.has_network:
            return ["This machine has no network: no interface but loopback has an address. Connect it to one."]
        if self.reachable:
            return []
        if any(result.seen is not None for result in self.stun):
            return ["UDP gets out, as a STUN server answers, but no bootstrap node does: is the DHT running there?"]
        if not any(host.resolved for host in self.bootstrap):
            return ["No bootstrap host has an address: is this machine online, and does its DNS work?"]
        return ["No bootstrap node answers: a firewall may block UDP. Let UDP out to any port, or try another network."]

    def _about_relays(self) -> list[str]:
        if not self.reachable:
            return []
        return [
            f"The relay {relay.key.z32} cannot be reached: is it running, and is this its key?"
            for relay in self.relays
            if relay.address is None
        ]

    def _about_nat(self) -> list[str]:
        if not self.reachable:
            return []
        if self.nat.kind == "unknown":
            return ["Too few nodes tell what the NAT looks like: a DHT of fewer than four nodes needs STUN servers."]
        if self.nat.kind == "random":
            text = (
                "The NAT uses another port for every destination. Peers behind one that does so too can be reached "
                "through a relay only, unless both NATs take one port after the other"
            )
            if any(relay.address is not None for relay in self.relays):
                return []
            return [f"{text}: pass relay_through, or have the router forward a UDP port (then pass port)."]
        return []

    def to_dict(self) -> dict[str, Any]:
        return {
            "reachable": self.reachable,
            "network": self.has_network,
            "nodes": self.nodes,
            "local": [local.to_dict() for local in self.local],
            "nat": self.nat.to_dict(),
            "bootstrap": [host.to_dict() for host in self.bootstrap],
            "stun": [result.to_dict() for result in self.stun],
            "reach": [{"peer": kind, "direct": direct, "relayed": relayed} for kind, direct, relayed in reach(self)],
            "relays": [relay.to_dict() for relay in self.relays],
            "peer": None if self.peer is None else self.peer.to_dict(),
            "advice": self.advice(),
        }


def reach(report: Report) -> list[tuple[str, str, str]]:
    """Peer's kind of NAT, whether it can be reached directly, and whether through the given relays (hyperdht.md,
    section 8)."""
    if not report.reachable:
        return [(kind, "no", "no") for kind in ("open", "consistent", "random")]
    searched = "yes, in seconds"  # one side tries ports of the other's NAT until one is hit
    behind_consistent, behind_random = {
        "open": ("yes", "yes"),
        "consistent": ("yes", searched),
        "random": (searched, "no"),
        "unknown": ("perhaps", "perhaps"),
    }[report.nat.kind]
    works = any(relay.address is not None for relay in report.relays)
    relayed = "yes" if works else "no" if report.relays else "no relay given"
    return [
        ("open", "yes", relayed),
        ("consistent", behind_consistent, relayed),
        ("random", behind_random, relayed),
    ]


async def examine(
    dht: DHT,
    network: Network,
    bootstrap: Sequence[str],
    stun: Sequence[str],
    peer: PublicKey | None = None,
    *,
    deadline: float = DIAL_DEADLINE,
) -> Report:
    """Find out everything, within 9 s, or ``deadline`` with a peer to dial. ``dht`` runs on ``network``."""
    started = trio.current_time()
    report = Report(dht.nat)
    with trio.move_on_at(started + CHECKS_DEADLINE):
        async with trio.open_nursery() as nursery:
            for host in network.local_hosts():
                nursery.start_soon(_check_local, report, network, host)
            for text in bootstrap:
                check = Bootstrap(text)
                report.bootstrap.append(check)
                nursery.start_soon(_check_bootstrap, check, dht, network)
            for server in stun:
                nursery.start_soon(_ask_stun, report, dht, server)
            nursery.start_soon(_join, dht)
    report.local.sort(key=lambda local: IPv4Address(local.host))
    report.stun.sort(key=lambda result: stun.index(result.server))
    report.reachable = dht.reachable
    report.relays = [RelayResult(key) for key in dht.relaying.keys]
    if report.reachable:
        with trio.move_on_at(started + deadline):
            async with trio.open_nursery() as nursery:
                for relay in report.relays:
                    nursery.start_soon(_reach_relay, relay, dht)
                if peer is not None:
                    report.peer = PeerResult(peer)
                    nursery.start_soon(_dial, report.peer, dht)
    report.nat = dht.nat
    report.nodes = len(dht.node.node.table)
    return report


async def _check_local(report: Report, network: Network, host: str) -> None:
    report.local.append(LocalHost(host, await delivers(network, host)))


async def _check_bootstrap(check: Bootstrap, dht: DHT, network: Network) -> None:
    parsed = BootstrapHost.parse(check.name)

    async def ping(host: str, *, suggested: bool = False) -> None:
        rtt = await dht.ping(Address(host, parsed.port))
        if rtt is not None:
            check.answered, check.rtt = f"{host}:{parsed.port}", rtt
            nursery.cancel_scope.cancel()

    async def resolve() -> None:
        with trio.move_on_after(RESOLVE_DEADLINE):
            try:
                check.resolved = await network.resolve(parsed.host)
            except OSError:
                return
        for host in check.resolved:
            nursery.start_soon(ping, host)

    async with trio.open_nursery() as nursery:
        if parsed.suggested is not None:
            nursery.start_soon(ping, parsed.suggested)
        nursery.start_soon(resolve)


async def _ask_stun(report: Report, dht: DHT, server: str) -> None:
    report.stun.append(StunResult(server, await dht.ask_stun(server)))


async def _join(dht: DHT) -> None:
    try:
        await dht.bootstrapped()
    except BootstrapError:
        return
    with trio.move_on_after(WITNESS_DEADLINE):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(dht.check_firewall)
            for address in dht.node.node.latest(MORE_WITNESSES):
                nursery.start_soon(dht.ping, address)


async def _dial(result: PeerResult, dht: DHT, relaying: RelayChoice | None = None) -> None:
    ended = trio.Event()

    def opened(connection: Connection) -> None:
        result.path = connection.path
        connection.destroy()
        ended.set()

    def failed(error: ConnectError) -> None:
        result.error = error
        ended.set()

    dialling = dht.dial(dht.default_key_pair, result.key, (), opened, failed, relaying)
    try:
        await ended.wait()
    finally:
        result.stages = list(dialling.attempt.stages)
        dialling.cancel()


async def _reach_relay(result: RelayResult, dht: DHT) -> None:
    dialled = PeerResult(result.key)
    await _dial(dialled, dht, RelayChoice(policy="forbid"))  # it must be reached without a relay
    result.error = dialled.error
    if dialled.path is not None:
        result.address = dialled.path.remote_address
        result.rtt = await dht.ping(result.address)
