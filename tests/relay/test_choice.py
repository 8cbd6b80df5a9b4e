"""What an application may say about relays."""

from __future__ import annotations

import random

import pytest

from holepunch.punch.messages import RelayThrough
from holepunch.punch.relaying import want
from holepunch.relay.choice import NO_RELAY, RelayChoice
from swarm import KeyPair, PublicKey, Swarm

KEYS = [KeyPair.from_seed(bytes((n,)) * 32).public_key for n in range(3)]


@pytest.mark.parametrize("relay_through", ["nonsense", b"short", ["x" * 64]])
def test_what_is_no_key_is_refused_before_any_packet(relay_through: object) -> None:
    with pytest.raises(ValueError, match="key"):
        Swarm(relay_through=relay_through)  # type: ignore[arg-type]


def test_policy_that_cannot_be_followed_is_refused() -> None:
    with pytest.raises(ValueError, match="one of"):
        Swarm(relay_policy="sometimes")  # type: ignore[arg-type]


def test_keys_are_taken_in_every_form() -> None:
    key = KeyPair.from_seed(bytes(32)).public_key
    assert Swarm(relay_through=[key.hex(), key.z32, bytes(key)]).dht.relaying.keys == (PublicKey(key),) * 3


def test_one_of_several_relays_is_picked_but_never_the_peer_itself() -> None:
    choice = RelayChoice.parse(KEYS)
    rng = random.Random(1)
    assert {choice.pick(rng) for _ in range(50)} == set(KEYS)
    assert {choice.pick(rng, but=KEYS[0]) for _ in range(50)} == set(KEYS[1:])
    assert RelayChoice.parse(KEYS[0]).pick(rng, but=KEYS[0]) is None
    assert RelayChoice.parse(KEYS, "forbid").pick(rng) is None
    assert NO_RELAY.pick(rng) is None


def test_relay_that_is_down_is_picked_only_where_all_are() -> None:
    choice = RelayChoice.parse(KEYS)
    rng = random.Random(1)
    assert {choice.pick(rng, is_down=lambda key: key == KEYS[0]) for _ in range(50)} == set(KEYS[1:])
    assert {choice.pick(rng, is_down=lambda key: True) for _ in range(50)} == set(KEYS)


class Down:
    """Relays of which some are down."""

    def __init__(self, *keys: bytes) -> None:
        self.is_down = keys.__contains__


def answers(choice: RelayChoice, theirs: PublicKey, *down: PublicKey) -> set[bytes | None]:
    """The relays that a server may name to a client that names ``theirs``."""
    named = [
        want(choice, Down(*down), random.Random(seed), b"peer", RelayThrough(theirs, bytes(32)))  # type: ignore[arg-type]
        for seed in range(30)
    ]
    return {None if one is None else one.public_key for one in named}


def test_server_joins_the_client_in_a_relay_that_both_have() -> None:
    assert answers(RelayChoice.parse(KEYS), KEYS[1]) == {KEYS[1]}
    assert answers(RelayChoice.parse(KEYS[:2]), KEYS[2]) == set(KEYS[:2])
    assert answers(RelayChoice.parse(KEYS), KEYS[1], KEYS[1]) == {KEYS[0], KEYS[2]}


def test_server_whose_relays_are_all_down_leaves_the_choice_to_a_client_whose_is_not() -> None:
    assert answers(RelayChoice.parse(KEYS[:2]), KEYS[2], *KEYS[:2]) == {None}
    assert answers(RelayChoice.parse(KEYS[:2]), KEYS[2], *KEYS) == set(KEYS[:2])
    assert answers(RelayChoice.parse(KEYS[:2], "forbid"), KEYS[1]) == {None}


def test_what_is_said_for_one_connection_replaces_the_rest() -> None:
    choice = RelayChoice.parse(KEYS[0], "require")
    assert choice.but(None, None) is choice
    assert choice.but(KEYS[1], None) == RelayChoice((KEYS[1],), "require")
    assert choice.but(None, "forbid") == RelayChoice((KEYS[0],), "forbid")
