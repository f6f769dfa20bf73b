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
from pair_drive_core.evaluation.experiments import ExperimentSettings, all_experiments, run_experiment
from pair_drive_core.models.configuration import config_from_mapping
from pair_drive_core.training.settings import read_mapping

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--only", nargs="+", default=[], help="starts of the runs' names, e.g. il or one_shot")
    parser.add_argument("--config", type=Path, default=ROOT / "config" / "experiments.yaml")
    parser.add_argument("--results", type=Path, default=ROOT / "docs" / "results", help="folder of the JSONs")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    wanted = parser.parse_args()
    settings = config_from_mapping(ExperimentSettings, read_mapping(wanted.config, wanted.overrides))
    results = wanted.results.resolve()
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    command = " ".join(["scripts/experiments.py --config", f"config/{wanted.config.name}", *wanted.overrides])
    for experiment in all_experiments(wanted.seeds):
        if wanted.only and not experiment.name.startswith(tuple(wanted.only)):
            continue
        told = time.monotonic()

        def progress(stage: str, done: int, total: int, values: object, name: str = experiment.name) -> None:
            nonlocal told
            if time.monotonic() - told > 30.0:
                told = time.monotonic()
                print(f"{name}: {stage} {done}/{total} {values}", flush=True)

        date = datetime.now(timezone.utc).strftime("%Y-%m-%d")
        about = {"command": command, "commit": commit.stdout.strip(), "date": date}
        path = run_experiment(experiment, settings, results, about, progress)
        print(f"{experiment.name}: {path.relative_to(ROOT)}", flush=True)
        write_table(ROOT / "docs" / "results.md", read_runs(results))


if __name__ == "__main__":
    main()
