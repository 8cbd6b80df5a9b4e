"""A lab for each module that asks for one, and the DHT in it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.nat.lab import TOOLS, Lab, LabError
from tests.tools import need

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    for tool in TOOLS:
        need(tool)
    made = Lab()
    try:
        made.__enter__()
    except LabError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{error}, and CI=true allows no skipping", pytrace=False)
        pytest.skip(str(error))
    with made:
        yield made
