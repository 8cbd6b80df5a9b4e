"""The pages under docs: what they show runs as it stands there, and the reference leaves nothing out."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

import swarm
from swarm import Discovery, Swarm
from tests.programs import run

DOCS = Path(__file__).parent.parent / "docs"


def programs(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)


@pytest.mark.parametrize("name", swarm.__all__)
def test_reference_has_every_name_that_can_be_imported(name: str) -> None:
    assert re.search(rf"\b{name}\b", (DOCS / "reference.md").read_text())


@pytest.mark.parametrize("of", [Swarm, Discovery])
def test_reference_has_every_method(of: type) -> None:
    page = (DOCS / "reference.md").read_text()
    missing = [name for name in vars(of) if not name.startswith("_") and not re.search(rf"\b{name}\b", page)]
    assert not missing


async def test_examples_of_testing_are_tests_that_pass(tmp_path: Path) -> None:
    examples = programs("testing.md")
    for number, example in enumerate(examples):
        (tmp_path / f"test_{number}.py").write_text(example)
    (tmp_path / "pytest.ini").write_text("[pytest]\ntrio_mode = true\nfilterwarnings = error")
    ran = await run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path))
    assert f"{len(examples)} passed" in ran.stdout.decode(), ran.stdout.decode()
