"""The folder of one training: what it was told, which code it was, its figures as they came, curves of them."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from pair_drive_core.datasets.atomic import write_bytes
from pair_drive_core.training.progress import Progress, silent

_SOURCE = Path(__file__).resolve().parent


def code_version() -> str:
    """The commit of the source that runs, with a plus where it was changed since; "unknown" outside a checkout."""
    ask = ["git", "-C", str(_SOURCE), "describe", "--always", "--dirty=+", "--exclude=*"]
    try:
        found = subprocess.run(ask, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return found.stdout.strip()


@dataclass
class RunFolder:
    """Where a training keeps what it tells; a progress that writes down every update and passes it on.

    Attributes:
        folder: of the run.
        watcher: is told as well.
        every: updates between two lines of figures; the last one of a stage is always written.
    """

    folder: Path
    watcher: Progress = silent
    every: int = 1
    _started: float = field(default_factory=time.time)

    @property
    def metrics(self) -> Path:
        """One JSON object a line: stage, update, how many there will be, seconds, figures."""
        return self.folder / "metrics.jsonl"

    def describe(self, settings: Mapping[str, Any], command: str, seed: int) -> None:
        """Write config.yaml and about.json."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_bytes(self.folder / "config.yaml", yaml.safe_dump(dict(settings), sort_keys=False).encode())
        about = {"command": command, "commit": code_version(), "seed": seed}
        write_bytes(self.folder / "about.json", (json.dumps(about, indent=2) + "\n").encode())

    def __call__(self, stage: str, done: int, total: int, values: Mapping[str, float]) -> None:
        """Take note; see `Progress`."""
        if values and (done % self.every == 0 or done == total):
            self.folder.mkdir(parents=True, exist_ok=True)
            seconds = round(time.time() - self._started, 2)
            line = {"stage": stage, "update": done, "of": total, "s": seconds, **values}
            with self.metrics.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        self.watcher(stage, done, total, values)

    def history(self) -> dict[str, dict[int, Mapping[str, float]]]:
        """Figures by stage and update; of an update that was made again after a kill, the later ones."""
        found: dict[str, dict[int, Mapping[str, float]]] = {}
        if not self.metrics.is_file():
            return found
        for text in self.metrics.read_text(encoding="utf-8").splitlines():
            try:
                line = json.loads(text)
            except ValueError:
                continue  # a line that a kill has torn; its update was made again
            stage, update = line.pop("stage"), line.pop("update")
            del line["of"], line["s"]
            found.setdefault(stage, {})[update] = line
        return found

    def draw(self) -> list[Path]:
        """A picture a stage, a curve a figure; answers the files."""
        from matplotlib.figure import Figure  # what trains without curves need not load it

        files = []
        for stage, updates in self.history().items():
            names = list(dict.fromkeys(name for figures in updates.values() for name in figures))
            figure = Figure(figsize=(4.0 * len(names), 3.0), layout="constrained")
            for place, name in enumerate(names, start=1):
                axes = figure.add_subplot(1, len(names), place)
                points = [(update, figures[name]) for update, figures in sorted(updates.items()) if name in figures]
                axes.plot(*zip(*points, strict=True))
                axes.set_title(name)
                axes.set_xlabel("update")
            files.append(self.folder / f"{stage.replace(' ', '_')}.png")
            figure.savefig(files[-1], dpi=80)
        return files
