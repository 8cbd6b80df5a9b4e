"""A run on the virtual internet is the same each time, to the byte: what fails once can be looked at again."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from holepunch.testing import Packet
from tests.sim.scene import scene
from tests.tools import virtual_time

if TYPE_CHECKING:
    import pytest

    from holepunch.address import Address


def digest_of_a_run(monkeypatch: pytest.MonkeyPatch) -> str:
    """Of every packet that leaves anybody while two swarms meet, talk, and part."""
    digest = hashlib.sha256()

    make = Packet.__init__

    def traced(packet: Packet, data: bytes, segment: int, source: Address, to: Address, *rest: Any) -> None:
        digest.update(f"{source} {to} {segment} ".encode() + bytes(data))
        make(packet, data, segment, source, to, *rest)

    async def meet() -> None:
        async with scene("home", "symmetric", 1, loss=0.03, relay="prefer-direct") as made:
            await made.decided()
            await made.echo_of_now()

    with monkeypatch.context() as patch:
        patch.setattr(Packet, "__init__", traced)
        virtual_time(meet)
    return digest.hexdigest()


def test_every_packet_of_a_second_run_is_that_of_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    assert digest_of_a_run(monkeypatch) == digest_of_a_run(monkeypatch)
