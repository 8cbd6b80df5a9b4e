"""What is left in the log: one attempt id on every line of a dial, names that can be searched for, and why not."""

from __future__ import annotations

import contextlib
import logging
import re
from typing import TYPE_CHECKING, Any

import pytest

from holepunch.testing import VirtualNetwork
from swarm import DHT, ConnectError, KeyPair, Swarm, Topic
from swarm.testing import Testnet

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

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


async def test_what_is_tried_shows_at_the_level_of_a_single_v(
    pair: tuple[DHT, DHT], caplog: pytest.LogCaptureFixture
) -> None:
    server, client = pair
    listener = await server.listen()
    with caplog.at_level(logging.INFO, "swarm"):
        await client.connect(listener.public_key)
        with pytest.raises(ConnectError):
            await client.connect(KeyPair.generate().public_key)
    assert [name for name, _ in lines_of_dials(caplog)] == [
        "dial.started",
        "dial.complete",
        "dial.started",
        "dial.failed",
    ]


def lines(caplog: pytest.LogCaptureFixture, name: str) -> list[str]:
    return [message for message in caplog.messages if message.startswith(name)]


async def test_accepting_is_one_attempt_from_question_to_connection(
    pair: tuple[DHT, DHT], caplog: pytest.LogCaptureFixture
) -> None:
    server, client = pair
    listener = await server.listen(allow=lambda key: True)
    with caplog.at_level(logging.DEBUG, "swarm"):
        await client.connect(listener.public_key)
        await anext(listener)
    found = [re.match(r"accept\.(\w+) attempt=(\w{8}) key=(\w{8})", line) for line in lines(caplog, "accept.")]
    steps, attempts, keys = zip(*[match.groups() for match in found if match is not None], strict=True)
    assert steps == ("asked", "started", "complete")
    assert len(found) == 3
    assert len(set(attempts)) == 1
    assert set(keys) == {client.default_key_pair.public_key.short}


@pytest.fixture
async def swarm_of() -> AsyncIterator[Callable[..., Swarm]]:
    async with VirtualNetwork() as network, Testnet(3, internet=network) as net:
        yield lambda **options: Swarm(bootstrap=net.bootstrap, network=network.host(), **options)


async def test_joined_topic_is_logged_as_the_network_knows_it(
    swarm_of: Callable[..., Swarm], caplog: pytest.LogCaptureFixture
) -> None:
    topic = Topic.from_name("room")
    with caplog.at_level(logging.INFO, "swarm"):
        async with swarm_of() as open_to_all, swarm_of(secret=b"ours") as closed:
            open_to_all.join("room", server=False)
            closed.join("room")
    assert lines(caplog, "join")[0] == f"join topic={topic.hex()} server=False client=True"
    assert topic.hex() not in lines(caplog, "join")[1]


@pytest.mark.parametrize(
    ("options", "because"),
    [
        ({"allow": lambda key: False}, "not allowed"),
        ({"max_server_connections": 1}, "max_server_connections"),
        ({"max_peers": 1}, "max_peers"),
    ],
)
async def test_refusal_is_logged_with_its_reason(
    swarm_of: Callable[..., Swarm], caplog: pytest.LogCaptureFixture, options: dict[str, Any], because: str
) -> None:
    async with swarm_of(**options) as server, swarm_of() as first, swarm_of() as second:
        await server.listen()
        with caplog.at_level(logging.INFO, "swarm"):
            for client in (first, second):
                with contextlib.suppress(ConnectError):
                    await client.connect(server.public_key)
    assert f"refused key={second.public_key.short} because={because!r}" in caplog.messages


async def test_ban_is_logged(swarm_of: Callable[..., Swarm], caplog: pytest.LogCaptureFixture) -> None:
    async with swarm_of(secret=b"ours") as server, swarm_of() as outsider:
        await server.listen()
        with caplog.at_level(logging.INFO, "swarm"), pytest.raises(ConnectError):
            await outsider.connect(server.public_key)
    (line,) = lines(caplog, "event PeerBanned")
    assert outsider.public_key.hex() in line


async def test_node_counts_itself(pair: tuple[DHT, DHT]) -> None:
    await pair[1].bootstrapped()
    stats = pair[1].stats()
    assert stats.nodes > 0
    assert stats.responses_total > 0
    assert stats.bugs_total == 0
    assert stats.to_dict()["online"] is True
