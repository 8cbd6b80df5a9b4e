"""Which of two connections to one peer stays. Both ends come to the same answer without a word between them.

Node: hyperswarm index.js, `_handleServerConnection`.
"""

from __future__ import annotations

__all__ = ["keeps_new"]


def keeps_new(own_key: bytes, remote_key: bytes, read: int, written: int) -> bool:
    """Whether a connection that the peer began replaces the one there is, over which so many message bytes went.

    Messages both ways on the old one: the peer would not dial again if it still had it. Otherwise both may have dialled
    at one time, and the connection begun by the bigger key stays.
    """
    return (read > 0 and written > 0) or remote_key > own_key
