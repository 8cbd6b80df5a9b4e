from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holepunch.address import Address, best_match, is_bogon, is_private, is_reserved
from tests.recorded import recorded

hosts = st.ip_addresses(v=4).map(str)


@given(hosts, st.integers(1, 65535))
def test_address_survives_being_written_and_read(host: str, port: int) -> None:
    address = Address(host, port)
    assert Address.parse(str(address)) == address


def test_address_equals_what_the_socket_module_gives() -> None:
    assert Address("127.0.0.1", 1) == ("127.0.0.1", 1)
    assert hash(Address("127.0.0.1", 1)) == hash(("127.0.0.1", 1))


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:0",
        "127.0.0.1:65536",
        "127.0.0.1:-1",
        "127.0.0.1:+1",
        "127.0.0.1:1_0",
        "127.0.0.1: 80",
        "127.0.0.1:８０",
        "127.0.0.1:http",
        "127.0.0:80",
        "127.0.0.01:80",
        "127.0.0.256:80",
        "localhost:80",
        "[::1]:80",
        "::1:80",
    ],
)
def test_other_text_is_refused_and_shown_beside_a_right_one(text: str) -> None:
    with pytest.raises(ValueError, match=r"a right one looks like '127\.0\.0\.1:49737'") as error:
        Address.parse(text)
    assert repr(text) in str(error.value)


@given(st.text())
def test_random_text_raises_nothing_but_value_errors(text: str) -> None:
    with pytest.raises(ValueError):
        Address.parse(text)


@pytest.mark.parametrize("case", recorded("nat.json", "address_class"))
def test_recorded_host_is_of_the_recorded_class(case: dict[str, Any]) -> None:
    assert is_private(case["ip"]) == case["private"]
    assert is_reserved(case["ip"]) == case["reserved"]
    assert is_bogon(case["ip"]) == case["bogon"]


@given(hosts)
def test_bogon_is_private_or_reserved_never_both(host: str) -> None:
    assert is_bogon(host) == (is_private(host) or is_reserved(host))
    assert not (is_private(host) and is_reserved(host))


@pytest.mark.parametrize("case", recorded("nat.json", "match_address"))
def test_recorded_match_is_found(case: dict[str, Any]) -> None:
    found = best_match(case["local"], [Address(host, 1) for host in case["remote"]])
    assert (found.host if found else None) == case["result"]


def test_of_equal_matches_the_one_of_the_first_local_host_wins() -> None:
    remote = [Address("10.0.0.9", 1), Address("192.168.1.8", 1), Address("192.168.1.9", 1)]
    assert best_match(["192.168.1.5", "10.0.0.5"], remote) == remote[1]
    assert best_match(["10.0.0.5", "192.168.1.5"], remote) == remote[0]
    assert best_match([], remote) is None
