"""What a peer asks of a blind relay: to be paired under tokens, over one channel (blind-relay.md section 4). Pure.

It knows no addresses and opens no connection. Node: blind-relay index.js (BlindRelayClient).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from holepunch.relay.messages import PAIR, PROTOCOL, UNPAIR, Pair, Unpair

if TYPE_CHECKING:
    from collections.abc import Callable

    from holepunch.relay.protomux import Protomux

__all__ = ["RelayClient"]


class RelayClient:
    """Requests over one mux. Each ends with one call of its ``on_paired``, unless it is withdrawn first."""

    __slots__ = ("_channel", "_requests")

    def __init__(self, mux: Protomux, public_key: bytes) -> None:
        """``public_key``: the own one on this connection."""
        self._requests: dict[bytes, tuple[bool, Callable[[int | None], None]]] = {}
        self._channel = mux.create(PROTOCOL, public_key, receivers=[self._on_pair, None], on_close=self._on_close)
        if self._channel is not None:
            self._channel.open()

    @property
    def closed(self) -> bool:
        """The relay ended the channel, or never had one."""
        return self._channel is None or self._channel.closed

    def pair(self, is_initiator: bool, token: bytes, stream_id: int, on_paired: Callable[[int | None], None]) -> None:
        """Ask for the peer that knows this token and has the other role.

        ``on_paired`` is told the relay's stream for this side; None: the relay will not. Raises ``ValueError`` for a
        token that waits already.
        """
        if token in self._requests:
            raise ValueError("this token waits for its peer already")
        if self._channel is None or self._channel.closed:
            on_paired(None)
            return
        self._requests[token] = (is_initiator, on_paired)
        self._channel.send(PAIR, Pair(is_initiator, token, stream_id).encode())

    def unpair(self, token: bytes) -> None:
        """Withdraw a request, or end what it led to, for both peers."""
        self._requests.pop(token, None)
        if self._channel is not None:
            self._channel.send(UNPAIR, Unpair(token).encode())

    def close(self) -> None:
        if self._channel is not None:
            self._channel.close()

    def _on_pair(self, body: bytes) -> None:
        answer = Pair.decode(body)
        is_initiator, on_paired = self._requests.get(answer.token, (not answer.is_initiator, None))
        if is_initiator == answer.is_initiator and on_paired is not None:
            del self._requests[answer.token]
            on_paired(answer.id)

    def _on_close(self, _: bool) -> None:
        requests, self._requests = self._requests, {}
        for _, on_paired in requests.values():
            on_paired(None)
