"""The names that applications use: what imports from where, with which arguments, and what they are made of."""

from __future__ import annotations

import enum
import inspect
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import trio

import holepunch.errors
import swarm
from swarm import (
    DHT,
    PUBLIC_BOOTSTRAP,
    Attempt,
    BootstrapError,
    ConnectError,
    Connection,
    DialFailed,
    Discovery,
    KeyPair,
    MessageChannel,
    Path,
    PublicKey,
    Reason,
    Stage,
    Stats,
    Swarm,
    SwarmError,
    Topic,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from holepunch.udp import UdpSocket


def parameters(function: Callable[..., object]) -> dict[str, inspect.Parameter]:
    return {name: one for name, one in inspect.signature(function).parameters.items() if name != "self"}


def by_name_only(function: Callable[..., object]) -> set[str]:
    return {name for name, one in parameters(function).items() if one.kind is one.KEYWORD_ONLY}


# -- imports ----------------------------------------------------------------------------------------------------------


def test_every_name_imports_from_swarm() -> None:
    names: dict[str, object] = {}
    exec("from swarm import *", names)
    assert set(swarm.__all__) <= names.keys()
    assert "Testnet" not in names
    assert set(swarm.__all__) <= set(dir(swarm))


def test_errors_have_one_root_wherever_they_are_imported_from() -> None:
    assert SwarmError is holepunch.errors.SwarmError
    assert ConnectError is holepunch.errors.ConnectError
    assert SwarmError.__module__ == ConnectError.__module__ == "holepunch.errors"
    for name in swarm.__all__:
        one = getattr(swarm, name)
        if isinstance(one, type) and issubclass(one, Exception):
            assert issubclass(one, SwarmError)


def test_holepunch_knows_no_swarm() -> None:
    program = (
        "import pkgutil, sys, importlib, holepunch\n"
        "for module in pkgutil.walk_packages(holepunch.__path__, 'holepunch.'): importlib.import_module(module.name)\n"
        "print([name for name in sys.modules if name.partition('.')[0] == 'swarm'])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# -- signatures -------------------------------------------------------------------------------------------------------


def test_swarm_takes_an_identity_and_options_by_name() -> None:
    found = parameters(Swarm)
    assert next(iter(found)) == "identity"
    defaults = {name: one.default for name, one in found.items()}
    expected = {
        "identity": None,
        "bootstrap": PUBLIC_BOOTSTRAP,
        "host": "0.0.0.0",
        "port": 0,
        "max_peers": 64,
        "allow": None,
        "relay_through": None,
        "stun_servers": (),
        "state": None,
        "secret": None,
    }
    assert {name: defaults[name] for name in expected} == expected
    assert isinstance(defaults["max_parallel"], int)
    assert set(found) - by_name_only(Swarm) == {"identity"}


@pytest.mark.parametrize(
    ("function", "by_place", "by_name"),
    [
        (DHT, [], {"bootstrap", "host", "port"}),
        (Swarm.join, ["topic"], {"server", "client"}),
        (Swarm.leave, ["topic"], set()),
        (Swarm.join_peer, ["key"], set()),
        (Swarm.leave_peer, ["key"], set()),
        (Swarm.connect, ["key"], set()),
        (Swarm.serve, ["handler"], set()),
        (Discovery.refresh, [], set()),
        (DHT.lookup, ["target"], set()),
        (DHT.find_peer, ["key"], set()),
        (DHT.find_node, ["target"], set()),
        (DHT.announce, ["target", "key_pair"], set()),
        (DHT.unannounce, ["target", "key_pair"], set()),
        (DHT.connect, ["key"], {"key_pair"}),
        (DHT.listen, ["key_pair"], {"allow"}),
        (DHT.ping, ["address"], set()),
        (Connection.receive_some, ["max_bytes"], set()),
        (Connection.send_frame, ["data"], set()),
        (Connection.send_datagram, ["data"], set()),
    ],
)
def test_arguments_have_their_names_and_places(
    function: Callable[..., object], by_place: list[str], by_name: set[str]
) -> None:
    named = by_name_only(function)
    assert [name for name in parameters(function) if name not in named] == by_place
    assert by_name <= named


@pytest.mark.parametrize(
    "function",
    [
        *(getattr(Swarm, name) for name in ("leave", "flush", "connect", "serve", "suspend", "resume")),
        *(getattr(Discovery, name) for name in ("flushed", "refresh", "leave")),
        *(getattr(DHT, name) for name in ("announce", "unannounce", "immutable_put", "immutable_get", "mutable_put")),
        *(getattr(DHT, name) for name in ("mutable_get", "connect", "listen", "ping", "bootstrapped")),
        *(getattr(Connection, name) for name in ("send_frame", "receive_frame", "send_datagram", "receive_datagram")),
    ],
)
def test_what_takes_time_is_awaited(function: Callable[..., object]) -> None:
    assert inspect.iscoroutinefunction(function)


@pytest.mark.parametrize("function", [Swarm.join, Swarm.join_peer, Swarm.leave_peer, Swarm.events, Swarm.stats])
def test_what_takes_none_is_a_plain_call(function: Callable[..., object]) -> None:
    assert not inspect.iscoroutinefunction(function)


# -- values -----------------------------------------------------------------------------------------------------------


def test_streams_and_channels_are_those_of_trio() -> None:
    assert issubclass(Connection, trio.abc.HalfCloseableStream)
    assert issubclass(MessageChannel, trio.abc.Channel)


def test_keys_and_topics_are_bytes() -> None:
    assert issubclass(PublicKey, bytes)
    assert issubclass(Topic, bytes)
    assert len(KeyPair.generate().public_key) == 32


@pytest.mark.parametrize("kind", [Path, Stats, DialFailed, Stage])
def test_values_are_frozen(kind: Any) -> None:
    assert kind.__dataclass_params__.frozen


def test_a_path_and_an_attempt_have_their_parts() -> None:
    assert [*inspect.signature(Path).parameters] == ["kind", "remote_address", "relay", "rtt", "since"]
    for part in ("stages", "local_nat", "remote_nat", "addresses", "gave_up"):
        assert part in inspect.signature(Attempt).parameters


def test_a_connect_error_has_a_reason_and_a_line_with_advice() -> None:
    assert issubclass(Reason, enum.Enum)
    error = ConnectError(Reason.HOLEPUNCH_ABORTED)
    assert error.reason is Reason.HOLEPUNCH_ABORTED
    assert isinstance(error.attempt, Attempt)
    assert "\n" not in str(error)
    assert error.reason.advice in str(error)


def test_a_bootstrap_error_has_the_addresses_of_both_sides() -> None:
    assert issubclass(BootstrapError, SwarmError)
    error = BootstrapError(["a:1"], [])
    assert error.addresses == ("a:1",)
    assert error.local_addresses == ()
    assert "a:1" in str(error)


# -- no I/O before the block ------------------------------------------------------------------------------------------


class NoNetwork:
    """A network that nothing may be asked of."""

    def bind(self, host: str, port: int) -> UdpSocket:
        raise AssertionError("bound")

    def local_hosts(self) -> list[str]:
        raise AssertionError("looked at the interfaces")

    async def resolve(self, host: str) -> Sequence[str]:
        raise AssertionError("asked DNS")


@pytest.mark.parametrize("kind", [Swarm, DHT])
async def test_nothing_is_asked_of_the_network_before_the_block(kind: Any) -> None:
    one = kind(network=NoNetwork(), stun_servers=["stun.example.org:3478"])
    await trio.testing.wait_all_tasks_blocked()
    with pytest.raises(AssertionError, match="bound"):
        async with one:
            pass
