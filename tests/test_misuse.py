"""Misuse is refused where it happens, before any I/O, with what was given and what would be right."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from swarm import Swarm

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    "entry", ["", "nonsense", "host:", "host:0", "host:99999", ":1", "1.2.3@host:1", "a b:1", "256.1.1.1:1"]
)
def test_malformed_bootstrap_entry_is_shown_with_a_right_one(entry: str) -> None:
    with pytest.raises(ValueError, match="a right one looks like") as caught:
        Swarm(bootstrap=[entry])
    assert repr(entry) in str(caught.value)


def test_one_string_is_no_list_of_bootstrap_entries() -> None:
    with pytest.raises(TypeError, match=r"\['1.2.3.4:5'\]"):
        Swarm(bootstrap="1.2.3.4:5")


def test_joining_outside_the_block_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="inside the block"):
        Swarm().join("x")


@pytest.mark.parametrize("option", ["max_peers", "max_parallel"])
def test_limit_below_one_is_refused(option: str) -> None:
    with pytest.raises(ValueError, match=f"{option} must be at least 1, got 0"):
        Swarm(**{option: 0})  # type: ignore[arg-type]


def test_key_file_of_wrong_length_or_mode_is_refused(tmp_path: Path) -> None:
    short = tmp_path / "short"
    short.write_bytes(b"x" * 31)
    short.chmod(0o600)
    with pytest.raises(ValueError, match="short"):
        Swarm(short)
    open_to_all = tmp_path / "open"
    open_to_all.write_bytes(b"x" * 32)
    open_to_all.chmod(0o644)
    with pytest.raises(ValueError, match="chmod 600"):
        Swarm(str(open_to_all))


def test_identity_file_is_created_once(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "me"
    assert Swarm(path).public_key == Swarm(path).public_key
    assert os.stat(path).st_mode & 0o777 == 0o600
