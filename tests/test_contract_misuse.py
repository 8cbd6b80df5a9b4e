"""Misuse of a call is told by that call, as ``TypeError`` or ``ValueError``, and costs nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from swarm import DHT, KeyPair, Swarm
from swarm.dht.listener import takes_topics
from swarm.testing import Testnet
from tests.contract import NOBODY, internet

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Awaitable, Callable
    from pathlib import Path

PAIR = KeyPair.from_seed(b"\x01" * 32)
TARGET = bytes(32)


async def every(replies: AsyncIterable[object]) -> list[object]:
    return [reply async for reply in replies]


# -- constructors -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "kind", "text"),
    [
        ({"bootstrap": b"1.2.3.4:5"}, TypeError, "b'1.2.3.4:5'"),
        ({"bootstrap": [b"1.2.3.4:5"]}, TypeError, "b'1.2.3.4:5'"),
        ({"bootstrap": [("1.2.3.4", 5)]}, TypeError, r"\('1.2.3.4', 5\)"),
        ({"bootstrap": [5]}, TypeError, "got 5 in it"),
        ({"bootstrap": [None]}, TypeError, "node.example.org:49737"),
        ({"bootstrap": None}, TypeError, "got None"),
        ({"bootstrap": 5}, TypeError, "got 5"),
        ({"stun_servers": [5]}, TypeError, "stun.example.org:3478"),
        ({"stun_servers": b"a:1"}, TypeError, "b'a:1'"),
        ({"stun_servers": None}, TypeError, "got None"),
        ({"stun_servers": ["a..b:1"]}, ValueError, r"'a\.\.b:1'"),
        ({"port": 1.5}, TypeError, "port is a whole number, got 1.5"),
        ({"port": "1"}, TypeError, "got '1'"),
        ({"port": True}, TypeError, "got True"),
        ({"port": 65536}, ValueError, "at most 65535, got 65536"),
        ({"host": 5}, TypeError, "got 5"),
        ({"host": b"\x7f\0\0\1"}, TypeError, "host is an IPv4 address as text"),
        ({"host": "localhost"}, ValueError, "'localhost'; a right one looks like"),
        ({"relay_through": 5}, TypeError, "got 5"),
        ({"relay_through": [5]}, TypeError, "got int"),
        ({"relay_through": "x"}, ValueError, "'x'"),
    ],
)
@pytest.mark.parametrize("make", [Swarm, DHT])
def test_wrong_argument_is_refused_when_it_is_given(
    make: Callable[..., object], options: dict[str, Any], kind: type[Exception], text: str
) -> None:
    with pytest.raises(kind, match=text):
        make(**options)


@pytest.mark.parametrize("option", ["max_peers", "max_parallel", "max_client_connections", "max_server_connections"])
@pytest.mark.parametrize("value", ["3", 1.5, True])
def test_limit_that_is_no_whole_number_is_refused(option: str, value: object) -> None:
    with pytest.raises(TypeError, match=f"{option} is a whole number, got {value!r}"):
        Swarm(**{option: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("option", ["max_peers", "max_parallel"])
def test_limit_there_must_be_is_refused_as_none(option: str) -> None:
    with pytest.raises(TypeError, match=f"{option} is a whole number, got None"):
        Swarm(**{option: None})  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [bytes(32), "key", PAIR.public_key, 5])
def test_key_pair_that_is_none_is_refused_and_not_shown(value: Any) -> None:
    with pytest.raises(TypeError, match=r"KeyPair\.from_seed") as caught:
        DHT(key_pair=value)
    assert repr(value) not in str(caught.value)


def test_a_relay_key_is_bytes_in_any_form() -> None:
    forms: list[Any] = [bytes(NOBODY), bytearray(NOBODY), memoryview(NOBODY)]
    for form in forms:
        assert DHT(relay_through=form).relaying.keys == (NOBODY,)


@pytest.mark.parametrize("nodes", ["3", 1.5, None])
def test_number_of_nodes_of_a_testnet_is_a_whole_one(nodes: Any) -> None:
    with pytest.raises(TypeError, match="nodes is a whole number"):
        Testnet(nodes)


@pytest.mark.parametrize(
    "options",
    [{"bootstrap": ["nonsense"]}, {"port": -1}, {"secret": b""}, {"state": 5}, {"allow": 5}, {"max_peers": 0}],
)
def test_misuse_makes_no_key_file(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError)):
        Swarm(tmp_path / "key", **options)
    assert list(tmp_path.iterdir()) == []


# -- allow ------------------------------------------------------------------------------------------------------------


def two_of_three(key: bytes, topics: object, more: int = 5) -> bool:
    return True


def one_and_a_keyword(key: bytes, *, more: int = 5) -> bool:
    return True


def one_or_two(key: bytes, topics: object = ()) -> bool:
    return True


class Callee:
    def __call__(self, key: bytes, topics: object) -> bool:
        return True


@pytest.mark.parametrize("allow", [lambda: True, lambda a, b, c: True, lambda *, key: True, 5, True])
async def test_allow_that_can_take_neither_one_argument_nor_two_is_refused_before_any_io(allow: Any) -> None:
    with pytest.raises(TypeError, match="allow is called with a public key"):
        Swarm(allow=allow)
    async with DHT(bootstrap=["127.0.0.1:9"], host="127.0.0.1") as dht:
        with pytest.raises(TypeError, match="allow is called with a public key"), trio.fail_after(1):
            await dht.listen(allow=allow)


@pytest.mark.parametrize(
    ("allow", "topics"),
    [
        (lambda key: True, False),
        (lambda key, topics: True, True),
        (lambda *arguments: True, True),
        (one_or_two, True),
        (two_of_three, True),
        (one_and_a_keyword, False),
        (Callee(), True),
        ({NOBODY}.__contains__, False),
        (dict, False),
    ],
)
def test_allow_is_given_the_topics_if_it_can_take_them(allow: Callable[..., bool], topics: bool) -> None:
    assert takes_topics(allow) == topics


@pytest.mark.virtual_time
async def test_allow_may_be_a_builtin_without_a_signature() -> None:
    allow = {PAIR.public_key}.__contains__
    async with internet() as world, world.swarm(PAIR) as client, world.swarm(allow=allow) as server:
        server.join("members", client=False)
        await server.flush()
        assert await client.connect(server.public_key)


# -- what is asked of a DHT -------------------------------------------------------------------------------------------


DHT_MISUSE: dict[str, tuple[Callable[[DHT], Awaitable[object]], type[Exception]]] = {
    "a target as text": (lambda dht: every(dht.lookup("x" * 32)), TypeError),  # type: ignore[arg-type]
    "a target as a list": (lambda dht: every(dht.lookup([0] * 32)), TypeError),  # type: ignore[arg-type]
    "a short target": (lambda dht: every(dht.lookup(bytes(31))), ValueError),
    "a node's target as a list": (lambda dht: every(dht.find_node([0] * 32)), TypeError),  # type: ignore[arg-type]
    "a peer's key as a number": (lambda dht: every(dht.find_peer(5)), TypeError),  # type: ignore[arg-type]
    "a public key to announce with": (
        lambda dht: dht.announce(TARGET, PAIR.public_key),  # type: ignore[arg-type]
        TypeError,
    ),
    "nothing to announce with": (lambda dht: dht.announce(TARGET, None), TypeError),  # type: ignore[arg-type]
    "one relay, not a list": (lambda dht: dht.announce(TARGET, PAIR, relays="1.2.3.4:5"), TypeError),
    "a relay without a port": (lambda dht: dht.announce(TARGET, PAIR, relays=["1.2.3.4"]), ValueError),
    "a relay that is a number": (lambda dht: dht.announce(TARGET, PAIR, relays=[5]), TypeError),  # type: ignore[list-item]
    "a time before 1970": (lambda dht: dht.announce(TARGET, PAIR, bump=-1), ValueError),
    "a time as text": (lambda dht: dht.announce(TARGET, PAIR, bump="1"), TypeError),  # type: ignore[arg-type]
    "a short element": (lambda dht: dht.announce(TARGET, PAIR, refresh=bytes(31)), ValueError),
    "an element as text": (lambda dht: dht.renew(TARGET, "x" * 32), TypeError),  # type: ignore[arg-type]
    "a number to unannounce": (lambda dht: dht.unannounce(TARGET, 5), TypeError),  # type: ignore[arg-type]
    "text as a value": (lambda dht: dht.immutable_put("text"), TypeError),  # type: ignore[arg-type]
    "a list as a value": (lambda dht: dht.immutable_put([1]), TypeError),  # type: ignore[arg-type]
    "a hash as a list": (lambda dht: dht.immutable_get([0] * 32), TypeError),  # type: ignore[arg-type]
    "bytes as a key pair": (lambda dht: dht.mutable_put(bytes(32), b"v"), TypeError),  # type: ignore[arg-type]
    "a negative seq": (lambda dht: dht.mutable_put(PAIR, b"v", seq=-1), ValueError),
    "a seq as text": (lambda dht: dht.mutable_put(PAIR, b"v", seq="1"), TypeError),  # type: ignore[arg-type]
    "a seq that the wire cannot carry": (lambda dht: dht.mutable_put(PAIR, b"v", seq=2**53), ValueError),
    "a seq to get as text": (lambda dht: dht.mutable_get(NOBODY, seq="1"), TypeError),  # type: ignore[arg-type]
    "a port that is none": (lambda dht: dht.ping(("127.0.0.1", 99999)), ValueError),
    "a name to ping": (lambda dht: dht.ping(("localhost", 5)), ValueError),
    "port 0 to ping": (lambda dht: dht.ping(("127.0.0.1", 0)), ValueError),
    "text to ping": (lambda dht: dht.ping("nonsense"), ValueError),
    "bytes to ping": (lambda dht: dht.ping(b"127.0.0.1:5"), TypeError),  # type: ignore[arg-type]
    "a number to dial": (lambda dht: dht.connect(5), TypeError),  # type: ignore[arg-type]
    "text to dial": (lambda dht: dht.connect("nonsense"), ValueError),
    "the own key to dial": (lambda dht: dht.connect(dht.default_key_pair.public_key), ValueError),
    "a number to dial with": (lambda dht: dht.connect(NOBODY, key_pair=5), TypeError),  # type: ignore[arg-type]
    "text to listen with": (lambda dht: dht.listen("x"), TypeError),  # type: ignore[arg-type]
    "a public key to listen with": (lambda dht: dht.listen(PAIR.public_key), TypeError),  # type: ignore[arg-type]
    "a public key to relay with": (lambda dht: dht.relay(PAIR.public_key), TypeError),  # type: ignore[arg-type]
}


@pytest.mark.virtual_time
async def test_misuse_of_a_node_is_told_by_the_call_and_the_node_goes_on() -> None:
    async with internet() as world, world.dht() as dht:
        await dht.bootstrapped()
        for what, (ask, kind) in DHT_MISUSE.items():
            with pytest.raises(kind) as caught:
                await ask(dht)
            assert str(caught.value), what
            await trio.sleep(1)
            assert await dht.ping(world.net.bootstrap[0]) is not None, what


@pytest.mark.virtual_time
async def test_addresses_are_text_or_pairs() -> None:
    async with internet() as world, world.dht() as dht:
        node = world.net.nodes[0].local_address
        forms: list[Any] = [node, str(node), tuple(node)]
        for form in forms:
            assert await dht.ping(form) is not None
            assert (await dht.announce(TARGET, PAIR, relays=[form])).nodes
        (reply, *_) = [reply async for reply in dht.lookup(TARGET)]
        assert [(peer.public_key, peer.relay_addresses) for peer in reply.peers] == [(PAIR.public_key, (node,))]


# -- what is asked of a swarm -----------------------------------------------------------------------------------------


@pytest.mark.virtual_time
async def test_misuse_of_a_swarm_is_told_by_the_call_and_the_swarm_goes_on() -> None:
    async with internet() as world, world.swarm() as swarm:
        for topic in (None, 5, ["x"]):
            with pytest.raises(TypeError, match=r"Topic\.from_name"):
                swarm.join(topic)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="neither"):
            swarm.join("x", server=False, client=False)
        with pytest.raises(TypeError, match="limit is a whole number, got 'x'"):
            swarm.join("x", limit="x")  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="limit must be at least 1, got 0"):
            swarm.join("x", limit=0)
        with pytest.raises(TypeError):
            swarm.join_peer(5)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="'x'"):
            swarm.leave_peer("x")
        with pytest.raises(ValueError, match=r"Topic\.from_name"):
            await swarm.leave(bytes(3))
        for key in (5, None):
            with pytest.raises(TypeError):
                await swarm.connect(key)  # type: ignore[arg-type]
        assert swarm.stats().topics == 0
        assert await swarm.flush()
