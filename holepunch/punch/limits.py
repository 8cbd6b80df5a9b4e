"""What punching and accepting may cost this node and others: every bound, in one place, with its reason."""

from __future__ import annotations

__all__ = [
    "BIRTHDAY_PUNCHES",
    "MAX_ADDRESSES",
    "MAX_ECHOES",
    "MAX_HALF_OPEN",
    "MAX_MESSAGES",
    "MAX_PENDING_ANSWERS",
    "MAX_PER_HOST",
    "MAX_QUESTIONS",
    "MAX_RELAYS",
    "MAX_REMEMBERED",
    "MAX_RESPONSES",
    "MAX_STRANGERS",
    "PROBES_PER_SECOND",
    "SEARCHES",
    "SEARCH_RATE",
    "RandomPunchLimit",
]

MAX_ADDRESSES = 4
"""Addresses of a peer that are probed or pinged. A NAT verdict takes four samples, so it never names more."""
MAX_RELAYS = 24
"""Relays tried in one dial: those of one search (20) and what the caller or the cache knew."""

MAX_HALF_OPEN = 256
"""Handshakes of one listener that are not decided: each holds a stream and a socket, for 45 s at most, mostly for less
than one."""
MAX_REMEMBERED = 1024
"""Those and the decided ones, of which the reply is kept for 10 s. About 3 KB each."""
MAX_STRANGERS = 512
"""Of those, the ones not carried by one of the listener's own relays: strangers alone cannot shut the relays out."""
MAX_PER_HOST = 64
"""Of those, the ones of one public client host: many peers share the address of a carrier's or an office's NAT."""
MAX_QUESTIONS = 64
"""Handshakes that wait for the application's yes or no."""
MAX_RESPONSES = 8
"""Copies of one handshake message (three relays, retries) that wait for its reply; the rest come again."""
MAX_MESSAGES = 64
"""Hole-punch messages answered for one handshake. A punch takes two, each perhaps repeated three times; one that is put
off repeats its last."""
MAX_ECHOES = 2048
"""Probes that a puncher answers: more than any peer sends. Two sides that both answer would go on for ever."""
MAX_PENDING_ANSWERS = 8
"""Hole-punch messages of one handshake that wait, at the same time, for this side's NAT verdict."""

PROBES_PER_SECOND = 500
"""One-byte probes that this node sends to random ports, over all its punches. 14 KB/s with headers, and 500 new entries
per second in the own router's table."""
SEARCH_RATE = 250
"""Of those, one punch's share at most. With 256 ports open among 64 536, the median time to the first hit is 0.7 s.
(Node sends 50: 3.5 s.)"""
SEARCHES = 16
"""Punches at a time in which this node searches the ports of a random NAT."""
BIRTHDAY_PUNCHES = 1
"""Punches at a time in which this node sits behind a random NAT: each holds 256 sockets, and as many entries in the
own router's table. (Node: 1, whichever side is random, and none for 20 s after the last.)"""


class RandomPunchLimit:
    """The punches under way in which a random NAT takes part; one object for all dials and listeners of a node."""

    __slots__ = ("_birthdays", "_searches")

    def __init__(self) -> None:
        self._birthdays = 0
        self._searches = 0

    def admits(self, birthday: bool) -> bool:
        """Whether one more may begin. ``birthday``: this side is the random one."""
        return self._birthdays < BIRTHDAY_PUNCHES if birthday else self._searches < SEARCHES

    def begin(self, birthday: bool) -> None:
        if birthday:
            self._birthdays += 1
        else:
            self._searches += 1

    def end(self, birthday: bool) -> None:
        if birthday:
            self._birthdays -= 1
        else:
            self._searches -= 1

    @property
    def search_rate(self) -> float:
        """Probes per second that each of the searches under way may send."""
        return min(SEARCH_RATE, PROBES_PER_SECOND / max(1, self._searches))

    @property
    def active(self) -> int:
        return self._birthdays + self._searches
