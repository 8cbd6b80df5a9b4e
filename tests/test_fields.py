"""Values as others see them: `holepunch.fields`."""

from __future__ import annotations

import copy
import pickle
from dataclasses import asdict, replace

import pytest

from holepunch.address import Address
from holepunch.errors import Stage
from holepunch.keys import KeyPair
from swarm import BanLifted, EventsMissed, Path, PeerBanned

KEY = KeyPair.from_seed(bytes(32)).public_key
VALUES = [
    PeerBanned(KEY, "it is an outsider", None),
    BanLifted(KEY),
    EventsMissed(3),
    Stage("lookup", 0.5, "2 rounds"),
    Path("direct", Address("5.6.7.8", 9), None, 0.1, 2.0),
]


@pytest.mark.parametrize("value", VALUES)
def test_values_with_equal_fields_are_equal_and_hash_alike(value: PeerBanned) -> None:
    for other in (replace(value), copy.deepcopy(value), pickle.loads(pickle.dumps(value))):
        assert other == value
        assert hash(other) == hash(value)


def test_values_that_differ_in_a_field_or_in_their_class_are_not_equal() -> None:
    assert Stage("lookup", 0.5) != Stage("lookup", 0.6)
    assert EventsMissed(3) != EventsMissed(4)
    assert BanLifted(KEY) != KEY
    assert len(set(VALUES)) == len(VALUES)


def test_value_shows_its_class_and_its_fields() -> None:
    assert repr(Stage("lookup", 0.5)) == "Stage(name='lookup', at=0.5, detail='')"
    assert asdict(EventsMissed(3)) == {"count": 3}


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("name", ["count", "detail", "anything"])
def test_value_never_changes(value: object, name: str) -> None:
    with pytest.raises(AttributeError):
        setattr(value, name, 1)
    with pytest.raises(AttributeError):
        delattr(value, name)
