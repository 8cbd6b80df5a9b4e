"""Twenty peers, ours and Node's, of which one is killed and restarted each second: do all find each other again?

    python tests/soak/churn.py [--python 10] [--node 10] [--seconds 60] [--dht python] [--seed N]

Passes when none of ours ever holds two connections to one peer, not even meanwhile; when, within a minute after the
last restart, every pair with one of ours in it has exactly one connection, the same at both ends; and when ours use no
more tasks, sockets, files and streams than before, and those that were never killed keep nothing of who came and went.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import subprocess
import sys
from collections import Counter
from dataclasses import asdict, dataclass
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
"""Peers of ours that are never killed: only of them it shows what they keep."""
PATIENCE = 60.0
"""Seconds after the last restart for all to be connected."""
SETTLING = 25.0
"""Seconds until what a connection leaves behind is gone: UDX keeps a closed stream's last answer for 20."""
MAX_STARTING = 4
"""Peers that start again at a time: where that takes longer than so many seconds, fewer are killed."""
LOOKS = 0.2
"""Seconds between two looks at what is connected during the churn."""
CONNECTION_BLOCKS = 150
"""Blocks of memory, as ``sys.getallocatedblocks`` counts them, that one connection holds on to when it is not freed.
Each peer that is killed costs a stayer at least one: it must keep less than half of that for each."""
SLACK = 4 << 20
"""Bytes by which a process may have grown all the same: what is freed, an allocator gives back late or never. That was
up to 0.6 MB; 60 connections that are not freed are 2 MB at the least, which the blocks show."""


@dataclass(frozen=True)
class Use:
    """What one process uses. A socket that a hole was punched with belongs to its connection, and counts as that."""

    memory: int
    blocks: int
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
        self._killed: set[Peer] = set()
        self._starting: set[int] = set()
        self.kinds = kinds
        self.peers: list[Peer] = []
        self.looks = 0

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
            if peer not in self._killed:
                raise

    async def replace_one(self) -> None:
        """Kill one that is no stayer, and start it again, which may take longer than until the next one's turn."""
        await self.starting_at_most(MAX_STARTING - 1)
        place = self._rng.choice([place for place in range(STAYERS, len(self.peers)) if place not in self._starting])
        self._killed.add(self.peers[place])
        await self.peers[place].kill()
        self._starting.add(place)
        self._nursery.start_soon(self._start_again, place)

    async def _start_again(self, place: int) -> None:
        self.peers[place] = await self._start(self.kinds[place], self._seeds[place])
        self._starting.discard(place)

    async def starting_at_most(self, count: int) -> None:
        while len(self._starting) > count:  # noqa: ASYNC110 - it takes seconds
            await trio.sleep(0.1)

    @property
    def ours(self) -> list[Peer]:
        return [peer for peer in self.peers if peer.kind == "python"]

    # -- what is connected -------------------------------------------------------------------------------------------

    async def links(self, peers: Sequence[Peer]) -> dict[str, list[tuple[str, str]]]:
        """By key, the connections of each as it knows them itself: the other key, and the handshake's hash."""
        found: dict[str, list[tuple[str, str]]] = {}

        async def ask(peer: Peer) -> None:
            try:
                found[peer.key] = [(remote, handshake) for remote, handshake in (await peer.call("links"))["links"]]
            except PeerError:
                if peer not in self._killed:
                    raise SystemExit(f"FAILED: a {peer.kind} peer ended by itself: {peer.key[:8]}") from None

        async with trio.open_nursery() as nursery:
            for peer in peers:
                nursery.start_soon(ask, peer)
        return found

    async def watch(self) -> None:
        """Look again and again whether one of ours has two connections to one peer, until cancelled."""
        while True:
            for key, links in (await self.links(self.ours)).items():
                self.looks += 1
                for remote, count in Counter(remote for remote, _ in links).items():
                    if count > 1:
                        raise SystemExit(f"FAILED: {key[:8]} is connected to {remote[:8]} {count} times")
            await trio.sleep(LOOKS)

    async def wrong(self) -> list[tuple[Peer, Peer, str]]:
        """Pairs with one of ours in it that are not connected by one connection, and what is wrong."""
        links = await self.links(self.peers)
        wrong = []
        for one, other in itertools.combinations(self.peers, 2):
            if "python" in (one.kind, other.kind):
                here = [handshake for remote, handshake in links[one.key] if remote == other.key]
                there = [handshake for remote, handshake in links[other.key] if remote == one.key]
                if len(here) != 1 or here != there:
                    what = "two different ones" if len(here) == len(there) == 1 else f"{len(here)}:{len(there)}"
                    wrong.append((one, other, what))
        return wrong

    @property
    def pairs(self) -> int:
        """How many there are with one of ours in it."""
        return sum("python" in kinds for kinds in itertools.combinations(self.kinds, 2))

    async def until_connected(self, seconds: float) -> float:
        """How long it took. Raises ``SystemExit`` when it takes longer."""
        started = trio.current_time()
        wrong: list[tuple[Peer, Peer, str]] = []
        with trio.move_on_after(seconds):
            while wrong := await self.wrong():  # noqa: ASYNC110 - peers tell of what opens, not of what closes
                await trio.sleep(0.25)
            return trio.current_time() - started
        for one, other, what in wrong:
            for asked, about in ((one, other), (other, one)):
                if asked.kind == "python":
                    known = (await asked.call("about", key=about.key))["about"]
                    _say(
                        "not connected",
                        pair=what,
                        here=asked.key[:8],
                        there=f"{about.kind} {about.key[:8]}",
                        known=known,
                    )
        raise SystemExit(f"FAILED: {len(wrong)} pairs are not connected by one connection after {seconds:g} s")

    async def uses(self) -> list[Use]:
        return [await _use(peer) for peer in self.ours]


async def _use(peer: Peer) -> Use:
    resources = await peer.call("resources")
    punched = resources.pop("punched")  # each is a socket, a file, and a task that reads it
    resources["tasks"] -= punched
    process = Path(f"/proc/{peer.pid}")
    files = [os.readlink(entry) for entry in (process / "fd").iterdir()]
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    return Use(
        memory=int(status["VmRSS"].split()[0]) << 10,
        files=len(files) - punched,
        sockets=sum(file.startswith("socket:") for file in files) - punched,
        **resources,
    )


def _grown(before: Sequence[Use], after: Sequence[Use], killed: int) -> list[str]:
    """What ours use more of than they may, by place: the first were never killed."""
    grown = []
    for place, (one, other) in enumerate(zip(before, after, strict=True)):
        slack = {"memory": SLACK, "blocks": killed * CONNECTION_BLOCKS // 2}
        for name, value in asdict(other).items():
            if name == "blocks" and place >= STAYERS:
                continue  # of two processes
            if value > asdict(one)[name] + slack.get(name, 0):
                grown.append(f"{name} of peer {place} from {asdict(one)[name]} to {value}")
    return grown


def _say(what: str, **figures: Any) -> None:
    print(json.dumps({"what": what, **figures}), flush=True)


async def churn(options: argparse.Namespace, bootstrap: str) -> None:
    rng = random.Random(options.seed)
    kinds = ["python"] * options.python + ["node"] * options.node
    async with trio.open_nursery() as nursery:
        crowd = Crowd(nursery, bootstrap, kinds, rng)
        await crowd.gather()
        gathered = await crowd.until_connected(2 * PATIENCE)
        _say("gathered", seconds=round(gathered, 2))
        await trio.sleep(SETTLING)
        before = await crowd.uses()
        nursery.start_soon(crowd.watch)
        killed, end = 0, trio.current_time() + options.seconds
        while trio.current_time() < end:
            at = trio.current_time()
            await crowd.replace_one()
            killed += 1
            await trio.sleep_until(at + 1)
        await crowd.starting_at_most(0)
        _say("churned", killed=killed, seconds=options.seconds)
        again = await crowd.until_connected(PATIENCE)
        _say("connected again", seconds=round(again, 2))
        await trio.sleep(SETTLING)
        await crowd.until_connected(PATIENCE)  # and still so
        after = await crowd.uses()
        looks = crowd.looks
        nursery.cancel_scope.cancel()
    for place, (one, other) in enumerate(zip(before, after, strict=True)):
        _say("uses", peer=place, stayed=place < STAYERS, before=asdict(one), after=asdict(other))
    grown = _grown(before, after, killed)
    stayers = range(STAYERS)
    _say(
        "summary",
        seed=options.seed,
        peers=len(kinds),
        killed=killed,
        looks_for_two_connections=looks,
        pairs_by_one_connection=crowd.pairs,
        connected_again_after=round(again, 2),
        most_memory_grown_mb=round(max(b.memory - a.memory for a, b in zip(before, after, strict=True)) / 1e6, 1),
        blocks_kept_per_kill=[round((after[n].blocks - before[n].blocks) / killed, 1) for n in stayers],
        grown=grown,
    )
    if grown:
        raise SystemExit(f"FAILED: grew: {'; '.join(grown)}")
    _say("passed")


def _first_leaf(error: BaseException) -> BaseException:
    return _first_leaf(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


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
        except BaseExceptionGroup as group:
            raise _first_leaf(group) from None
        finally:
            dht.stdin.close()
            dht.wait(10)


if __name__ == "__main__":
    main()
