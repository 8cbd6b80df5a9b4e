"""What the benchmarks say about their samples."""

from __future__ import annotations

from tests.benchmarks.report import table
from tests.benchmarks.rows import Goal, Samples


def test_a_goal_that_is_a_ratio_compares_medians() -> None:
    goal = Goal(2.0, at_least=True)
    assert goal.met([1, 5, 6], [2, 2.5, 9])
    assert not goal.met([1, 4, 60], [1, 2.5, 3])
    assert goal.met([5], []) is None
    assert goal.text("MB/s") == "≥ 2 ×"


def test_a_goal_that_is_a_value_is_for_the_worst_or_the_median() -> None:
    assert not Goal(35, at_least=True, ratio=False).met([34, 50, 50], [])
    assert Goal(35, at_least=True, ratio=False, worst=False).met([34, 50, 50], [])
    assert not Goal(3, at_least=False, ratio=False).met([1, 1, 4], [])
    assert Goal(3, at_least=False, ratio=False).text("ms") == "≤ 3 ms"


def test_each_row_says_whether_its_goal_was_met() -> None:
    samples: Samples = {
        ("throughput", "python"): [400.0, 500.0, 600.0],
        ("throughput", "node"): [100.0],
        ("cpu", "python"): [5.0],
        ("cpu", "node"): [10.0],
    }
    header, throughput, cpu = table(samples).splitlines()
    assert header.split() == ["What", "Here", "Node", "Ratio", "Goal"]
    assert "500 MB/s (400–600)" in throughput
    assert throughput.split()[-6:] == ["5.00", "×", "≥", "3", "×", "met"]
    assert cpu.endswith("≤ 0.35 ×  missed")


def test_a_library_that_is_not_installed_and_one_that_failed_are_named_as_such() -> None:
    samples: Samples = {
        ("throughput beside", "python"): [500.0],
        ("throughput beside", "libp2p TCP"): [250.0],
        ("not installed", "iroh"): [1],
    }
    _, iroh, tcp, quic = table(samples).splitlines()
    assert iroh.split("  ")[-1].strip() == "not installed"
    assert tcp.endswith("2.00 ×")
    assert quic.endswith("failed")
