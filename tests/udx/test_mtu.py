from __future__ import annotations

import pytest

from holepunch.udx.mtu import BASE_SIZE, MAX_SIZE, PathMtu


def search(path: int) -> tuple[PathMtu, int]:
    """Probe until nothing more is sought, over a path that carries ``path`` bytes. The result, and the probes sent."""
    mtu = PathMtu()
    mtu.start()
    probes = 0
    while padding := mtu.padding(mtu.size):
        probes += 1
        size = mtu.size + padding
        if size <= path:
            mtu.on_probe_delivered(size)
        else:
            mtu.on_probe_lost()
    return mtu, probes


def test_nothing_is_probed_before_the_first_acknowledgement() -> None:
    assert PathMtu().padding(BASE_SIZE) == 0


def test_an_ethernet_path_is_known_after_two_probes() -> None:
    mtu, probes = search(1472)
    assert mtu.size == MAX_SIZE == 1472
    assert probes == 2


@pytest.mark.parametrize("path", range(BASE_SIZE, MAX_SIZE, 20))
def test_any_path_is_used_to_within_32_bytes(path: int) -> None:
    mtu, probes = search(path)
    assert path - 36 < mtu.size <= path
    assert mtu.size % 4 == 0
    assert probes <= 16


def test_only_full_packets_are_padded_and_by_no_more_than_the_data_offset_says() -> None:
    mtu = PathMtu()
    mtu.start()
    assert mtu.padding(BASE_SIZE - 1) == 0
    assert 0 < mtu.padding(BASE_SIZE) <= 255


def test_a_size_is_given_up_after_three_losses_in_a_row() -> None:
    mtu = PathMtu()
    mtu.start()
    wanted = mtu.sought
    mtu.on_probe_lost()
    mtu.on_probe_lost()
    assert mtu.sought == wanted
    mtu.on_probe_lost()
    assert mtu.sought < wanted
