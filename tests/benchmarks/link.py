"""A link with a rate, a delay and a queue: two tunnel devices, and this process as the cable between them.

    python -m benchmarks.link MEGABITS DELAY QUEUE      from the folder tests

MEGABITS per second; DELAY in seconds, one way; QUEUE: how many seconds' worth of packets may wait to be sent, beyond
which they are lost, as in a router. It makes the devices `near` and `far`, says ``{"result": {}}``, and then takes
commands as a peer does: ``lose`` (``percent`` of the packets at random, each way) and ``counts``. It ends with its
standard input.

The kernel's own `tc netem` would do, but is not in every kernel. A blast of datagrams fills a link of 100 Mbit/s to
within one per cent; the most that this process was seen to carry is 400 Mbit/s.
"""

from __future__ import annotations

import fcntl
import gc
import json
import os
import random
import select
import struct
import sys
import time
from collections import deque
from contextlib import suppress
from typing import Any

__all__ = ["FAR", "NEAR", "Lane"]

NEAR, FAR = "near", "far"
TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
AT_ONCE = 256
"""Packets taken from one device before the other one and the clock are looked at again."""
TICK = 0.0005
"""Seconds between two rounds: packets come in small runs, as from a network card, and cost half as much."""


class Lane:
    """One direction. Packets leave in the order they came: after those before them, and then after the delay."""

    def __init__(self, rate: float, delay: float, queue: float) -> None:
        """``rate``: bits per second; ``delay`` and ``queue``: seconds."""
        self._rate = rate
        self._delay = delay
        self._queue = queue
        self._free_at = 0.0
        """When the last packet taken has left the queue."""
        self._packets: deque[tuple[float, bytes]] = deque()
        self.dropped = 0
        """Packets for which the queue was full."""

    def take(self, packet: bytes, now: float, *, lost: bool = False) -> None:
        """``lost``: it gets its time on the link, but does not arrive."""
        begins = max(self._free_at, now)
        if begins - now > self._queue:
            self.dropped += 1
            return
        self._free_at = begins + len(packet) * 8 / self._rate
        if not lost:
            self._packets.append((self._free_at + self._delay, packet))

    def deadline(self) -> float:
        """When the next packet arrives."""
        return self._packets[0][0] if self._packets else float("inf")

    def due(self, now: float) -> tuple[float, bytes] | None:
        """The next packet that has arrived by now, and when it did."""
        return self._packets.popleft() if self.deadline() <= now else None


class Cable:
    """Moves packets between two devices when it is time, and takes commands."""

    def __init__(self, near: int, far: int, rate: float, delay: float, queue: float) -> None:
        self._lanes = {near: (Lane(rate, delay, queue), far), far: (Lane(rate, delay, queue), near)}
        self._loss = 0.0
        self._carried = 0
        self._late = 0
        """Packets carried more than a millisecond after their time: the cable itself was too slow."""

    def run(self) -> None:
        while True:
            wait = min(lane.deadline() for lane, _ in self._lanes.values()) - time.monotonic()
            ready, _, _ = select.select([*self._lanes, sys.stdin], [], [], min(max(wait, 0.0), 1.0))
            if sys.stdin in ready:
                line = sys.stdin.readline()
                if not line:
                    return
                options = json.loads(line)
                print(json.dumps({"result": getattr(self, options.pop("do"))(**options) or {}}), flush=True)
            for device, (lane, _) in self._lanes.items():
                if device in ready:
                    self._fill(device, lane)
            for lane, device in self._lanes.values():
                self._empty(lane, device)
            time.sleep(TICK)

    def _fill(self, device: int, lane: Lane) -> None:
        for _ in range(AT_ONCE):
            try:
                packet = os.read(device, 65536)
            except BlockingIOError:
                return
            lane.take(packet, time.monotonic(), lost=bool(self._loss) and random.random() < self._loss)

    def _empty(self, lane: Lane, device: int) -> None:
        now = time.monotonic()
        while arrived := lane.due(now):
            self._carried += 1
            self._late += now - arrived[0] > 0.001
            with suppress(OSError):  # the device is not up, or full
                os.write(device, arrived[1])

    # commands

    def lose(self, percent: float) -> None:
        self._loss = percent / 100

    def counts(self) -> dict[str, Any]:
        dropped = sum(lane.dropped for lane, _ in self._lanes.values())
        return {"carried": self._carried, "late": self._late, "dropped": dropped}


def tunnel(name: str) -> int:
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    return device


def main(megabits: float, delay: float, queue: float) -> None:
    gc.disable()  # a pause delays every packet, and there is nothing here to collect
    with suppress(OSError):
        os.nice(-10)  # what is measured may not starve it, where that is allowed
    cable = Cable(tunnel(NEAR), tunnel(FAR), megabits * 1e6, delay, queue)
    print(json.dumps({"result": {}}), flush=True)
    cable.run()


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
