from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holepunch.address import Address, best_match, is_bogon, is_private, is_reserved, split_host_port
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


@pytest.mark.parametrize("form", [Address("127.0.0.1", 5), ("127.0.0.1", 5), "127.0.0.1:5"])
def test_address_is_made_of_what_applications_have(form: object) -> None:
    assert Address.of(form) == Address("127.0.0.1", 5)


@pytest.mark.parametrize("form", [("localhost", 5), ("127.0.0.1", 0), ("127.0.0.1", 65536), "127.0.0.1"])
def test_what_is_no_address_is_refused_and_shown(form: object) -> None:
    with pytest.raises(ValueError, match=r"a right one looks like '127\.0\.0\.1:49737'") as error:
        Address.of(form)
    assert repr(form) in str(error.value)


@pytest.mark.parametrize("form", [5, None, b"127.0.0.1:5", ("127.0.0.1", "5"), ("127.0.0.1", True), ["127.0.0.1", 5]])
def test_what_has_another_type_than_an_address_is_refused_and_shown(form: object) -> None:
    with pytest.raises(TypeError, match=r"a right one looks like '127\.0\.0\.1:49737'") as error:
        Address.of(form)
    assert repr(form) in str(error.value)


# -- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "node1.hyperdht.org",
        "example.org.",
        "my_node",
        "BÜCHER.example",
        "x--y.example",
        "1.2.3.4",
        "a" * 63,
    ],
)
def test_host_that_a_resolver_can_be_asked_for_is_taken_as_it_is(host: str) -> None:
    assert split_host_port(f"{host}:49737") == (host, 49737)


@pytest.mark.parametrize(
    "host",
    [
        "",
        ".",
        "a..b",
        ".a",
        "a" * 64 + ".org",
        "a." * 127 + "a",
        "h\x00",
        "a b",
        "a\n",
        "ü_ß",
        "ü" * 63,
        "a,b",
        "[::1]",
        "a@b",
        "a/b",
        "a:1",
        "1.2.3",
        "1.2.3.4.5",
        "256.1.1.1",
    ],
)
def test_host_that_no_resolver_can_be_asked_for_is_none(host: str) -> None:
    assert split_host_port(f"{host}:49737") is None


@pytest.mark.parametrize("port", ["", "0", "65536", "-1", "+1", " 1", "1 ", "٣", "x", "1" * 5000])
def test_port_that_is_none_is_none(port: str) -> None:
    assert split_host_port(f"host:{port}") is None


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
