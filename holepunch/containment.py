"""Where a bug ends: at the one stream, or the one datagram, that met it. Handles nothing itself.

A core never raises on what peers send. Should one do so all the same, whoever sent that must not be able to end every
other connection of the process: the driver calls cores through here.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

__all__ = ["Containment"]

logger = logging.getLogger(__name__)

MAX_PLACES: Final = 64
"""Places in the code whose bugs are logged. Who can cause a bug once can do so a thousand times a second."""


class Containment:
    """The bugs of one endpoint. Each is counted, and logged with its traceback when it is the first of its place."""

    def __init__(self) -> None:
        self.bugs = 0
        """How many there were."""
        self._places: set[tuple[type[Exception], str, int]] = set()

    def attempt(self, action: Callable[..., object], *arguments: Any) -> Exception | None:
        """Call ``action``; what it raises is a bug, and returned. None: all is well."""
        try:
            action(*arguments)
        except Exception as bug:  # whatever it is: nobody expects it
            self.note(bug)
            return bug
        return None

    def note(self, bug: Exception) -> None:
        """Count a bug that was caught, and log the first of its place."""
        self.bugs += 1
        place = (type(bug), *_innermost(bug.__traceback__))
        if place not in self._places and len(self._places) < MAX_PLACES:
            self._places.add(place)
            logger.error("a bug of this library; please report it with this traceback", exc_info=bug)


def _innermost(trace: TracebackType | None) -> tuple[str, int]:
    place = ("", 0)
    while trace is not None:
        place = (trace.tb_frame.f_code.co_filename, trace.tb_lineno)
        trace = trace.tb_next
    return place
