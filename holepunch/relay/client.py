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
    """Requests over one mux."""

    __slots__ = ("_channel", "_requests")

    def __init__(self, mux: Protomux, public_key: bytes, on_closed: Callable[[], None]) -> None:
        """``public_key``: the own one on this connection. ``on_closed``: the relay ended the channel, or has none of
        the kind, or the stream is over: no request will be answered."""
        self._requests: dict[tuple[bytes, bool], Callable[[int], None]] = {}
        channel = mux.create(PROTOCOL, public_key, receivers=[self._on_pair, _ignore], on_close=lambda _: on_closed())
        if channel is None:
            raise ValueError("one relay client is enough for one stream")
        self._channel = channel
        channel.open()

    def pair(self, is_initiator: bool, token: bytes, stream_id: int, on_paired: Callable[[int], None]) -> None:
        """Ask for the peer that knows this token and has the other role.

        ``on_paired`` is told the relay's stream for this side. Raises ``ValueError`` for what waits already.
        """
        if (token, is_initiator) in self._requests:
            raise ValueError("this token waits for its peer already")
        self._requests[token, is_initiator] = on_paired
        self._channel.send(PAIR, Pair(is_initiator, token, stream_id).encode())

    def unpair(self, token: bytes, is_initiator: bool) -> None:
        """Withdraw a request, or end what it led to, for both peers."""
        self._requests.pop((token, is_initiator), None)
        self._channel.send(UNPAIR, Unpair(token).encode())

    def close(self) -> None:
        """End the channel; what it paired is over with it."""
        self._channel.close()

    def _on_pair(self, body: bytes) -> None:
        answer = Pair.decode(body)
        on_paired = self._requests.pop((answer.token, answer.is_initiator), None)
        if on_paired is not None:
            on_paired(answer.id)


def _ignore(_: bytes) -> None:
    """A relay has no reason to send this type."""
