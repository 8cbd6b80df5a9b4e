"""STUN servers asked by a node: what they say is heard, and nothing they do harms."""

from __future__ import annotations

import sys
import traceback
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from holepunch.address import Address
from holepunch.core import CLIENT
from holepunch.nat.stun import MAX_SERVERS, MAX_THREADS, StunServer
from holepunch.udp.system import SystemNetwork
from swarm import DHT, Swarm
from tests.nat_stun.servers import honest, mapped, response, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

NETWORK = SystemNetwork()
LIE = Address("9.9.9.9", 999)


def threads_in_pystun() -> int:
    stacks = map(traceback.extract_stack, sys._current_frames().values())
    return sum(any(call.name == "stun_test" for call in stack) for stack in stacks)


async def judge(dht: DHT, *servers: str) -> None:
    """Have them all speak."""
    async with trio.open_nursery() as nursery:
        for server in servers:
            nursery.start_soon(dht.ask_stun, server)


def node(*servers: str) -> DHT:
    return DHT(bootstrap=(), host="127.0.0.1", stun_servers=servers)


# -- configuration


@pytest.mark.parametrize(
    "text", ["", "stun.example.org", "stun.example.org:", ":3478", "1.2.3:3478", "a b:1", "x:0", "x:65536", "a@b:1"]
)
@pytest.mark.parametrize("make", [DHT, Swarm])
def test_a_malformed_server_is_shown_with_a_right_one(make: Callable[..., object], text: str) -> None:
    with pytest.raises(ValueError, match=r"stun\.example\.org:3478") as caught:
        make(stun_servers=[text])
    assert repr(text) in str(caught.value)


def test_one_string_is_no_list_of_servers() -> None:
    with pytest.raises(TypeError, match=r"\['stun.example.org:3478'\]"):
        DHT(stun_servers="stun.example.org:3478")


def test_servers_are_bounded() -> None:
    with pytest.raises(ValueError, match=f"at most {MAX_SERVERS}"):
        DHT(stun_servers=[f"stun.example.org:{port}" for port in range(1, MAX_SERVERS + 2)])


def test_a_server_is_written_as_it_is_read() -> None:
    assert str(StunServer.parse(" stun.example.org:3478 ")) == "stun.example.org:3478"


# -- what they say


async def test_three_servers_make_a_verdict_without_any_node() -> None:
    async with serving(NETWORK) as a, serving(NETWORK) as b, serving(NETWORK) as c, node(a, b, c) as dht:
        assert dht.nat.kind == "unknown"
        assert not dht.nat.public_addresses
        await judge(dht, a, b, c)
        nat = dht.nat
        own = dht._endpoint.sockets.local_address(CLIENT)
        assert nat.kind == "consistent"
        assert nat.public_addresses == (own,)
        assert {(w.name, w.address) for w in nat.witnesses} == {(a, own), (b, own), (c, own)}
        assert nat.firewalled
        assert nat.local_addresses == (dht.local_address,)
        assert {"kind": "stun", "name": a, "address": str(own)} in nat.to_dict()["witnesses"]


async def test_a_server_is_asked_by_name() -> None:
    async with serving(NETWORK) as server, node() as dht:
        by_name = server.replace("127.0.0.1", "localhost")
        assert await dht.ask_stun(by_name) == dht._endpoint.sockets.local_address(CLIENT)
        assert [w.name for w in dht.nat.witnesses] == [by_name]


async def test_name_of_a_server_that_answers_is_not_looked_up_for_every_socket() -> None:
    async with serving(NETWORK) as server:
        by_name = server.replace("127.0.0.1", "localhost")
        async with node(by_name) as dht:
            assert await dht.ask_stun(by_name) is not None
            network = dht._endpoint.network
            looked_up = 0
            resolve = network.resolve

            async def count(host: str) -> list[str]:
                nonlocal looked_up
                looked_up += 1
                return await resolve(host)

            network.resolve = count  # type: ignore[method-assign]
            for _ in range(3):
                assert await dht.ask_stun(by_name) is not None
            assert looked_up == 0


async def test_one_server_asked_twice_at_once_answers_both() -> None:
    async with serving(NETWORK) as server, node(server) as dht, trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(dht.ask_stun, server)


async def test_a_lost_answer_is_asked_for_again() -> None:
    heard = 0

    def second_time(request: bytes, source: Address) -> Iterable[bytes]:
        nonlocal heard
        heard += 1
        return honest(request, source) if heard == 2 else []

    async with serving(NETWORK, second_time) as server, node() as dht:
        assert await dht.ask_stun(server) is not None
    assert heard == 2


async def test_a_server_that_falls_silent_is_no_witness_any_more() -> None:
    answers = [honest]

    def until_cleared(request: bytes, source: Address) -> list[bytes]:
        return [data for answer in answers for data in answer(request, source)]

    async with serving(NETWORK, until_cleared) as server, node() as dht:
        await dht.ask_stun(server)
        assert len(dht.nat.witnesses) == 1
        answers.clear()
        assert await dht.ask_stun(server) is None
        assert not dht.nat.witnesses


# -- what they should not do


HOSTILE: dict[str, Callable[[bytes, Address], Iterable[bytes]]] = {
    "says nothing": lambda request, source: [],
    "echoes": lambda request, source: [request],
    "answers somebody else": lambda request, source: [response(bytes(20), mapped(LIE))],
    "refuses": lambda request, source: [response(request, mapped(LIE), kind=0x0111)],
    "breaks off": lambda request, source: [response(request, mapped(source))[:-3]],
    "promises more": lambda request, source: [response(request, mapped(source), length=2000)],
    "sees nobody": lambda request, source: [response(request, mapped(Address("0.0.0.0", 0)))],
    "sees no port": lambda request, source: [response(request, mapped(Address("9.9.9.9", 0)))],
    "sees a multicast group": lambda request, source: [response(request, mapped(Address("224.0.0.1", 5)))],
    "floods": lambda request, source: [b"\x01\x01" + bytes(60)] * 50,
    "looks like a node": lambda request, source: [b"\x13\x04" + request, b"\x03\x00" + request],
    "looks like a peer": lambda request, source: [b"\x00", b"\xff\x01" + bytes(30)],
}


async def test_hostile_servers_are_no_witnesses() -> None:
    async with node() as dht:

        async def ask(name: str) -> None:
            async with serving(NETWORK, HOSTILE[name]) as server:
                assert await dht.ask_stun(server) is None, name

        async with trio.open_nursery() as nursery:
            for name in HOSTILE:
                nursery.start_soon(ask, name)
            nursery.start_soon(_ask_nobody, dht)
        nat = dht.nat
        assert (nat.kind, nat.firewalled, nat.witnesses) == ("unknown", True, ())
    assert not threads_in_pystun()


async def _ask_nobody(dht: DHT) -> None:
    assert await dht.ask_stun("no-such-host.invalid:3478") is None
    assert await dht.ask_stun("127.0.0.1:9") is None


async def test_an_answer_from_another_address_is_not_heard() -> None:
    elsewhere = NETWORK.bind("127.0.0.1", 0)

    def reroute(request: bytes, source: Address) -> list[bytes]:
        elsewhere.send((response(request, mapped(LIE)),), source)
        return []

    try:
        async with serving(NETWORK, reroute) as server, node() as dht:
            assert await dht.ask_stun(server) is None
    finally:
        elsewhere.close()


async def test_no_lie_makes_a_node_open_and_a_minority_changes_no_verdict() -> None:
    def lie(request: bytes, source: Address) -> list[bytes]:
        return [response(request, mapped(LIE))]

    async with (
        serving(NETWORK) as a,
        serving(NETWORK) as b,
        serving(NETWORK) as c,
        serving(NETWORK, lie) as liar,
        node(liar, a, b, c) as dht,
    ):
        await judge(dht, liar, a, b, c)
        assert dht.nat.kind == "consistent"
        assert dht.nat.public_addresses[0] == dht._endpoint.sockets.local_address(CLIENT)
    async with serving(NETWORK, lie) as a, serving(NETWORK, lie) as b, serving(NETWORK, lie) as c, node(a, b, c) as dht:
        await judge(dht, a, b, c)
        assert dht.nat.kind == "consistent"  # what else could it know
        assert dht.nat.firewalled


# -- threads


class Silent:
    """Tells when it was asked: by then there is a thread that waits for the answer."""

    def __init__(self) -> None:
        self.asked = trio.Event()

    def __call__(self, request: bytes, source: Address) -> list[bytes]:
        self.asked.set()
        return []


async def test_leaving_the_block_ends_every_thread() -> None:
    silent = Silent()
    async with serving(NETWORK, silent) as server, node(server):
        await silent.asked.wait()
        assert threads_in_pystun() == 1
    assert not threads_in_pystun()


async def test_cancelling_ends_the_thread() -> None:
    silent = Silent()
    async with serving(NETWORK, silent) as server, node() as dht:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(dht.ask_stun, server)
            await silent.asked.wait()
            nursery.cancel_scope.cancel()
        assert not threads_in_pystun()


async def test_many_questions_at_once_are_a_bounded_number_of_threads() -> None:
    most = 0
    done = trio.Event()

    def count(request: bytes, source: Address) -> list[bytes]:
        nonlocal most
        most = max(most, threads_in_pystun())
        if most == MAX_THREADS:
            done.set()
        return []

    async with serving(NETWORK, count) as server, node() as dht, trio.open_nursery() as nursery:
        for _ in range(100):
            nursery.start_soon(dht.ask_stun, server)
        await done.wait()
        await trio.testing.wait_all_tasks_blocked()
        assert threads_in_pystun() == MAX_THREADS
        nursery.cancel_scope.cancel()
