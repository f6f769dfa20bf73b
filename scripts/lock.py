"""Resolve requirements/*.in for this interpreter and pin every version in requirements/base.lock."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "requirements"


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.json"
        names = ("base.in", "train.in", "onnx.in", "dev.in")
        sources = [argument for name in names for argument in ("-r", str(FOLDER / name))]
        resolve = ["install", "--quiet", "--dry-run", "--ignore-installed", "--report", str(report)]
        subprocess.run([sys.executable, "-m", "pip", *resolve, *sources], check=True)
        resolved = json.loads(report.read_text(encoding="utf-8"))["install"]
    # A local version (torch's "+cpu") names one build; the lock names the release, so that any build of it fits.
    pins = sorted(
        f"{item['metadata']['name'].lower()}=={item['metadata']['version'].split('+')[0]}" for item in resolved
    )
    target = FOLDER / "base.lock"
    partial = target.with_suffix(".partial")
    partial.write_text(
        "# Every version pinned, by scripts/lock.py (`make lock`).\n" + "\n".join(pins) + "\n", encoding="utf-8"
    )
    partial.replace(target)
    print(f"{target.name}: {len(pins)} packages")


if __name__ == "__main__":
    main()
