"""Make the runs that are not in docs/results/ yet, one after the other, and write the table into docs/results.md.

Usage: scripts/experiments.py [--seeds 0 1 2] [--only one_shot iterative parallel] [--config FILE] [--results FOLDER]
    [KEY=VALUE ...]
"""

from __future__ import annotations

import argparse
import subprocess
import time
from datetime import datetime, timezone
from pathlib import Path

from pair_drive_core.evaluation.experiment_table import read_runs, write_table
from pair_drive_core.evaluation.experiments import (
    ExperimentSettings,
    Laboratory,
    all_experiments,
    judge_given,
    run_experiment,
)
from pair_drive_core.models.configuration import config_from_mapping
from pair_drive_core.training.settings import read_mapping

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument(
        "--only", nargs="+", default=[], help="starts of the runs' names, in this order, e.g. il one_shot"
    )
    parser.add_argument("--config", type=Path, default=ROOT / "config" / "experiments.yaml")
    parser.add_argument("--results", type=Path, default=ROOT / "docs" / "results", help="folder of the JSONs")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    wanted = parser.parse_args()
    settings = config_from_mapping(ExperimentSettings, read_mapping(wanted.config, wanted.overrides))
    results = wanted.results.resolve()
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    command = " ".join(["scripts/experiments.py --config", f"config/{wanted.config.name}", *wanted.overrides])
    date = datetime.now(timezone.utc).strftime("%Y-%m-%d")
    about = {"command": command, "commit": commit.stdout.strip(), "date": date}
    laboratory = Laboratory(settings, _Told("moments"))
    judge_given(laboratory, results, about)
    experiments = all_experiments(wanted.seeds, shared_perception=laboratory.perception is not None)
    for experiment in (e for start in wanted.only or [""] for e in experiments if e.name.startswith(start)):
        path = run_experiment(experiment, laboratory, results, about, _Told(experiment.name))
        print(f"{experiment.name}: {path.relative_to(ROOT)}", flush=True)
        write_table(ROOT / "docs" / "results.md", read_runs(results))


class _Told:
    """Prints how far a run is, every half a minute."""

    def __init__(self, name: str) -> None:
        self._name, self._last = name, time.monotonic()

    def __call__(self, stage: str, done: int, total: int, values: object) -> None:
        if time.monotonic() - self._last > 30.0:
            self._last = time.monotonic()
            print(f"{self._name}: {stage} {done}/{total} {values}", flush=True)


if __name__ == "__main__":
    main()
