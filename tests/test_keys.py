from __future__ import annotations

import os
import pickle
import stat
import threading
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holepunch.keys import KeyPair, PublicKey, hash32, verify
from tests.recorded import recorded

if TYPE_CHECKING:
    from pathlib import Path

KEY = PublicKey(bytes(range(32)))
Z32 = "yyyoryarywdyqnyjbefoadeqbhebnrounoktcfaadrpbs8y7daxo"
"""`KEY` as Node writes it (hypercore-id-encoding, ``encode``)."""

keys = st.binary(min_size=32, max_size=32).map(PublicKey)


# -- public keys -----------------------------------------------------------------------------------------------------


def test_public_key_is_its_bytes_and_shows_as_text() -> None:
    assert bytes(range(32)) == KEY
    assert hash(KEY) == hash(bytes(range(32)))
    assert str(KEY) == f"{KEY}" == KEY.z32 == Z32
    assert KEY.short == "00010203"
    assert KEY.hex() in repr(KEY)
    copy = pickle.loads(pickle.dumps(KEY))
    assert copy == KEY
    assert type(copy) is PublicKey


@given(keys)
def test_every_written_form_is_understood(key: PublicKey) -> None:
    for form in (bytes(key), key.hex(), key.hex().upper(), key.z32, key.z32.upper(), f" {key.z32}\n"):
        parsed = PublicKey.parse(form)
        assert parsed == key
        assert type(parsed) is PublicKey
    for link in (f"pear://{key.z32}", f"pear://{key.hex()}/path/file.txt"):
        assert PublicKey.parse(link) == key


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0" * 63,
        "g" * 64,
        "00 " * 21 + "0",
        "y" * 51,
        "l" + "y" * 51,
        "y" * 51 + "b",  # the last character has four bits that mean nothing, and must be 0
        "pear://",
        "pear:" + "y" * 52,
    ],
)
def test_other_text_is_refused_and_shown(text: str) -> None:
    with pytest.raises(ValueError, match="a right one is 64 hex digits or 52 z-base-32 characters") as error:
        PublicKey.parse(text)
    assert repr(text) in str(error.value)


@given(st.text())
def test_random_text_raises_nothing_but_value_errors(text: str) -> None:
    with pytest.raises(ValueError):
        PublicKey.parse(text)


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_public_key_of_another_length_is_refused(size: int) -> None:
    for make in (PublicKey, PublicKey.parse):
        with pytest.raises(ValueError, match=f"a public key is 32 bytes, got {size}"):
            make(bytes(size))


@pytest.mark.parametrize("value", [7, None, [1] * 32])
def test_public_key_of_another_type_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="a public key is 32 bytes"):
        PublicKey(value)
    with pytest.raises(TypeError, match=r"use PublicKey\.parse for text"):
        PublicKey(cast("Any", "0" * 32))


# -- key pairs -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", recorded("signatures.json", "key_pair"))
def test_pair_from_a_seed_is_the_one_node_makes(case: dict[str, str]) -> None:
    pair = KeyPair.from_seed(bytes.fromhex(case["seed"]))
    assert pair.public_key.hex() == case["public_key"]
    assert pair.secret_key.hex() == case["secret_key"]
    assert pair.seed.hex() == case["seed"]
    assert hash32(pair.public_key).hex() == case["target"]


def test_hash_of_parts_is_the_hash_of_them_joined() -> None:
    assert hash32(b"a", b"bc") == hash32(b"abc")
    assert len(hash32()) == 32


def test_generated_pairs_differ() -> None:
    assert KeyPair.generate() != KeyPair.generate()


def test_pairs_are_equal_when_their_keys_are() -> None:
    seed = bytes(32)
    assert KeyPair.from_seed(seed) == KeyPair.from_seed(bytearray(seed))
    assert len({KeyPair.from_seed(seed), KeyPair.from_seed(seed)}) == 1
    assert KeyPair.from_seed(seed) != KeyPair.from_seed(seed).public_key


def test_secret_does_not_show() -> None:
    pair = KeyPair.from_seed(bytes(range(32)))
    assert pair.seed.hex() not in repr(pair)
    assert str(pair) == "KeyPair(03a107bf…)"


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_seed_of_another_length_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"a seed is 32 bytes, got {size}"):
        KeyPair.from_seed(bytes(size))


def test_seed_of_another_type_is_refused() -> None:
    with pytest.raises(TypeError, match="a seed is 32 bytes, got str"):
        KeyPair.from_seed(cast("Any", "0" * 32))


def test_pair_can_be_made_of_its_two_keys() -> None:
    pair = KeyPair.from_seed(bytes(32))
    assert KeyPair(bytes(pair.public_key), pair.secret_key) == pair


def test_keys_that_do_not_belong_together_are_refused() -> None:
    a, b = KeyPair.from_seed(bytes(32)), KeyPair.from_seed(bytes([1]) * 32)
    for public_key, secret_key in ((b.public_key, a.secret_key), (b.public_key, a.seed + b.public_key)):
        with pytest.raises(ValueError, match="does not belong to the public key"):
            KeyPair(public_key, secret_key)
    with pytest.raises(ValueError, match="a secret key is 64 bytes"):
        KeyPair(a.public_key, a.seed)


# -- signatures ------------------------------------------------------------------------------------------------------


@given(st.binary(max_size=100), st.integers(0, 63), st.integers(1, 255))
def test_signature_is_verified_and_an_altered_one_is_not(message: bytes, at: int, flip: int) -> None:
    pair = KeyPair.from_seed(bytes(32))
    signature = pair.sign(message)
    assert len(signature) == 64
    assert verify(signature, message, pair.public_key)
    altered = bytearray(signature)
    altered[at] ^= flip
    assert not verify(bytes(altered), message, pair.public_key)
    assert not verify(signature, message + b"x", pair.public_key)
    assert not verify(signature, message, KeyPair.from_seed(bytes([1]) * 32).public_key)


def test_signature_or_key_of_another_length_is_no_signature() -> None:
    pair = KeyPair.from_seed(bytes(32))
    signature = pair.sign(b"message")
    assert not verify(signature + b"m", b"essage", pair.public_key)
    assert not verify(signature[:63], signature[63:] + b"message", pair.public_key)
    assert not verify(signature, b"message", pair.public_key[:31])
    assert not verify(signature, b"message", pair.public_key + b"\0")
    assert not verify(b"", b"", b"")


# -- key files -------------------------------------------------------------------------------------------------------


def test_key_file_is_made_once_and_for_the_owner_only(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "down" / "alice.key"
    pair = KeyPair.load_or_create(file)
    assert file.read_bytes() == pair.seed
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert KeyPair.load_or_create(str(file)) == pair
    assert list(file.parent.iterdir()) == [file]


def test_key_file_may_be_in_the_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert KeyPair.load_or_create("~/k").seed == (tmp_path / "k").read_bytes()


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602, 0o610])
def test_key_file_that_others_may_use_is_refused(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "k"
    file.write_bytes(bytes(32))
    file.chmod(mode)
    with pytest.raises(ValueError, match=f"has mode {mode:04o}: .* run: chmod 600 {file}"):
        KeyPair.load_or_create(file)


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o700])
def test_key_file_of_the_owner_alone_is_accepted(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "k"
    file.write_bytes(bytes(range(32)))
    file.chmod(mode)
    assert KeyPair.load_or_create(file).seed == bytes(range(32))


@pytest.mark.parametrize("size", [0, 31, 33, 64, 10_000])
def test_file_of_another_length_is_refused_and_left_alone(tmp_path: Path, size: int) -> None:
    file = tmp_path / "k"
    file.write_bytes(bytes(size))
    file.chmod(0o600)
    with pytest.raises(ValueError, match=f"is no key file: it has {size} bytes, not 32"):
        KeyPair.load_or_create(file)
    assert file.stat().st_size == size


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        KeyPair.load_or_create(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError):
        KeyPair.load_or_create(tmp_path / "link")


def test_failed_creation_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        KeyPair.load_or_create(tmp_path / "k")
    assert list(tmp_path.iterdir()) == []


def test_all_that_create_a_file_at_once_get_the_same_pair(tmp_path: Path) -> None:
    pairs: list[KeyPair] = []
    start = threading.Barrier(8)

    def create() -> None:
        start.wait()
        pairs.append(KeyPair.load_or_create(tmp_path / "k"))

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(pairs) == 8
    assert len(set(pairs)) == 1
    assert list(tmp_path.iterdir()) == [tmp_path / "k"]
