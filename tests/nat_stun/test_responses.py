"""What is let through to `pystun3`: only what it reads to its end."""

from __future__ import annotations

import pytest
import stun
from hypothesis import given
from hypothesis import strategies as st

from holepunch.address import Address
from holepunch.nat.stun import binding_response
from tests.nat_stun.servers import MAPPED, SOFTWARE, XOR_MAPPED, attribute, mapped, response

HERE = Address("5.6.7.8", 4321)
REQUEST = b"\x00\x01\x00\x00" + bytes(range(16))
TRANSACTION = REQUEST[4:]


class Recorded:
    """A socket that has the one answer, for any transaction."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer

    def sendto(self, data: bytes, to: object) -> None:
        self.answer = self.answer[:4] + data[4:20] + self.answer[20:]

    def recvfrom(self, size: int) -> tuple[bytes, Address]:
        return self.answer, HERE


def read(data: bytes) -> Address | None:
    """What `pystun3` makes of what is let through."""
    passed = binding_response(data, TRANSACTION)
    if passed is None:
        return None
    stun._initialize()
    answer = stun.stun_test(Recorded(passed), "", 0, "", 0)
    return Address(answer["ExternalIP"], answer["ExternalPort"])


@pytest.mark.parametrize("size", range(9))
def test_attributes_of_any_length_around_the_address_do_no_harm(size: int) -> None:
    padding = attribute(SOFTWARE, bytes(size))
    assert read(response(REQUEST, padding, mapped(HERE), padding)) == HERE


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x01\x01",
        REQUEST,
        response(REQUEST),
        response(REQUEST, mapped(HERE), kind=0x0111),
        response(REQUEST, mapped(HERE))[:-1],
        response(REQUEST, mapped(HERE)) + b"\x00",
        response(REQUEST, mapped(HERE), length=8),
        response(REQUEST, mapped(HERE), length=0xFFFF),
        response(bytes(20), mapped(HERE)),
        response(REQUEST, mapped(HERE, XOR_MAPPED)),
        response(REQUEST, mapped(HERE, family=2)),
        response(REQUEST, attribute(MAPPED, b"\x00\x02\x10\x00" + bytes(16))),
        response(REQUEST, attribute(MAPPED, b"\x00\x01\x10\x00")),
        response(REQUEST, attribute(MAPPED, b"")),
        response(REQUEST, mapped(HERE), mapped(Address("9.9.9.9", 9))),
        response(REQUEST, mapped(HERE), attribute(SOFTWARE, b"long", length=400)),
        response(REQUEST, mapped(HERE), attribute(SOFTWARE, b"long", length=0xFFFF)),
        response(REQUEST, mapped(HERE), b"\x80\x22"),
    ],
)
def test_what_is_no_answer_to_the_request_is_kept_from_pystun(data: bytes) -> None:
    assert binding_response(data, TRANSACTION) is None


def test_nothing_is_an_answer_before_a_request_was_sent() -> None:
    assert binding_response(response(bytes(20), mapped(HERE)), b"") is None


@given(st.binary(max_size=200))
def test_random_bytes_do_not_raise(data: bytes) -> None:
    read(data)
    read(b"\x01\x01" + len(data).to_bytes(2, "big") + TRANSACTION + data)


@given(
    st.lists(
        st.builds(
            attribute,
            st.sampled_from([MAPPED, 0x0004, 0x0005, XOR_MAPPED, SOFTWARE, 0xFFFF]),
            st.binary(max_size=24),
            st.none() | st.integers(0, 0xFFFF),
        ),
        max_size=6,
    )
)
def test_whatever_the_attributes_hold_pystun_comes_to_an_end(attributes: list[bytes]) -> None:
    read(response(REQUEST, *attributes))
    read(response(REQUEST, *attributes, mapped(HERE)))
