"""Tags and proofs: right for the two ends of one handshake, and worthless to anybody else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from holepunch.keys import KeyPair
from holepunch.punch.messages import MAX_TAGS, Greeting
from holepunch.secure.noise import Handshake, Session
from swarm.membership import MAX_SHOWN, Membership
from swarm.topic import Topic

if TYPE_CHECKING:
    from collections.abc import Collection

ALICE, BOB, EVE = (KeyPair.from_seed(bytes([n]) * 32) for n in (1, 2, 3))
ONE, TWO, THREE = (Topic.from_name(name) for name in ("one", "two", "three"))


def member(pair: KeyPair, *topics: Topic, secret: bytes | None = None) -> Membership:
    membership = Membership(pair.public_key, secret)
    membership.topics = lambda public_key: topics
    return membership


def sessions(seed: int = 9) -> tuple[Session, Session]:
    ephemerals = [KeyPair.from_seed(bytes([seed + n]) * 32) for n in (0, 100)]
    dialler = Handshake("IK", True, ALICE, BOB.public_key, b"", ephemerals[0])
    server = Handshake("IK", False, BOB, None, b"", ephemerals[1])
    server.read(dialler.write())
    dialler.read(server.write())
    return dialler.session, server.session


def greeted(alice: Membership, bob: Membership) -> tuple[Greeting, Greeting, Session, Session]:
    a, b = sessions()
    hello = alice.greet(BOB.public_key, a.ephemeral, None)
    return hello, bob.greet(ALICE.public_key, b.ephemeral, hello), a, b


def shared(membership: Membership, session: Session, tags: Collection[bytes]) -> tuple[Topic, ...]:
    return membership.shared(session.remote_public_key, session.ephemeral, tags)


def test_both_ends_know_the_ephemeral_key_that_the_handshake_began_with() -> None:
    a, b = sessions()
    assert a.ephemeral == b.ephemeral == KeyPair.from_seed(bytes([9]) * 32).public_key


def test_both_ends_find_the_topics_that_they_share_and_no_other() -> None:
    alice, bob = member(ALICE, ONE, TWO), member(BOB, THREE, TWO)
    hello, reply, a, b = greeted(alice, bob)
    assert shared(alice, a, reply.tags) == shared(bob, b, hello.tags) == (TWO,)


def test_tags_of_one_handshake_or_direction_mean_nothing_in_another() -> None:
    alice, bob = member(ALICE, ONE), member(BOB, ONE)
    hello, reply, a, b = greeted(alice, bob)
    other_a, other_b = sessions(40)
    assert not shared(bob, other_b, hello.tags)
    assert not shared(alice, other_a, reply.tags)
    assert not shared(alice, a, hello.tags)
    assert not shared(bob, b, reply.tags)


def test_what_both_share_comes_first_in_the_reply_however_much_else_there_is() -> None:
    alice = member(ALICE, ONE, TWO)
    bob = member(BOB, *(Topic.from_name(str(n)) for n in range(100)), TWO, ONE)
    hello, reply, a, b = greeted(alice, bob)
    assert len(reply.tags) == MAX_TAGS
    assert shared(alice, a, reply.tags) == (ONE, TWO)
    assert shared(bob, b, hello.tags) == (TWO, ONE)


def test_only_so_many_topics_are_shown() -> None:
    alice = member(ALICE, *(Topic.from_name(str(n)) for n in range(MAX_SHOWN + 5)))
    a, _ = sessions()
    assert len(alice.shown(a)) == MAX_SHOWN * 16


def padded(pair: KeyPair, *topics: Topic) -> Membership:
    membership = Membership(pair.public_key, None, bytes(32))
    membership.topics = lambda public_key: topics
    return membership


@pytest.mark.parametrize(("joined", "told"), [(0, 4), (1, 4), (4, 4), (5, 8), (8, 8), (9, 16), (16, 16), (40, 16)])
def test_number_of_topics_shows_by_its_order_of_magnitude_only(joined: int, told: int) -> None:
    alice = padded(ALICE, *(Topic.from_name(str(n)) for n in range(joined)))
    session, _ = sessions()
    tags = alice.greet(BOB.public_key, session.ephemeral, None).tags
    assert len(set(tags)) == len(tags) == told
    shown = len(alice.shown(session)) // 16
    assert shown == (told if joined <= 16 else 64)


def test_tags_that_stand_for_no_topic_look_like_the_others() -> None:
    a, b = sessions()
    for topics in ((), (ONE,), (ONE, TWO, THREE)):
        alice = padded(ALICE, *topics)
        tags = alice.greet(BOB.public_key, a.ephemeral, None).tags
        assert tags == tuple(sorted(tags)), "the order would tell them apart"
        assert set(shared(member(BOB, ONE, TWO, THREE), b, tags)) == set(topics)
        again = alice.greet(BOB.public_key, sessions(40)[0].ephemeral, None).tags
        assert not {*tags} & {*again}, "they would be the same in each handshake"
        other = Membership(ALICE.public_key, None, bytes(31) + b"\1")
        assert not {*tags} & {*other.greet(BOB.public_key, a.ephemeral, None).tags}


def test_secret_salts_the_topics() -> None:
    open_one, closed, other = (member(ALICE, ONE, secret=secret) for secret in (None, b"ours", b"theirs"))
    assert open_one.on_network(ONE) == ONE
    keys = {bytes(membership.on_network(ONE)) for membership in (open_one, closed, other)}
    assert len(keys) == 3
    assert closed.on_network(ONE) == member(BOB, secret=b"ours").on_network(ONE)
    assert closed.on_network(TWO) != closed.on_network(ONE)


def test_tags_of_a_topic_differ_by_secret() -> None:
    hello, _, _, b = greeted(member(ALICE, ONE, secret=b"ours"), member(BOB, ONE, secret=b"ours"))
    assert shared(member(BOB, ONE, secret=b"ours"), b, hello.tags) == (ONE,)
    assert shared(member(BOB, ONE), b, hello.tags) == ()


def test_proof_is_good_for_one_connection_one_direction_and_one_secret() -> None:
    alice, bob, eve = (member(pair, secret=s) for pair, s in ((ALICE, b"ours"), (BOB, b"ours"), (EVE, b"guess")))
    a, b = sessions()
    assert bob.is_proof(b, alice.proof(a))
    assert alice.is_proof(a, bob.proof(b))
    assert not bob.is_proof(b, bob.proof(b)), "reflected"
    assert not bob.is_proof(b, eve.proof(a))
    _, other = sessions(40)
    assert not bob.is_proof(other, alice.proof(a)), "replayed on another connection"
    assert not bob.is_proof(b._replace(hash=bytes(64)), alice.proof(a))
    for wrong in (b"", b"x", alice.proof(a)[:-1], alice.proof(a) + b"\0"):
        assert not bob.is_proof(b, wrong)


@pytest.mark.parametrize(("secret", "error"), [("text", TypeError), (7, TypeError), (b"", ValueError)])
def test_what_is_no_secret_is_refused_at_once(secret: object, error: type[Exception]) -> None:
    with pytest.raises(error, match="secret"):
        Membership(ALICE.public_key, secret)  # type: ignore[arg-type]
