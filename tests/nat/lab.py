"""An internet of network namespaces on one Linux machine: public hosts, and peers behind real NATs.

Nothing of it can reach the machine's own network, and nothing is left of it when the process that made it ends, however
it ends: each namespace belongs to a process that waits for a pipe to be closed.
"""

from __future__ import annotations

import ipaddress
import os
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tests.nat.routers import CARRIERS, PUBLIC, ROUTERS, rules

__all__ = ["TOOLS", "Lab", "LabError", "Namespace", "Place", "Router"]

TOOLS = ("unshare", "nsenter", "ip", "nft", "conntrack")

PUBLIC_NET = ipaddress.IPv4Network("192.88.99.0/24")
"""A retired block: nobody's address, and yet one that programs take for public."""
CORE_HOPS = 6
"""The internet loses packets whose TTL is no larger: they open their sender's NAT and go no further."""
WIRE = Path(__file__).with_name("wire.py")

_PREPARE = """
set -e
for name in conf/all/disable_ipv6; do echo 1 > /proc/sys/net/ipv6/$name || true; done
for name in all default; do echo 0 > /proc/sys/net/ipv4/conf/$name/rp_filter; done
[ ! -e /proc/sys/net/bridge/bridge-nf-call-iptables ] || echo 0 > /proc/sys/net/bridge/bridge-nf-call-iptables
ip link set lo up
"""
_BRIDGE = "ip link add {0} type bridge forward_delay 0 mcast_snooping 0; ip link set {0} up\n"


class LabError(Exception):
    """This machine does not allow it, or a command of the lab failed."""


@dataclass
class Namespace:
    """One machine of the lab."""

    lab: Lab
    pid: int
    """A process that holds it."""
    addresses: list[str] = field(default_factory=list)

    @property
    def address(self) -> str:
        return self.addresses[0]

    def command(self, *command: str, **environment: str) -> list[str]:
        """The command that runs another one on this machine."""
        variables = [f"{name}={value}" for name, value in environment.items()]
        return ["nsenter", f"--net=/proc/{self.pid}/ns/net", "--", "env", *variables, *command]

    def sh(self, script: str) -> None:
        self._run("sh", "-ec", script)

    def nft(self, script: str) -> None:
        self._run("nft", "-f", "-", stdin=script)

    def _run(self, *command: str, stdin: str = "") -> None:
        done = subprocess.run(self.command(*command), input=stdin, capture_output=True, text=True, check=False)
        if done.returncode:
            raise LabError(f"{' '.join(command)}: {done.stderr or done.stdout}")


@dataclass
class Router(Namespace):
    """Between an inner network, on its bridge ``lan``, and an outer one, on its interface ``wan``."""

    kind: str = ""
    lan: ipaddress.IPv4Network = PUBLIC_NET
    wan_input: str = "drop"
    """Or ``accept``, or ``reject``: answer with ICMP errors."""
    loss: float = 0.0
    """The share of packets that its uplink loses, each way."""
    moves: int = 0
    members: int = 0

    def free_inner_address(self) -> str:
        self.members += 1
        return str(self.lan[9 + self.members])

    def apply(self) -> None:
        """Forget every mapping, and behave as described."""
        self.nft(
            rules(
                self.kind,
                self.address,
                str(self.lan[10]),
                lan=str(self.lan),
                moves=self.moves,
                wan_input=self.wan_input,
                loss=self.loss,
                seed=self.pid,
            )
        )
        self.sh("conntrack -F")

    def rebind(self) -> None:
        """Give out other ports from now on."""
        self.moves += 1
        self.apply()

    def change_address(self) -> None:
        """Take another outer address, as after a new dial-in."""
        old, new = self.address, self.lab.free_address()
        self.sh(
            f"ip addr add {new}/24 dev wan; ip addr del {old}/24 dev wan; "
            f"ip addr replace {new}/24 dev wan; ip route replace default via {PUBLIC_NET[1]}"
        )
        self.addresses[0] = new
        self.rebind()


@dataclass
class Place:
    """Where a peer is: its machine, and the routers in front of it, the outermost last."""

    host: Namespace
    routers: list[Router]


class Lab:
    """``with Lab() as lab: place = lab.place("home")``. Raises `LabError` where that is not allowed."""

    def __init__(self, *, delay: float = 0.0) -> None:
        """``delay``: seconds, one way, on each peer's link to the internet."""
        self._delay = delay
        self._stack = ExitStack()
        self._hosts = iter(range(2, 250))
        self._networks = iter(range(1, 250))
        self._ports = iter(range(1000))
        self.internet: Namespace

    def __enter__(self) -> Self:
        if os.geteuid() != 0:
            raise LabError("network namespaces with NAT need root")
        with self._stack:
            self.internet = self._namespace()
            self.internet.sh(_BRIDGE.format("br0") + f"ip addr add {PUBLIC_NET[1]}/24 dev br0")
            self.internet.nft(
                "table bridge core { chain forward { type filter hook forward priority 0; "
                f"meta protocol ip ip ttl <= {CORE_HOPS} drop; }}; }}"
            )
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def free_address(self) -> str:
        return str(PUBLIC_NET[next(self._hosts)])

    def public(self, addresses: int = 1, *, delay: float = 0.0) -> Namespace:
        """A machine with public addresses."""
        host = self._namespace()
        host.addresses = [self.free_address() for _ in range(addresses)]
        self._connect(host, "eth0", self.internet, "br0", delay)
        host.sh(
            "".join(f"ip addr add {address}/24 dev eth0\n" for address in host.addresses)
            + f"ip route add default via {PUBLIC_NET[1]}"
        )
        return host

    def place(
        self,
        kind: str,
        *,
        lan: str | None = None,
        wan_input: str = "drop",
        delay: float | None = None,
        loss: float = 0.0,
    ) -> Place:
        """Somewhere of one of the `KINDS`. ``lan``: the inner network; a free one if none is given. ``delay``: of this
        peer's link, in place of the lab's. ``loss``: the share of packets that a router's uplink loses, each way."""
        delay = self._delay if delay is None else delay
        if kind in PUBLIC:
            host = self.public(delay=delay)
            if kind == "firewall":
                host.nft(
                    "table ip lab { chain input { type filter hook input priority 0; "
                    'iifname "eth0" meta l4proto { tcp, udp } ct state new drop; }; }'
                )
            return Place(host, [])
        if kind in CARRIERS:
            inner = f"100.64.{next(self._networks)}.0/24"
            carrier = self._router(CARRIERS[kind], self.internet, "br0", inner, delay=delay)
            return self.behind(carrier, lan=lan)
        router = self._router(kind, self.internet, "br0", lan, wan_input=wan_input, delay=delay, loss=loss)
        return Place(self.neighbour(router), [router])

    def behind(self, carrier: Router, *, lan: str | None = None) -> Place:
        """A home of a carrier."""
        router = self._router("home", carrier, "lan", lan)
        return Place(self.neighbour(router), [router, carrier])

    def neighbour(self, router: Router) -> Namespace:
        """One more machine in the network behind a router."""
        host = self._namespace()
        host.addresses = [router.free_inner_address()]
        self._connect(host, "eth0", router, "lan", 0.0)
        host.sh(f"ip addr add {host.address}/24 dev eth0; ip route add default via {router.lan[1]}")
        return host

    def _router(
        self,
        kind: str,
        outer: Namespace,
        bridge: str,
        lan: str | None,
        *,
        wan_input: str = "drop",
        delay: float = 0.0,
        loss: float = 0.0,
    ) -> Router:
        if kind not in ROUTERS:
            raise LabError(f"no such router: {kind}")
        base = self._namespace()
        network = ipaddress.IPv4Network(lan or f"192.168.{next(self._networks)}.0/24")
        router = Router(self, base.pid, kind=kind, lan=network, wan_input=wan_input, loss=loss)
        if isinstance(outer, Router):
            address, gateway = outer.free_inner_address(), str(outer.lan[1])
        else:
            address, gateway = self.free_address(), str(PUBLIC_NET[1])
        router.addresses = [address]
        self._connect(router, "wan", outer, bridge, delay)
        router.sh(
            _BRIDGE.format("lan")
            + f"ip addr add {network[1]}/24 dev lan; ip addr add {address}/24 dev wan\n"
            + f"ip route add default via {gateway}\n"
            + "echo 1 > /proc/sys/net/ipv4/ip_forward\n"
            + "for name in all lan; do echo 0 > /proc/sys/net/ipv4/conf/$name/send_redirects; done"
        )
        router.apply()
        return router

    def _namespace(self) -> Namespace:
        holder = self._stack.enter_context(
            subprocess.Popen(["unshare", "--net", "sh", "-c", "echo; exec cat"], stdin=-1, stdout=-1, stderr=-1)
        )
        assert holder.stdin is not None
        assert holder.stdout is not None
        self._stack.callback(holder.stdin.close)
        if holder.stdout.readline() != b"\n":
            raise LabError("this machine allows no network namespaces here")
        namespace = Namespace(self, holder.pid)
        namespace.sh(_PREPARE)
        return namespace

    def _connect(self, inner: Namespace, device: str, outer: Namespace, bridge: str, delay: float) -> None:
        """A cable from ``device`` to a bridge."""
        n = next(self._ports)
        if not delay:
            outer.sh(
                f"ip link add p{n} type veth peer name {device} netns {inner.pid}; "
                f"ip link set p{n} master {bridge}; ip link set p{n} up"
            )
        else:
            outer.sh(
                f"ip link add a{n} type veth peer name {device} netns {inner.pid}; "
                f"ip link add b{n} type veth peer name p{n}; ip link set p{n} master {bridge}; "
                f"ip link set p{n} up; ip link set a{n} up; ip link set b{n} up"
            )
            for end, name in ((inner, device), (outer, f"p{n}")):
                end.sh(f"{sys.executable} {WIRE} {name}")
            wire = self._stack.enter_context(
                subprocess.Popen(
                    outer.command(sys.executable, str(WIRE), f"a{n}", f"b{n}", str(delay)), stdin=-1, stdout=-1
                )
            )
            assert wire.stdin is not None
            assert wire.stdout is not None
            self._stack.callback(wire.stdin.close)
            if wire.stdout.readline() != b"ready\n":
                raise LabError("the wire that delays packets did not start")
        inner.sh(f"ip link set {device} up")
