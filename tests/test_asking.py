"""What `DHT` asks of other nodes, as applications call it: announcements and values, and what is said when it fails."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
import trio

from holepunch.keys import hash32
from holepunch.testing import VirtualNetwork
from swarm import DHT, KeyPair, StorageError, Topic
from swarm.hyperdht.signatures import refresh_chain
from swarm.testing import Testnet

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from swarm.hyperdht.messages import MutableValue

pytestmark = pytest.mark.virtual_time

ROOM = Topic.from_name("room")
ALICE = KeyPair.from_seed(bytes(32))
MINUTE = 60.0


@pytest.fixture
async def network() -> AsyncIterator[VirtualNetwork]:
    async with VirtualNetwork() as network:
        yield network


@pytest.fixture
async def net(network: VirtualNetwork) -> AsyncIterator[Testnet]:
    async with Testnet(3, internet=network) as net:
        yield net


@pytest.fixture
async def dht(network: VirtualNetwork, net: Testnet) -> AsyncIterator[DHT]:
    async with DHT(bootstrap=net.bootstrap, network=network.host()) as dht:
        await dht.bootstrapped()
        yield dht


async def announced(dht: DHT) -> set[bytes]:
    return {peer.public_key async for reply in dht.lookup(ROOM) for peer in reply.peers}


async def test_search_after_a_rest_waits_its_time_for_the_answers(dht: DHT) -> None:
    for pause in range(30):
        await trio.sleep(1 + pause / 7)  # however long ago a datagram or a timer last told the cores the time
        before = dht.stats()
        assert [reply async for reply in dht.find_node(ROOM)]
        after = dht.stats()
        assert (after.timeouts_total, dht.node.node.rpc.retries) == (before.timeouts_total, 0)


async def test_bump_is_told_to_who_looks_up(dht: DHT) -> None:
    bump = int(time.time() * 1000)
    await dht.announce(ROOM, ALICE, bump=bump)
    assert {reply.bump async for reply in dht.lookup(ROOM)} == {bump}


async def test_announcement_is_renewed_by_who_has_the_chain(dht: DHT) -> None:
    chain = refresh_chain(bytes(32), 3)
    await dht.announce(ROOM, ALICE, refresh=chain[0])
    for element in chain[1:]:
        await trio.sleep(13 * MINUTE)
        assert (await dht.renew(ROOM, element)).nodes
    await trio.sleep(13 * MINUTE)
    assert await announced(dht) == {ALICE.public_key}
    await trio.sleep(60 * MINUTE)
    assert await announced(dht) == set()


async def test_element_that_belongs_to_no_chain_renews_nothing_and_is_named(dht: DHT) -> None:
    chain = refresh_chain(bytes(32), 3)
    await dht.announce(ROOM, ALICE, refresh=chain[0])
    with pytest.raises(StorageError, match=chain[2].hex()):
        await dht.renew(ROOM, chain[2])


async def test_value_that_is_found_may_be_stored_anew(net: Testnet, dht: DHT) -> None:
    target = hash32(ALICE.public_key)
    asked: list[MutableValue] = []

    def holding() -> int:
        return sum(node.node.storage.get_mutable(target, 0) is not None for node in net.nodes)

    def refresh(value: MutableValue) -> bool:
        asked.append(value)
        return True

    await dht.mutable_put(ALICE, b"value", seq=7)
    for node in net.nodes[1:]:
        node.node.storage._mutable.discard(target)
    assert holding() == 1
    found = await dht.mutable_get(ALICE.public_key, refresh=refresh)
    assert asked == [found]
    assert holding() == 3


@pytest.mark.parametrize(("seq", "value"), [(5, b"another"), (4, b"older")])
async def test_refused_version_is_named_with_its_key_and_number(dht: DHT, seq: int, value: bytes) -> None:
    await dht.mutable_put(ALICE, b"value", seq=5)
    with pytest.raises(StorageError) as caught:
        await dht.mutable_put(ALICE, value, seq=seq)
    assert str(ALICE.public_key) in str(caught.value)
    assert f"number {seq}" in str(caught.value) or f"than {seq} " in str(caught.value)


async def test_what_no_node_stores_is_named() -> None:
    async with VirtualNetwork() as network, DHT(bootstrap=[], network=network.host()) as alone:
        for attempt, named in (
            (alone.immutable_put(b"value"), hash32(b"value").hex()),
            (alone.mutable_put(ALICE, b"value", seq=3), "number 3"),
            (alone.announce(ROOM, ALICE), str(ALICE.public_key)),
        ):
            with pytest.raises(StorageError, match=named):
                await attempt


async def test_misuse_is_told_and_nothing_is_sent(dht: DHT) -> None:
    for attempt in (
        dht.announce(ROOM, ALICE, bump=-1),
        dht.announce(ROOM, ALICE, refresh=b"short"),
        dht.announce(b"short", ALICE),
        dht.renew(ROOM, b"short"),
        dht.renew(b"short", bytes(32)),
    ):
        with pytest.raises(ValueError, match=r"got"):
            await attempt
