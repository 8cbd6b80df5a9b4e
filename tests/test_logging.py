"""What a dial leaves in the log: one attempt id on every line of it, names that can be searched for."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

import pytest

from holepunch.testing import VirtualNetwork
from swarm import DHT, ConnectError, KeyPair
from swarm.testing import Testnet

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.virtual_time


@pytest.fixture
async def pair() -> AsyncIterator[tuple[DHT, DHT]]:
    async with VirtualNetwork() as network:
        host = network.host("192.88.99.1")
        async with (
            Testnet(3, host="192.88.99.1", network=host) as net,
            DHT(bootstrap=net.bootstrap, network=network.host()) as server,
            DHT(bootstrap=net.bootstrap, network=network.host()) as client,
        ):
            yield server, client


def lines_of_dials(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    found = []
    for record in caplog.records:
        match = re.match(r"(dial\.\w+) attempt=(\w+) ", record.getMessage())
        if record.name == "swarm.dht.dialling" and match is not None:
            found.append((match[1], match[2]))
    return found


async def test_dial_that_ends_well(pair: tuple[DHT, DHT], caplog: pytest.LogCaptureFixture) -> None:
    server, client = pair
    listener = await server.listen()
    with caplog.at_level(logging.DEBUG, "swarm"):
        await client.connect(listener.public_key)
    names, ids = zip(*lines_of_dials(caplog), strict=True)
    assert (names[0], names[-1], {*names[1:-1]}) == ("dial.started", "dial.complete", {"dial.stage"})
    assert len(set(ids)) == 1


async def test_dial_that_fails_has_the_id_of_its_error(pair: tuple[DHT, DHT], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "swarm"), pytest.raises(ConnectError) as caught:
        await pair[1].connect(KeyPair.generate().public_key)
    names, ids = zip(*lines_of_dials(caplog), strict=True)
    assert (names[0], names[-1]) == ("dial.started", "dial.failed")
    assert set(ids) == {caught.value.attempt.id}
    assert "reason=PEER_NOT_FOUND" in caplog.messages[-1] or "reason=PEER_NOT_FOUND" in caplog.text


async def test_node_counts_itself(pair: tuple[DHT, DHT]) -> None:
    await pair[1].bootstrapped()
    stats = pair[1].stats()
    assert stats.nodes > 0
    assert stats.responses_total > 0
    assert stats.bugs_total == 0
    assert stats.to_dict()["online"] is True
