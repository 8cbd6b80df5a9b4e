"""The server's part in a punch: what it answers to hole-punch messages, and what it does about them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from holepunch.address import Address
from holepunch.core import CLIENT
from holepunch.nat.classifier import Firewall
from holepunch.punch.limits import MAX_MESSAGES
from holepunch.punch.messages import (
    Abort,
    HolepunchMessage,
    HolepunchPayload,
    Mode,
    SecurePayload,
    holepunch_secret,
)
from tests.punch.caller import HOME, Caller, home_server

if TYPE_CHECKING:
    from tests.punch.world import Peer

CLEAR = 10.0


# -- hole-punch messages


def shake_hands(kind: str = "home") -> tuple[Peer, Caller, SecurePayload]:
    server = home_server(kind)
    caller = Caller(server)
    caller.call()
    _, session = caller.answer()
    caller.heard.clear()
    return server, caller, SecurePayload(holepunch_secret(session.hash), bytes(32))


def test_a_probe_is_answered_when_the_nat_is_known() -> None:
    server, caller, secure = shake_hands()
    caller.punch(secure, HolepunchPayload(firewall=Firewall.CONSISTENT, addresses=(HOME,)))
    assert not caller.heard
    server.world.run(1)
    ((sealed, role),) = caller.heard
    answer = secure.open(sealed)
    assert role > CLIENT
    assert answer.firewall == Firewall.CONSISTENT
    assert answer.addresses is not None
    assert answer.addresses[0].host == "50.0.0.1"
    assert not answer.punching


def test_a_token_is_given_only_through_an_own_relay() -> None:
    server, caller, secure = shake_hands()
    for node in (0, 5):
        caller.relay = server.world.nodes[node].address
        caller.punch(secure, HolepunchPayload(firewall=Firewall.CONSISTENT))
    server.world.run(1)
    tokens = [secure.open(sealed).token for sealed, _ in caller.heard]
    assert tokens[0] is not None
    assert tokens[1] is None


def test_an_older_round_is_answered_but_changes_nothing() -> None:
    server, caller, secure = shake_hands()
    caller.punch(secure, HolepunchPayload(firewall=Firewall.CONSISTENT, round=4))
    caller.punch(secure, HolepunchPayload(firewall=Firewall.RANDOM, round=3, punching=True, addresses=(HOME,)))
    server.world.run(1)
    assert [secure.open(sealed).round for sealed, _ in caller.heard] == [4, 4]
    assert not any(secure.open(sealed).punching for sealed, _ in caller.heard)


def test_an_abort_is_answered_with_an_abort_from_the_normal_socket() -> None:
    server, caller, secure = shake_hands()
    caller.punch(secure, HolepunchPayload(error=Abort.ABORTED))
    ((sealed, role),) = caller.heard
    assert secure.open(sealed).error == Abort.ABORTED
    assert role == CLIENT
    server.world.run(CLEAR + 1)
    assert not server.leaks()


def test_a_random_peer_that_proves_nothing_is_not_searched_for() -> None:
    server, caller, secure = shake_hands()
    victim = Address("50.0.0.99", 0)
    caller.punch(secure, HolepunchPayload(firewall=Firewall.RANDOM, addresses=(victim,), punching=True))
    server.world.run(30)
    assert secure.open(caller.heard[0][0]).error == Abort.ABORTED
    assert not server.sockets.probes


def test_a_token_learned_elsewhere_proves_nothing() -> None:
    """Only what an own relay carried has come from the address it reports."""
    server, caller, secure = shake_hands()
    caller.punch(secure, HolepunchPayload(firewall=Firewall.RANDOM, addresses=(Address(HOME.host, 0),)))
    server.world.run(1)
    token = secure.open(caller.heard[0][0]).token
    caller.relay = server.world.nodes[7].address
    caller.punch(
        secure,
        HolepunchPayload(
            firewall=Firewall.RANDOM, addresses=(Address(HOME.host, 0),), punching=True, round=1, remote_token=token
        ),
    )
    server.world.run(1)
    assert secure.open(caller.heard[1][0]).error == Abort.ABORTED


@given(st.binary(max_size=120), st.integers(0, 3))
@settings(max_examples=50)
def test_a_hole_punch_message_that_does_not_decrypt_is_not_answered(payload: bytes, id: int) -> None:
    server, caller, _ = shake_hands()
    for mode in Mode:
        for peer in (None, HOME):
            message = HolepunchMessage(mode, id, payload, peer)
            server.listener.on_holepunch(message, caller.relay, HOME, CLIENT, lambda *heard: caller.heard.append(heard))
    server.world.run(1)
    assert not caller.heard


def test_messages_of_one_handshake_are_bounded() -> None:
    server, caller, secure = shake_hands()
    for _ in range(MAX_MESSAGES * 2):
        caller.punch(secure, HolepunchPayload(firewall=Firewall.CONSISTENT))
        server.world.run(0.2)
    assert len(caller.heard) <= MAX_MESSAGES


addresses = st.lists(st.builds(Address, st.ip_addresses(v=4).map(str), st.integers(0, 65535)), max_size=6).map(tuple)


@given(
    st.lists(
        st.builds(
            HolepunchPayload,
            error=st.sampled_from([0, 0, 0, 0, 0, 1, 3, 200]),
            firewall=st.sampled_from([0, 1, 2, 3, 4, 250]),
            round=st.integers(0, 2**40),
            connected=st.booleans(),
            punching=st.booleans(),
            addresses=st.none() | addresses,
            remote_address=st.none() | st.just(HOME),
            token=st.none() | st.just(bytes(32)),
        ),
        max_size=4,
    ),
    st.booleans(),
    st.sampled_from(["home", "symmetric", "sequential"]),
)
@settings(max_examples=60)
def test_any_talk_of_a_client_ends_with_nothing_left(messages: list[HolepunchPayload], echo: bool, kind: str) -> None:
    server, caller, secure = shake_hands(kind)
    token = None
    for message in messages:
        caller.punch(secure, message._replace(remote_token=token if echo else None))
        server.world.run(0.5)
        if caller.heard:
            token = secure.open(caller.heard[-1][0]).token
    server.world.run(80)
    assert not server.leaks()
