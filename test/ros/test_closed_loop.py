"""What `make closed-loop` runs, shortened: planner, guard, follower and town in processes of their own."""

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "closed_loop.py"


def test_a_town_is_driven_by_the_follower_measured_and_not_driven_twice(ros_domain, tmp_path):
    command = [sys.executable, SCRIPT, "--out", tmp_path, "--planner", "constant_velocity", "--towns", "1"]
    command += ["--first-town", "20002", "--duration", "3"]
    first = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=170)
    assert first.returncode == 0, first.stdout + first.stderr
    report = json.loads((tmp_path / "town_20002.json").read_text())
    assert (report["driver"], report["plans"]) == ("command", 15)
    assert (report["plans_missed"], report["watchdog_steps"]) == (0, 0)
    assert report["drive"]["progress_m"] > 10.0 and report["human_progress_m"] > 10.0
    assert report["plan_jumps"]["pairs"] == 14
    assert "| 20002 | " in first.stdout and (tmp_path / "table.md").is_file()
    (tmp_path / "town_20002.json").write_text(json.dumps(report | {"plans_missed": 77}))
    again = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=60)
    assert "| 77 |" in again.stdout and "town 20002 (" not in again.stdout
