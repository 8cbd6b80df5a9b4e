"""Round-trip tokens: who may bring which one back, and for how long."""

from __future__ import annotations

import random
from typing import Any

import pytest

from swarm.kademlia.tokens import ROTATION, Tokens, rotate
from tests.recorded import recorded


class Secrets(random.Random):
    """Hands out given secrets."""

    def __init__(self, *secrets: str) -> None:
        super().__init__()
        self._left = [bytes.fromhex(secret) for secret in secrets]

    def randbytes(self, n: int) -> bytes:
        assert n == 32
        return self._left.pop(0)


@pytest.mark.parametrize("case", recorded("ids.json", "token"))
def test_token_is_the_keyed_hash_of_the_host(case: dict[str, Any]) -> None:
    tokens = Tokens(Secrets(case["previous_secret"], case["current_secret"]))
    assert tokens.issue(case["host"], 0).hex() == case["current_token"]
    assert tokens.valid(bytes.fromhex(case["current_token"]), case["host"], 0)
    assert tokens.valid(bytes.fromhex(case["previous_token"]), case["host"], 0)


@pytest.mark.parametrize("case", recorded("ids.json", "token_rotation"))
def test_secrets_rotate_as_in_the_reference(case: dict[str, Any]) -> None:
    previous, current = (bytes.fromhex(secret) for secret in case["before"])
    once = rotate((previous, current))
    assert [secret.hex() for secret in once] == case["after_one"]
    assert [secret.hex() for secret in rotate(once)] == case["after_two"]


@pytest.mark.parametrize("issued", [100.0, 103.0, 107.4])
def test_token_lives_between_one_and_two_rotations(issued: float) -> None:
    tokens = Tokens(random.Random(1))
    tokens.issue("9.9.9.9", 100.0)  # the secrets begin here
    token = tokens.issue("1.2.3.4", issued)
    assert tokens.valid(token, "1.2.3.4", issued + ROTATION)
    assert not tokens.valid(token, "1.2.3.4", issued + 2 * ROTATION)


def test_token_is_worth_nothing_to_another_host() -> None:
    tokens = Tokens(random.Random(1))
    assert not tokens.valid(tokens.issue("1.2.3.4", 0), "1.2.3.5", 0)


def test_token_of_before_a_long_silence_is_refused() -> None:
    tokens = Tokens(random.Random(1))
    token = tokens.issue("1.2.3.4", 0)
    assert not tokens.valid(token, "1.2.3.4", 3600)
    assert not tokens.valid(token, "1.2.3.4", 3600 + ROTATION)
