"""Programs that some tests need and a machine may lack."""

from __future__ import annotations

import os
import shutil

import pytest

__all__ = ["need"]


def need(program: str) -> str:
    """The path of a program. Without it the test is skipped, or fails where skipping would hide it: with CI=true."""
    path = shutil.which(program)
    if path is not None:
        return path
    if os.environ.get("CI") == "true":
        pytest.fail(f"{program} is not installed, and CI=true allows no skipping", pytrace=False)
    pytest.skip(f"{program} is not installed")
