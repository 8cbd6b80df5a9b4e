from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holepunch.address import Address
from holepunch.nat.classifier import MAX_SAMPLES, Classifier, Firewall
from tests.recorded import recorded


def node(number: int) -> Address:
    return Address("192.0.2.1", 1000 + number)


def seen(*ports: int) -> Classifier:
    """Judged from samples of one host, each by another node."""
    classifier = Classifier(firewalled=True)
    for number, port in enumerate(ports):
        classifier.add(Address("198.51.100.1", port), node(number))
    return classifier


@pytest.mark.parametrize("case", recorded("nat.json", "holepunch_nat"))
def test_recorded_samples_lead_to_the_recorded_verdicts(case: dict[str, Any]) -> None:
    classifier = Classifier(firewalled=case["firewalled"])
    for sample, state in zip(case["samples"], case["states"], strict=True):
        classifier.add(Address(sample["host"], sample["port"]), Address(sample["from_host"], sample["from_port"]))
        assert classifier.sampled == state["sampled"]
        assert classifier.firewall == state["firewall"]
        expected = state["addresses"] and tuple((a["host"], a["port"]) for a in state["addresses"])
        assert classifier.addresses == expected


def test_verdict_starts_as_what_the_node_knows() -> None:
    assert Classifier(firewalled=True).firewall is Firewall.UNKNOWN
    assert Classifier(firewalled=False).firewall is Firewall.OPEN


def test_open_node_stays_open_whatever_it_samples() -> None:
    classifier = Classifier(firewalled=False)
    for number in range(6):
        classifier.add(Address("198.51.100.1", number), node(number))
    assert classifier.firewall is Firewall.OPEN
    assert classifier.addresses is None


def test_later_samples_correct_the_verdict() -> None:
    assert seen(1, 2, 3).firewall is Firewall.RANDOM
    assert seen(1, 2, 3, 1, 1).firewall is Firewall.CONSISTENT


def test_three_that_agree_are_outvoted_when_most_see_other_ports() -> None:
    assert seen(1, 1, 1, 2, 3, 4).firewall is Firewall.CONSISTENT
    demoted = seen(1, 1, 1, 2, 3, 4, 5)
    assert demoted.firewall is Firewall.RANDOM
    assert demoted.addresses == (("198.51.100.1", 0),)
    assert demoted.analysed


def test_few_that_see_another_port_outvote_nobody() -> None:
    assert seen(1, 1, 1, 1, 2, 3, 4, 5).firewall is Firewall.CONSISTENT


def test_carrier_that_spreads_its_customers_over_two_addresses_is_not_outvoted_by_the_other_address() -> None:
    classifier = seen(1, 1, 1)
    for number in range(10, 20):
        classifier.add(Address("198.51.100.2", 1), node(number))
    assert classifier.firewall is Firewall.CONSISTENT


def test_demoted_verdict_rises_again() -> None:
    assert seen(1, 1, 1, 2, 3, 4, 5, 1).firewall is Firewall.CONSISTENT


def test_frozen_verdict_does_not_change() -> None:
    classifier = seen(1, 2, 3)
    classifier.freeze()
    for number in range(10, 20):
        classifier.add(Address("198.51.100.1", 1), node(number))
    assert classifier.firewall is Firewall.RANDOM
    assert classifier.addresses == (("198.51.100.1", 0),)


def test_waiting_ends_with_a_good_verdict_or_four_samples() -> None:
    assert Classifier(firewalled=False).analysed
    assert not seen(1, 1).analysed
    assert seen(1, 1, 1).analysed
    assert not seen(1, 2, 3).analysed
    assert seen(1, 2, 3, 4).analysed


@given(st.lists(st.tuples(st.sampled_from(["1.0.0.1", "1.0.0.2"]), st.integers(1, 3)), max_size=100))
def test_memory_is_bounded_and_addresses_fit_the_verdict(samples: list[tuple[str, int]]) -> None:
    classifier = Classifier(firewalled=True)
    for number, (host, port) in enumerate(samples):
        classifier.add(Address(host, port), node(number))
    assert classifier.sampled <= MAX_SAMPLES
    if classifier.firewall is Firewall.CONSISTENT:
        assert classifier.addresses is not None
        assert set(classifier.addresses) <= set(samples)
        assert len(set(classifier.addresses)) == len(classifier.addresses)
    elif classifier.firewall is Firewall.RANDOM:
        assert classifier.addresses is not None
        assert [port for _, port in classifier.addresses] == [0]
    else:
        assert classifier.addresses is None
