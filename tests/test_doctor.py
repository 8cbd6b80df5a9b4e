"""``swarm doctor``: what it finds out, says and advises, in every kind of network and in none."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio

from holepunch.testing import VirtualNetwork
from holepunch.udp.system import SystemNetwork
from swarm import DHT, KeyPair, Reason
from swarm.cli.diagnosis import DIAL_DEADLINE, Report, examine, reach
from swarm.testing import Testnet
from tests.nat_stun.servers import serving
from tests.programs import SWARM, run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from holepunch.keys import PublicKey

NOBODY = KeyPair.from_seed(bytes(32)).public_key
ENTRANCE = "192.88.99.1"


@asynccontextmanager
async def internet(nodes: int = 5) -> AsyncIterator[tuple[VirtualNetwork, list[str]]]:
    """A virtual internet with a DHT; where to bootstrap from."""
    async with VirtualNetwork() as network:
        entrance = network.host(ENTRANCE)
        network.names["node.example"] = [ENTRANCE]
        async with Testnet(nodes, host=ENTRANCE, network=entrance) as net:
            yield network, net.bootstrap


async def examined(
    network: VirtualNetwork, place: str, bootstrap: list[str], peer: PublicKey | None = None
) -> tuple[Report, float]:
    """The report from a host in that place, and how long it took."""
    host = network.place(place)
    started = trio.current_time()
    async with DHT(bootstrap=bootstrap, network=host) as dht:
        report = await examine(dht, host, bootstrap, (), peer)
    return report, trio.current_time() - started


# -- what it finds out


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("place", "kind", "direct"),
    [
        ("open", "open", ["yes", "yes", "yes"]),
        ("home", "consistent", ["yes", "yes", "yes, in seconds"]),
        ("cgnat", "consistent", ["yes", "yes", "yes, in seconds"]),
        ("symmetric", "random", ["yes", "yes, in seconds", "no"]),
        ("udpblocked", "unknown", ["no", "no", "no"]),
    ],
)
async def test_each_nat_is_told_with_the_peers_that_it_can_reach(place: str, kind: str, direct: list[str]) -> None:
    async with internet() as (network, bootstrap):
        report, took = await examined(network, place, bootstrap)
    assert report.nat.kind == kind
    assert report.reachable == (place != "udpblocked")
    assert [row[1] for row in reach(report)] == direct
    assert took < (2 if report.reachable else 12)


@pytest.mark.virtual_time
async def test_bootstrap_hosts_are_told_apart() -> None:
    async with internet() as (network, bootstrap):
        port = bootstrap[0].rpartition(":")[2]
        dead, unknown = "203.0.113.1:5", "nosuch.example:5"
        hosts = [f"node.example:{port}", f"{ENTRANCE}@nosuch.example:{port}", dead, unknown]
        report, _ = await examined(network, "home", hosts)
    named, suggested, silent, unresolved = report.bootstrap
    assert named.answered == suggested.answered == bootstrap[0]
    assert named.rtt is not None
    assert 0.02 < named.rtt < 0.1
    assert silent.result == "does not answer"
    assert unresolved.result == "does not resolve"
    assert report.reachable


@pytest.mark.virtual_time
async def test_a_network_that_blocks_udp_is_named() -> None:
    async with internet() as (network, bootstrap):
        report, took = await examined(network, "udpblocked", bootstrap, NOBODY)
    assert report.has_network
    assert report.peer is None
    assert took < DIAL_DEADLINE
    (advice,) = report.advice()
    assert "may block UDP" in advice


@pytest.mark.virtual_time
async def test_names_that_do_not_resolve_are_named() -> None:
    async with internet() as (network, _):
        report, _ = await examined(network, "home", ["nosuch.example:5"])
    assert "DNS" in report.advice()[0]


@pytest.mark.virtual_time
async def test_a_dht_too_small_to_judge_a_nat_is_named() -> None:
    async with internet(nodes=1) as (network, bootstrap):
        report, _ = await examined(network, "home", bootstrap)
    assert report.nat.kind == "unknown"
    assert "STUN" in report.advice()[0]


@pytest.mark.virtual_time
async def test_a_random_nat_gets_the_advice_to_use_a_relay() -> None:
    async with internet() as (network, bootstrap):
        report, _ = await examined(network, "symmetric", bootstrap)
    assert "relay_through" in report.advice()[0]


# -- a peer


@pytest.mark.virtual_time
async def test_a_peer_that_can_be_reached_is_shown_with_its_stages() -> None:
    async with (
        internet() as (network, bootstrap),
        DHT(bootstrap=bootstrap, network=network.place("home")) as server,
    ):
        listener = await server.listen()
        report, took = await examined(network, "home", bootstrap, listener.public_key)
    assert report.peer is not None
    assert report.peer.path is not None
    assert report.peer.path.kind == "direct"
    assert [stage.name for stage in report.peer.stages][-1] == "connected"
    assert took < 5
    assert not report.advice()


@pytest.mark.virtual_time
async def test_a_peer_that_nobody_knows_is_told_with_advice() -> None:
    async with internet() as (network, bootstrap):
        report, took = await examined(network, "home", bootstrap, NOBODY)
    assert report.peer is not None
    assert report.peer.error is not None
    assert report.peer.error.reason is Reason.PEER_NOT_FOUND
    assert report.advice() == [Reason.PEER_NOT_FOUND.advice]
    assert took < DIAL_DEADLINE


@pytest.mark.virtual_time
async def test_a_dial_that_takes_too_long_is_given_up_with_the_stages_so_far() -> None:
    async with internet() as (network, bootstrap):
        sleeper, host = network.place("home"), network.place("home")
        async with (
            DHT(bootstrap=bootstrap, network=sleeper) as server,
            DHT(bootstrap=bootstrap, network=host) as dht,
        ):
            listener = await server.listen()
            sleeper.sleep()
            report = await examine(dht, host, bootstrap, (), listener.public_key, deadline=4)
    assert report.peer is not None
    assert report.peer.result == "no result in time"
    assert [stage.name for stage in report.peer.stages][:2] == ["searching", "handshake"]
    assert "in time" in report.advice()[0]


# -- relays


@pytest.mark.virtual_time
async def test_relays_are_dialled_and_one_that_is_not_there_is_named() -> None:
    async with internet() as (network, bootstrap):
        open_host, host = network.place("open"), network.place("symmetric")
        async with (
            DHT(bootstrap=bootstrap, network=open_host, ephemeral=False, firewalled=False) as node,
            DHT(bootstrap=bootstrap, network=network.place("symmetric")) as server,
        ):
            relay = await node.relay()
            listener = await server.listen()
            through = [NOBODY, relay.public_key]
            async with DHT(bootstrap=bootstrap, network=host, relay_through=through) as dht:
                report = await examine(dht, host, bootstrap, ())
            async with DHT(bootstrap=bootstrap, network=host, relay_through=relay.public_key) as dht:
                with_peer = await examine(dht, host, bootstrap, (), listener.public_key)
            async with DHT(bootstrap=bootstrap, network=host, relay_through=NOBODY) as dht:
                without = await examine(dht, host, bootstrap, ())
    absent, present = report.relays
    assert absent.error is not None
    assert absent.error.reason is Reason.PEER_NOT_FOUND
    assert present.address is not None
    assert present.address.host == open_host.public_address
    assert present.rtt is not None
    assert [row[2] for row in reach(report)] == ["yes"] * 3
    (advice,) = report.advice()
    assert NOBODY.z32 in advice
    assert [row[2] for row in reach(without)] == ["no"] * 3
    assert with_peer.peer is not None
    assert f"relayed through {relay.public_key.z32}" in with_peer.peer.result
    assert with_peer.peer.to_dict()["relay"] == relay.public_key.z32


# -- the command


async def test_all_is_well_on_a_network_of_ones_own() -> None:
    async with Testnet(4) as net, serving(SystemNetwork()) as stun:
        options = ("--bootstrap", net.bootstrap[0], "--host", "127.0.0.1", "--stun", stun)
        done = await run(*SWARM, "doctor", *options)
        assert done.returncode == 0
        text = done.stdout.decode()
        assert "DHT: reachable" in text
        assert f"  {stun}  sees 127.0.0.1:" in text
        assert text.splitlines()[-1] == "  Nothing: all is well."
        done = await run(*SWARM, "doctor", *options, "--json")
        assert done.returncode == 0
        report = json.loads(done.stdout)
        assert report["reachable"] is True
        assert report["bootstrap"][0]["answered"] == net.bootstrap[0]
        assert report["stun"][0]["address"].startswith("127.0.0.1:")
        assert report["nat"]["witnesses"]
        assert report["reach"][0] == {"peer": "open", "direct": "yes", "relayed": "no relay given"}
        assert report["relays"] == []
        assert report["advice"] == []


async def test_a_peer_is_dialled_and_the_exit_code_tells() -> None:
    async with Testnet(4) as net, DHT(bootstrap=net.bootstrap, host="127.0.0.1") as server:
        listener = await server.listen()
        options = ("--bootstrap", net.bootstrap[0], "--host", "127.0.0.1")
        done = await run(*SWARM, "doctor", *options, listener.public_key.z32)
        assert done.returncode == 0
        assert b"connected, " in done.stdout
        done = await run(*SWARM, "doctor", *options, "--json", NOBODY.z32)
        assert done.returncode == 3
        peer = json.loads(done.stdout)["peer"]
        assert peer["error"]["reason"] == "PEER_NOT_FOUND"
        assert peer["stages"]


@pytest.mark.private_network
async def test_without_any_network_it_says_so() -> None:
    with trio.fail_after(15):
        done = await run(*SWARM, "doctor")
    assert done.returncode == 1
    assert "This machine has no network" in done.stdout.decode()
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [("--stun", "nonsense"), ("nonsense",), ("--bootstrap", "nonsense")])
async def test_wrong_usage_is_told_before_anything_is_sent(arguments: tuple[str, ...]) -> None:
    done = await run(*SWARM, "doctor", *arguments)
    assert done.returncode == 2
    assert done.stdout == b""


async def test_relay_that_is_not_there_is_no_success() -> None:
    async with Testnet(4) as net:
        options = ("--bootstrap", net.bootstrap[0], "--host", "127.0.0.1")
        done = await run(*SWARM, "doctor", *options, "--relay", NOBODY.z32)
    assert done.returncode == 3
    assert f"The relay {NOBODY.z32} cannot be reached" in done.stdout.decode()
