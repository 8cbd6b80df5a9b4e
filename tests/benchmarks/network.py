"""The network of a run: a namespace of its own, what it may lose, and a slow, long link to a second one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .link import FAR, NEAR
from .programs import Failure, Place, Program, running

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["INSIDE", "Link", "enter_namespace", "link", "loss"]

INSIDE = "BENCHMARK_PRIVATE_NETWORK"
"""Set in the environment of a run in a network namespace of its own, where rules for packets harm nobody."""

ADDRESSES = {NEAR: "192.88.99.1", FAR: "192.88.99.2"}
"""Of a retired block: nobody's addresses, and yet such that both stacks take for public."""


def enter_namespace(*command: str) -> None:
    """Become that command inside a network namespace, for good; returns where there can be none, and inside one."""
    if INSIDE in os.environ or shutil.which("unshare") is None or shutil.which("ip") is None:
        return
    unshare = ["unshare", "--net", *(["--map-root-user"] if os.geteuid() != 0 else [])]
    if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode != 0:
        return
    inside = [*unshare, "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *command]
    os.execvpe(inside[0], inside, {**os.environ, INSIDE: "1"})


@contextmanager
def loss(percent: int) -> Iterator[None]:
    """Let the namespace lose so many of a hundred UDP datagrams, or runs of them, on their way in."""
    if INSIDE not in os.environ or shutil.which("nft") is None:
        raise Failure("losing packets takes nft, root, and a network namespace")
    rules = (
        "add table inet benchmark; "
        "add chain inet benchmark lossy { type filter hook input priority 0; }; "
        f"add rule inet benchmark lossy meta l4proto udp numgen random mod 100 < {percent} drop"
    )
    subprocess.run(["nft", rules], check=True)
    try:
        yield
    finally:
        subprocess.run(["nft", "delete table inet benchmark"], check=True)


@dataclass(frozen=True)
class Link:
    near: Place
    far: Place
    cable: Program
    """See `benchmarks.link` for its commands."""


@contextmanager
def link(megabits: float, round_trip: float) -> Iterator[Link]:
    """A link between here and another namespace, with a queue of one round trip. ``round_trip``: in seconds."""
    if INSIDE not in os.environ or shutil.which("nsenter") is None or not Path("/dev/net/tun").exists():
        raise Failure("a link takes nsenter, /dev/net/tun, and network namespaces")
    cable = [sys.executable, "-m", "benchmarks.link", str(megabits), str(round_trip / 2), str(round_trip)]
    with _second_namespace() as pid, running(cable) as (program,):
        enter = ("nsenter", f"--net=/proc/{pid}/ns/net", "--")
        subprocess.run(["ip", "link", "set", FAR, "netns", str(pid)], check=True)
        subprocess.run([*enter, "ip", "link", "set", "lo", "up"], check=True)
        _address(NEAR, FAR)
        _address(FAR, NEAR, *enter)
        yield Link(Place(ADDRESSES[NEAR]), Place(ADDRESSES[FAR], enter), program)


@contextmanager
def _second_namespace() -> Iterator[int]:
    """One more network namespace: the process that holds it until its input ends."""
    with subprocess.Popen(["unshare", "--net", "sh", "-c", "echo; exec cat"], stdin=-1, stdout=-1) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        try:
            if holder.stdout.readline() != b"\n":
                raise Failure("there is no second network namespace")
            yield holder.pid
        finally:
            holder.stdin.close()


def _address(device: str, other: str, *enter: str) -> None:
    """Give a device its address. It holds more packets than a queue of the link does, which is where they are lost."""
    for command in (
        f"ip addr add {ADDRESSES[device]} peer {ADDRESSES[other]} dev {device}",
        f"ip link set {device} up mtu 1500 txqueuelen 5000",
    ):
        subprocess.run([*enter, *command.split()], check=True)
