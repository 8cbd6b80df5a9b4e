from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holepunch.nat.sampler import Sampler
from tests.recorded import recorded


def sampled(*addresses: tuple[str, int]) -> Sampler:
    sampler = Sampler()
    for host, port in addresses:
        sampler.add(host, port)
    return sampler


@pytest.mark.parametrize("case", recorded("nat.json", "nat_sampler"))
def test_recorded_samples_lead_to_the_recorded_addresses(case: dict[str, Any]) -> None:
    sampler = Sampler()
    for sample, state in zip(case["samples"], case["states"], strict=True):
        sampler.add(sample["host"], sample["port"])
        found = {"host": sampler.host, "port": sampler.port, "size": sampler.size, "threshold": sampler.threshold}
        assert found == state


def test_nothing_is_known_before_the_first_sample() -> None:
    sampler = Sampler()
    assert (sampler.host, sampler.port, sampler.size) == (None, 0, 0)


def test_one_liar_among_four_is_overheard() -> None:
    right = ("198.51.100.1", 1)
    assert sampled(right, right, ("203.0.113.1", 9)).host is None
    sampler = sampled(right, right, ("203.0.113.1", 9), right)
    assert (sampler.host, sampler.port) == right


def test_ports_that_differ_leave_the_host_known_with_port_0() -> None:
    sampler = sampled(*(("198.51.100.1", port) for port in range(1, 10)))
    assert (sampler.host, sampler.port) == ("198.51.100.1", 0)


def test_new_address_is_believed_once_the_old_samples_are_gone() -> None:
    sampler = sampled(*[("198.51.100.1", 1)] * 16)
    for _ in range(12):
        sampler.add("203.0.113.1", 2)
        assert sampler.host != "203.0.113.1"
    sampler.add("203.0.113.1", 2)
    assert (sampler.host, sampler.port) == ("203.0.113.1", 2)


@given(st.lists(st.tuples(st.sampled_from(["1.0.0.1", "1.0.0.2"]), st.integers(1, 3)), max_size=60))
def test_result_was_always_sampled_and_memory_is_bounded(samples: list[tuple[str, int]]) -> None:
    sampler = sampled(*samples)
    assert sampler.size == min(len(samples), 16)
    assert sampler.host is None or sampler.host in {host for host, _ in samples[-16:]}
    assert sampler.port == 0 or (sampler.host, sampler.port) in samples[-16:]
