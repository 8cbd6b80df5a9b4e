"""Several requests to several nodes, and one call when all of them have ended. Knows no command."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from holepunch.address import Address
    from holepunch.signaller import Cancel
    from swarm.kademlia.node import Node
    from swarm.kademlia.rpc import OnReply, Reply

__all__ = ["Batch"]


class Batch:
    """``on_end`` is called once, after `seal`, when no request is under way: never before `seal` has returned."""

    __slots__ = ("_cancels", "_node", "_on_end", "_sealed")

    def __init__(self, node: Node, on_end: Callable[[], None]) -> None:
        self._node = node
        self._on_end = on_end
        self._cancels: set[Cancel] = set()
        self._sealed = False

    def send(
        self,
        to: Address,
        command: int,
        on_reply: OnReply,
        *,
        target: bytes,
        value: bytes | None = None,
        token: bytes | None = None,
    ) -> None:
        """One request. ``on_reply`` may send more."""
        self._add(
            lambda ended: self._node.request(to, command, ended, target=target, value=value, token=token), on_reply
        )

    def ping(self, to: Address, on_reply: OnReply) -> None:
        self._add(lambda ended: self._node.ping(to, ended), on_reply)

    def _add(self, send: Callable[[OnReply], Cancel], on_reply: OnReply) -> None:
        def ended(reply: Reply | None) -> None:
            self._cancels.discard(cancel)
            on_reply(reply)
            if self._sealed and not self._cancels:
                self._finish()

        cancel = send(ended)
        self._cancels.add(cancel)

    def seal(self) -> None:
        """Nothing is sent any more, but by what is called for an answer."""
        self._sealed = True
        if not self._cancels:
            # an empty batch ends as any other does: later
            self._cancels.add(self._node.schedule.after(0, self._finish).cancel)

    def cancel(self) -> None:
        """Nothing is called any more."""
        for cancel in self._cancels:
            cancel()
        self._cancels.clear()
        self._sealed = False

    def _finish(self) -> None:
        self._cancels.clear()
        self._sealed = False
        self._on_end()
