"""Answers to the internal commands: PING, PING_NAT, FIND_NODE, DOWN_HINT and DELAYED_PING.

Protocol: dht-rpc section 3. Malformed ones are met with silence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from holepunch.address import Address
from swarm.kademlia.ids import node_id
from swarm.kademlia.packets import (
    DELAYED_PING,
    DOWN_HINT,
    FIND_NODE,
    PING,
    PING_NAT,
    UNKNOWN_COMMAND,
    decode_address,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from holepunch.core import Schedule
    from swarm.kademlia.rpc import Request

__all__ = ["MAX_DELAY", "InternalCommands"]

MAX_DELAY = 10_000
"""Milliseconds that a DELAYED_PING may ask for."""
MAX_DELAYED = 256
"""Delayed answers owed at a time: each keeps its request in memory for up to `MAX_DELAY`."""


class InternalCommands:
    __slots__ = ("_delayed", "_doubt", "_handlers", "_schedule")

    def __init__(self, schedule: Schedule, doubt: Callable[[bytes], None]) -> None:
        """``doubt`` is told the ids of nodes that others say are down."""
        self._schedule = schedule
        self._doubt = doubt
        self._delayed = 0
        self._handlers = {
            PING: _answer,
            PING_NAT: _answer_other_port,
            FIND_NODE: _answer_closer,
            DOWN_HINT: self._on_down_hint,
            DELAYED_PING: self._on_delayed_ping,
        }

    def answer(self, request: Request) -> None:
        handler = self._handlers.get(request.command)
        if handler is None:
            request.reply(error=UNKNOWN_COMMAND)
        else:
            handler(request)

    def _on_down_hint(self, request: Request) -> None:
        value = request.value
        if value is not None and len(value) >= 6:
            self._doubt(node_id(decode_address(value)))
            _answer(request)

    def _on_delayed_ping(self, request: Request) -> None:
        value = request.value
        if value is None or len(value) < 4 or self._delayed >= MAX_DELAYED:
            return
        delay = int.from_bytes(value[:4], "little")
        if delay > MAX_DELAY:
            return

        def answer() -> None:
            self._delayed -= 1
            _answer(request)

        self._delayed += 1
        self._schedule.after(delay / 1000, answer)


def _answer(request: Request) -> None:
    request.reply(token=False, closer=False)


def _answer_closer(request: Request) -> None:
    if request.target is not None:
        request.reply(token=False)


def _answer_other_port(request: Request) -> None:
    """To the same host's other socket: arriving there, unasked, shows that strangers reach it."""
    value = request.value
    if value is None or len(value) < 2:
        return
    port = int.from_bytes(value[:2], "little")
    if port:
        request.reply(token=False, closer=False, to=Address(request.from_.host, port))
