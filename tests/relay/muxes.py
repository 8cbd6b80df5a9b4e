"""Two muxes that talk to each other, and what was recorded of two of Node's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from holepunch.compact import Writer
from holepunch.relay.protomux import Channel, Notice, Protomux
from tests.recorded import cases

if TYPE_CHECKING:
    from collections.abc import Callable

FILE = "protomux.json"
CASES = {case["name"]: case for case in cases(FILE)}


class Side:
    """One mux that writes down what it sends and what it is told."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.mux = Protomux()
        self.sent: list[str] = []
        self.told: list[Any] = []

    def channel(
        self, protocol: str, id: bytes = b"", types: int = 2, label: str = "", **options: Any
    ) -> Channel | None:
        label = label or self.name

        def receiver(type: int) -> Callable[[bytes], None]:
            return lambda body: self.told.append((label, type, body))

        return self.mux.create(
            protocol,
            id,
            receivers=[receiver(type) for type in range(types)],
            on_open=lambda handshake: self.told.append((label, "open", handshake)),
            on_close=lambda remote: self.told.append((label, "close", remote)),
            **options,
        )

    def open(self, protocol: str, id: bytes = b"", handshake: bytes = b"", **options: Any) -> Channel:
        channel = self.channel(protocol, id, **options)
        assert channel is not None
        channel.open(handshake)
        return channel


class Two:
    def __init__(self) -> None:
        self.a = Side("A")
        self.b = Side("B")

    def carry(self) -> None:
        """Until neither has anything to say."""
        while self.a.mux.outgoing or self.b.mux.outgoing:
            for side, other in ((self.a, self.b), (self.b, self.a)):
                sent = side.mux.outgoing[:]
                side.mux.outgoing.clear()
                side.sent += [frame.hex() for frame in sent]
                for frame in sent:
                    other.mux.receive(frame)

    def check(self, name: str) -> None:
        """What both have sent is what two Node instances sent."""
        self.carry()
        recorded = CASES[name]["frames"]
        for side in (self.a, self.b):
            assert side.sent == [frame["hex"] for frame in recorded if frame["from"] == side.name]


def string(text: str) -> bytes:
    return Writer().string(text).to_bytes()


def opened(two: Two, *protocols: str) -> list[Channel]:
    """Channels of A that B has opened, too; the frames of that are not looked at."""
    channels = [two.a.open(protocol) for protocol in protocols]
    for protocol in protocols:
        two.b.open(protocol, label=protocol)
    two.carry()
    for side in (two.a, two.b):
        side.sent.clear()
        side.told.clear()
    return channels


def held(side: Side, protocol: str) -> list[Notice]:
    """Handlers that do not decide before they are told to."""
    notices: list[Notice] = []

    def on_notice(notice: Notice) -> None:
        notice.hold()
        notices.append(notice)

    side.mux.pair(protocol, on_notice)
    return notices
