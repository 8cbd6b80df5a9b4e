"""What `from swarm import Swarm` brings along, and what it leaves until it is used."""

from __future__ import annotations

import subprocess
import sys

import pytest

UNUSED = (
    "msgpack",
    "stun",
    "swarm.messages",
    "swarm.state",
    "swarm.nat",
    "swarm.stats",
    "swarm.serving",
    "holepunch.relay.client",
    "holepunch.relay.server",
    "holepunch.path.relayed",
    "holepunch.nat.stun",
    "click",
)


@pytest.fixture(scope="module")
def imported() -> frozenset[str]:
    program = "import sys; from swarm import Swarm; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    return frozenset(done.stdout.split())


@pytest.mark.parametrize("module", UNUSED)
def test_what_a_plain_swarm_does_not_use_is_not_imported_with_it(imported: frozenset[str], module: str) -> None:
    assert "swarm.swarm" in imported
    assert module not in imported
