import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.topic import Topic


def test_a_name_becomes_the_sha256_of_its_utf8_form() -> None:
    assert Topic.from_name("rooms/ü") == hashlib.sha256("rooms/ü".encode()).digest()


def test_thirty_two_bytes_are_taken_as_they_are() -> None:
    data = bytes(range(32))
    assert Topic(data) == data
    assert Topic(Topic(data)) == data


@given(st.binary(max_size=80).filter(lambda data: len(data) != 32))
def test_another_length_is_an_error_that_names_the_way_out(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"32 bytes.*Topic\.from_name") as caught:
        Topic(data)
    assert str(len(data)) in str(caught.value)


def test_join_takes_a_name_bytes_or_a_topic() -> None:
    topic = Topic.from_name("chess")
    assert Topic.parse("chess") == topic
    assert Topic.parse(bytes(topic)) == topic
    assert Topic.parse(topic) is topic


@pytest.mark.parametrize("wrong", [None, 7, ["chess"]])
def test_a_topic_of_another_type_is_a_type_error(wrong: Any) -> None:
    with pytest.raises(TypeError, match="32 bytes"):
        Topic.parse(wrong)


def test_text_for_bytes_and_bytes_for_text_are_type_errors_that_name_the_other() -> None:
    text: Any = "chess"
    data: Any = b"chess"
    with pytest.raises(TypeError, match="from_name"):
        Topic(text)
    with pytest.raises(TypeError, match="Topic"):
        Topic.from_name(data)


def test_any_name_is_hashed_the_empty_one_too() -> None:
    assert Topic.parse("") == hashlib.sha256(b"").digest()


def test_a_topic_shows_as_hex() -> None:
    topic = Topic(bytes(range(32)))
    assert str(topic) == bytes(topic).hex()
    assert repr(topic) == f"Topic('{bytes(topic).hex()}')"
    assert topic.short == "00010203"
