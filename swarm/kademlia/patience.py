"""How long the answer of a node is waited for before the request is sent again. Pure; one for all nodes.

A look-up asks nodes it never met, so there is no round trip time of their own to go by: the estimate is over whoever
answers, as RFC 6298 makes it for one peer. The reference waits a second each time (dht-rpc lib/io.js), so that one lost
packet, or one node that is gone, costs a look-up that second.
"""

from __future__ import annotations

__all__ = ["LEAST", "UNKNOWN", "Patience"]

UNKNOWN = 0.5
"""Seconds before any node has answered: the first request of all goes to one node only, and everything waits for it."""
LEAST = 0.2
"""Seconds. Nodes are at all distances; the ones that answered last may have been near ones."""


class Patience:
    __slots__ = ("_deviation", "_smoothed")

    def __init__(self) -> None:
        self._smoothed: float | None = None
        self._deviation = 0.0

    def answered(self, rtt: float) -> None:
        """Seconds from the first send of a request to its answer."""
        if self._smoothed is None:
            self._smoothed, self._deviation = rtt, rtt / 2
        else:
            self._deviation += (abs(self._smoothed - rtt) - self._deviation) / 4
            self._smoothed += (rtt - self._smoothed) / 8

    def wait(self, hops: int, attempt: int, most: float) -> float:
        """Seconds for an answer from ``hops`` nodes away. ``attempt`` 1 is the first; each one waits twice as long."""
        usual = UNKNOWN if self._smoothed is None else max(self._smoothed + 4 * self._deviation, LEAST)
        # what a peer behind the asked node does meanwhile takes as long as it takes
        factor = 2 ** min(attempt - 1, 8) if hops == 1 or attempt == 1 else most / usual
        return min(hops * usual * factor, most)
