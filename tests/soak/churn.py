"""Twenty peers, ours and Node's, of which one is killed and restarted each second: do all find each other again?

    python tests/soak/churn.py [--python 10] [--node 10] [--seconds 60] [--dht python] [--seed N]

Passes when, within a minute after the last restart, every pair with one of ours in it has exactly one connection, the
same at both ends, and those of ours that were never killed use no more tasks, sockets, files and memory than before.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import trio

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
_tests = sys.modules["tests"] = ModuleType("tests")  # another package of this name may be installed
_tests.__path__ = [str(ROOT / "tests")]

from tests.interop.peers import DHT_COMMANDS, Peer, PeerError  # noqa: E402

STAYERS = 2
"""Peers of ours that are never killed: they are measured."""
PATIENCE = 60.0
"""Seconds after the last restart for all to be connected."""
SETTLING = 25.0
"""Seconds until what a connection leaves behind is gone: UDX keeps a closed stream's last answer for 20."""
SLACK = 16 << 20
"""Bytes by which memory may have grown: an allocator gives little back."""


@dataclass
class Use:
    """What one process uses."""

    memory: int
    files: int
    sockets: int
    tasks: int
    streams: int
    peers: int


class Crowd:
    """The living peers, by place: a peer that was killed comes back to its own with its own key."""

    def __init__(self, nursery: trio.Nursery, bootstrap: str, kinds: Sequence[str], rng: random.Random) -> None:
        self._nursery = nursery
        self._bootstrap = bootstrap
        self._topic = rng.randbytes(32).hex()
        self._seeds = [rng.randbytes(32) for _ in kinds]
        self._rng = rng
        self.kinds = kinds
        self.peers: list[Peer] = []

    async def gather(self) -> None:
        for kind, seed in zip(self.kinds, self._seeds, strict=True):
            self.peers.append(await self._start(kind, seed))

    async def _start(self, kind: str, seed: bytes) -> Peer:
        peer: Peer = await self._nursery.start(Peer(kind, self._bootstrap, seed).run)
        self._nursery.start_soon(self._join, peer)
        return peer

    async def _join(self, peer: Peer) -> None:
        try:
            await peer.call("join", topic=self._topic)
        except PeerError:
            return  # it was killed meanwhile

    async def replace_one(self) -> None:
        """Kill one that is no stayer, and start it again."""
        place = self._rng.randrange(STAYERS, len(self.peers))
        await self.peers[place].kill()
        self.peers[place] = await self._start(self.kinds[place], self._seeds[place])

    async def missing(self) -> dict[str, int]:
        """Pairs with one of ours in it that are not connected exactly once, by what is wrong."""
        open_to: dict[str, list[str]] = {}

        async def ask(peer: Peer) -> None:
            try:
                open_to[peer.key] = [entry["remote"] for entry in (await peer.call("connections"))["open"]]
            except (PeerError, trio.ClosedResourceError, trio.BrokenResourceError):
                raise SystemExit(f"FAILED: a {peer.kind} peer ended by itself: {peer.key[:8]}") from None

        async with trio.open_nursery() as nursery:
            for peer in self.peers:
                nursery.start_soon(ask, peer)
        wrong: dict[str, int] = {}
        for one, other in itertools.combinations(self.peers, 2):
            counts = open_to[one.key].count(other.key), open_to[other.key].count(one.key)
            if "python" in (one.kind, other.kind) and counts != (1, 1):
                what = f"{one.kind}-{other.kind} {counts[0]}:{counts[1]}"
                wrong[what] = wrong.get(what, 0) + 1
        return wrong

    async def until_connected(self, seconds: float) -> float:
        """How long it took. Raises ``SystemExit`` when it takes longer."""
        started = trio.current_time()
        wrong: dict[str, int] = {}
        with trio.move_on_after(seconds):
            while wrong := await self.missing():  # noqa: ASYNC110 - peers tell of what opens, not of what closes
                await trio.sleep(0.25)
            return trio.current_time() - started
        raise SystemExit(f"FAILED: after {seconds:g} s these pairs are not connected once: {wrong}")

    async def uses(self) -> list[Use]:
        return [await _use(peer) for peer in self.peers[:STAYERS]]


async def _use(peer: Peer) -> Use:
    process = Path(f"/proc/{peer.pid}")
    files = [os.readlink(entry) for entry in (process / "fd").iterdir()]
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    return Use(
        memory=int(status["VmRSS"].split()[0]) << 10,
        files=len(files),
        sockets=sum(file.startswith("socket:") for file in files),
        **await peer.call("resources"),
    )


def _say(what: str, **figures: Any) -> None:
    print(json.dumps({"what": what, **figures}), flush=True)


async def churn(options: argparse.Namespace, bootstrap: str) -> None:
    rng = random.Random(options.seed)
    kinds = ["python"] * options.python + ["node"] * options.node
    async with trio.open_nursery() as nursery:
        crowd = Crowd(nursery, bootstrap, kinds, rng)
        await crowd.gather()
        _say("gathered", seconds=round(await crowd.until_connected(2 * PATIENCE), 2))
        await trio.sleep(SETTLING)
        before = await crowd.uses()
        killed, end = 0, trio.current_time() + options.seconds
        while trio.current_time() < end:
            at = trio.current_time()
            await crowd.replace_one()
            killed += 1
            await trio.sleep_until(at + 1)
        _say("churned", killed=killed, seconds=options.seconds)
        _say("connected again", seconds=round(await crowd.until_connected(PATIENCE), 2))
        await trio.sleep(SETTLING)
        await crowd.until_connected(PATIENCE)  # and still so
        after = await crowd.uses()
        for one, other in zip(before, after, strict=True):
            _say("uses", before=one.__dict__, after=other.__dict__)
        nursery.cancel_scope.cancel()
    grown = [
        f"{name} from {getattr(one, name)} to {getattr(other, name)}"
        for one, other in zip(before, after, strict=True)
        for name, slack in (("memory", SLACK), ("files", 0), ("sockets", 0), ("tasks", 0), ("streams", 0), ("peers", 0))
        if getattr(other, name) > getattr(one, name) + slack
    ]
    if grown:
        raise SystemExit(f"FAILED: grew: {'; '.join(grown)}")
    _say("passed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", type=int, default=10, help=f"peers of ours, more than {STAYERS}")
    parser.add_argument("--node", type=int, default=10, help="peers of Node")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--dht", choices=sorted(DHT_COMMANDS), default="python", help="whose nodes the DHT is made of")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    options = parser.parse_args()
    _say("started", **vars(options))
    with subprocess.Popen(DHT_COMMANDS[options.dht], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as dht:
        assert dht.stdin is not None
        assert dht.stdout is not None
        try:
            trio.run(churn, options, json.loads(dht.stdout.readline())["bootstrap"][0])
        finally:
            dht.stdin.close()
            dht.wait(10)


if __name__ == "__main__":
    main()
