"""How a command ended: the exit codes that scripts may rely on (docs/cli.md), and which error means which."""

from __future__ import annotations

from enum import IntEnum

import trio

from holepunch.errors import ConnectError, Reason, SwarmError
from swarm.errors import BootstrapError

__all__ = ["Exit", "exit_of", "text_of"]


class Exit(IntEnum):
    OK = 0
    FAILED = 1
    USAGE = 2
    NO_PEER = 3
    """No peer was found in time."""
    NO_CONNECTION = 4
    """A peer, or the DHT, could not be connected to."""
    REFUSED = 5
    INTERRUPTED = 130


_REASONS = {Reason.PEER_NOT_FOUND: Exit.NO_PEER, Reason.REFUSED: Exit.REFUSED}


def exit_of(error: BaseException) -> Exit | None:
    """The exit code for an error that a user can meet; None for one that is a fault of this program."""
    match error:
        case ConnectError(reason=reason):
            return _REASONS.get(reason, Exit.NO_CONNECTION)
        case BootstrapError():
            return Exit.NO_CONNECTION
        case SwarmError() | OSError() | trio.BrokenResourceError():
            return Exit.FAILED
    return None


def text_of(error: BaseException) -> str:
    """What to tell about such an error, in one line."""
    if isinstance(error, trio.BrokenResourceError):
        return f"the connection broke: {error}" if str(error) else "the connection broke"
    return str(error)
