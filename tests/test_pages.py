"""What the pages under docs show is what happens: programs run as they stand there, outputs are those of a real run."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio

import swarm
from holepunch.testing import VirtualNetwork
from swarm import DHT, Connection, Discovery, Reason, Swarm
from swarm.cli.diagnosis import examine
from swarm.cli.doctor import lines
from swarm.testing import Testnet
from tests.programs import run, running

if TYPE_CHECKING:
    from swarm.cli.diagnosis import Report

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
LOOPBACK = "127.0.0.1"

ON_LOOPBACK = """
import functools, swarm
swarm.Swarm = functools.partial(swarm.Swarm, host="127.0.0.1")
"""
"""Before a program: its sockets are on loopback only, like the DHT of the test, and out of reach for others."""


def programs(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)


def words(text: str) -> str:
    """The same text, however its lines are broken."""
    return " ".join(text.split())


# -- programs --------------------------------------------------------------------------------------------------------


async def test_examples_of_testing_are_tests_that_pass(tmp_path: Path) -> None:
    examples = programs("testing.md")
    for number, example in enumerate(examples):
        (tmp_path / f"test_{number}.py").write_text(example)
    (tmp_path / "pytest.ini").write_text("[pytest]\ntrio_mode = true\nfilterwarnings = error")
    ran = await run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path))
    assert f"{len(examples)} passed" in ran.stdout.decode(), ran.stdout.decode()


@pytest.mark.parametrize("number", [0, 1], ids=["guest mode", "a thread"])
async def test_asyncio_programs_meet_a_peer(number: int) -> None:
    program = ON_LOOPBACK + programs("asyncio.md")[number]
    with trio.fail_after(30):
        async with (
            Testnet(3) as net,
            Swarm(bootstrap=net.bootstrap, host=LOOPBACK) as peer,
            running(sys.executable, "-u", "-W", "error", "-c", program, *net.bootstrap) as other,
        ):
            peer.join("rooms/python")
            connection = await anext(peer)
            assert await connection.receive_frame() == b"hello"
            await connection.send_frame(b"good day")
            assert await other.line() == "it said b'good day'"
            assert await other.process.wait() == 0


@pytest.mark.parametrize("program", programs("from-node.md"))
async def test_programs_for_those_who_come_from_node_run(program: str) -> None:
    ran = await run(sys.executable, "-W", "error", "-c", program)
    assert ran.returncode == 0, ran.stderr.decode()


# -- names -----------------------------------------------------------------------------------------------------------

NAMES = {
    "swarm": {*dir(Swarm), "dht", *swarm.__all__, *(path.stem for path in (ROOT / "swarm").iterdir())},
    "connection": set(dir(Connection)),
    "dht": {*dir(DHT), *(path.stem for path in (ROOT / "swarm" / "dht").iterdir())},
    "discovery": set(dir(Discovery)),
}


def unknown(text: str) -> list[str]:
    """What the text calls on a swarm, a connection or a DHT, and these do not have."""
    calls = re.findall(r"\b(?<![./])(swarm|connection|dht|discovery)\.(\w+)", text)
    return [f"{what}.{name}" for what, name in calls if name not in NAMES[what]]


@pytest.mark.parametrize("page", ["tutorial", "howto", "reference", "why-not", "testing", "asyncio", "privacy", "cli"])
def test_pages_call_what_there_is(page: str) -> None:
    assert not unknown((DOCS / f"{page}.md").read_text())


def test_the_python_column_for_those_who_come_from_node_names_what_there_is() -> None:
    rows = re.findall(r"^\| .*$", (DOCS / "from-node.md").read_text(), re.MULTILINE)
    assert len(rows) > 30
    assert not [name for row in rows for name in unknown(row.split(" | ")[1])]


# -- why it did not connect ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", Reason, ids=lambda reason: reason.name)
def test_each_reason_has_its_section_with_its_advice(reason: Reason) -> None:
    page = (DOCS / "why-not.md").read_text()
    section = re.search(rf"^### {reason.name}\n(.*?)(?=^##|\Z)", page, re.MULTILINE | re.DOTALL)
    assert section is not None
    summary = reason.summary[0].upper() + reason.summary[1:]
    assert words(f"*{summary}. {reason.advice}*") in words(section[1])


async def diagnosis() -> Report:
    """What `swarm doctor KEY` finds behind a random NAT, about a peer behind another one."""
    async with VirtualNetwork(seed=1) as network, Testnet(5, internet=network) as net:
        here, there = network.place("symmetric"), network.place("cgnat-symmetric")
        async with (
            Swarm(bootstrap=net.bootstrap, network=there) as peer,
            DHT(bootstrap=net.bootstrap, network=here) as dht,
        ):
            await peer.join("a room").flushed()
            return await examine(dht, here, net.bootstrap, (), peer.public_key)


def shape(text: str) -> set[str]:
    """The kinds of lines in an output: without numbers, keys, and times."""
    text = re.sub(r"\b[a-z0-9]{52}\b|\b[0-9a-f]{8}\b", "KEY", text)
    return {re.sub(r"[\d.:]*\d", "#", line).rstrip() for line in text.splitlines()}


@pytest.mark.virtual_time
async def test_the_diagnosis_on_the_page_is_a_real_one() -> None:
    report = await diagnosis()
    shown = re.search(r"```\n(local addresses.*?)```", (DOCS / "why-not.md").read_text(), re.DOTALL)
    assert shown is not None
    assert shape(shown[1]) == shape("\n".join(lines(report)))


@pytest.mark.virtual_time
async def test_the_error_in_the_readme_is_a_real_one() -> None:
    report = await diagnosis()
    assert report.peer is not None
    shown = re.search(r"```\n(could not connect.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert shown is not None
    assert shape(words(shown[1])) == shape(str(report.peer.error))


async def test_the_demo_in_the_readme_is_a_real_one() -> None:
    shown = re.search(r"```\n( +[\d.]+ s  dht .*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert shown is not None
    with trio.fail_after(60):
        ran = await run(sys.executable, "-m", "swarm.cli", "demo")

    def kinds(text: str) -> set[str]:
        return {re.sub(r"[0-9a-f]{8,16}…|\d[\d.:]*", "#", line.strip()) for line in text.splitlines()}

    assert kinds(shown[1]) <= kinds(ran.stdout.decode())
