"""A lab for each test that asks for one. Where none can be, the test is skipped, or fails with CI=true."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.nat.lab import TOOLS, Lab, LabError
from tests.tools import need

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def labs_allowed() -> None:
    for tool in TOOLS:
        need(tool)
    try:
        with Lab():
            pass
    except LabError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{error}, and CI=true allows no skipping", pytrace=False)
        pytest.skip(str(error))


@pytest.fixture
def lab(labs_allowed: None) -> Iterator[Lab]:
    with Lab() as made:
        yield made
