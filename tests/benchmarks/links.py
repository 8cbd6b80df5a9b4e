"""What is measured over a link that is slower and longer than loopback."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .network import link
from .programs import KINDS, dht_nodes, meet, peers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .programs import Program
    from .rows import Samples

__all__ = ["SHARING", "WARM", "WINDOW", "long_link", "shared_link"]

DHT_NODES = 10
LONG = (100.0, 0.1)
SHARED = (20.0, 0.05)
"""Mbit/s, and seconds for a round trip."""
WARM, WINDOW = 4.0, 4.0
"""Seconds that a sender has to find out how fast the link is, and seconds that are counted then."""
WARM_AGAIN = 2.0
"""The same, after the link began to lose packets."""
SHARING = 6.0
"""Seconds that are counted while two share the link."""


def long_link(samples: Samples) -> None:
    """One connection from its start on: first nothing is lost but what overflows the queue, then more and more."""
    stages = {0: WARM, 1: WARM_AGAIN, 5: WARM_AGAIN}
    for kind in KINDS:
        with (
            link(*LONG) as between,
            dht_nodes(kind, DHT_NODES, between.near) as (dht, _),
            peers(dht, kind, kind, places=[between.near, between.far]) as (sender, receiver),
        ):
            meet(sender, receiver)
            sender.begin("pour", seconds=sum(stages.values()) + WINDOW * len(stages))
            for percent, warm in stages.items():
                between.cable.call("lose", percent=percent)
                (rate,) = _rates([receiver], warm, WINDOW)
                samples.setdefault((f"long link, {percent} % lost", kind), []).append(rate)
                if not percent:
                    samples.setdefault(("long link share", kind), []).append(rate * 8 / LONG[0] * 100)


def shared_link(samples: Samples) -> None:
    """Two connections between processes of their own begin at once, in the same direction."""
    for kind in KINDS:
        with (
            link(*SHARED) as between,
            dht_nodes(kind, DHT_NODES, between.near) as (dht, _),
            peers(dht, *[kind] * 4, places=[between.near, between.near, between.far, between.far]) as programs,
        ):
            senders, receivers = programs[:2], programs[2:]
            for pair in zip(senders, receivers, strict=True):
                meet(*pair)
            for sender in senders:
                sender.begin("pour", seconds=WARM + SHARING)
            rates = _rates(receivers, WARM, SHARING)
            samples.setdefault(("shared link", kind), []).append(sum(rates))
            samples.setdefault(("smaller share", kind), []).append(min(rates) / sum(rates) * 100)


def _rates(receivers: Sequence[Program], after: float, seconds: float) -> list[float]:
    """What each of them gets in the same seconds, in MB/s."""
    for receiver in receivers:
        receiver.begin("gauge", after=after, seconds=seconds)
    return [receiver.end()["bytes"] / seconds / 1e6 for receiver in receivers]
