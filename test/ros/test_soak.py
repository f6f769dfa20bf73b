"""What a soak of the planner node complains of."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def soak():
    """The script, which is no package."""
    spec = importlib.util.spec_from_file_location("pair_drive_soak", ROOT / "scripts" / "soak.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def row(**changes):
    good = {"sets": 600, "arrived": 599, "plans": 590, "dropped": {"dropped: planner busy": 8}, "latency_p99_ms": 60.0}
    return {**good, "memory_mib": 500.0, "threads": 20, "handles": 60, **changes}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"memory_mib": 600.0}, "memory grew by 100 MiB"),
        ({"threads": 21}, "threads grew from 20 to 21"),
        ({"handles": 70}, "handles grew from 60 to 70"),
        ({"plans": 500}, "91 of 600 sets gave no plan and are counted nowhere"),
        ({"arrived": 500, "plans": 492}, "100 of 600 sets did not reach the node"),
        ({"latency_p99_ms": 120.0}, "latency p99 120 ms, expected below a period of 100 ms"),
        ({"latency_p99_ms": float("nan")}, "latency p99 nan"),
    ],
)
def test_whatever_grows_uncounted_sets_and_late_plans_fail_a_soak(soak, changes, words):
    assert soak.problems([row(), row(memory_mib=520.0)], 0.1) == []
    (found,) = soak.problems([row(), row(**changes)], 0.1)
    assert words in found
