"""What `make demo` runs, shortened."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pair_drive_core.evaluation.bag_reader import open_bag

DEMO = Path(__file__).resolve().parents[2] / "scripts" / "demo.py"


@pytest.fixture
def demo(ros_domain, tmp_path):
    """Starts the demo; whatever is left of it in the end is killed."""
    started = []

    def start(*arguments):
        command = [sys.executable, DEMO, "--out", tmp_path / "out", "--planner", "constant_velocity", *arguments]
        log = (tmp_path / "demo.log").open("w")
        process = subprocess.Popen([*map(str, command)], stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        started.append((process, log))
        return process

    yield start
    for process, log in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        log.close()


def parent_and_state(pid):
    """Parent and state of a process; (0, "X") if it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0, "X"
    return int(fields[1]), fields[0]


def children_of(pid):
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    return [child for child in pids if parent_and_state(child)[0] == pid]


def test_a_drive_is_recorded_scored_and_pictured(demo, tmp_path):
    assert demo("--duration", "6").wait(150) == 0, (tmp_path / "demo.log").read_text()
    out = tmp_path / "out"
    assert {path.name for path in out.iterdir()} == {"bag", "logs", "table.json", "scene_1.png", "scene_2.png"}
    report = json.loads((out / "table.json").read_text())
    assert report["frames"] == 30 and report["dropped"] == 0 and report["live_plans"] == 30
    assert report["live_dropped"] == 0, "every frame was planned while it was driven"
    assert report["rows"][0]["scenes"] >= 2
    assert report["bag"] == str(out / "bag")
    with open_bag(out / "bag") as bag:
        assert bag.count("/clock") >= 60
        assert bag.topics["/planning/trajectory"] == "pair_drive_ros/msg/PlannedTrajectory"
    printed = (tmp_path / "demo.log").read_text()
    assert "PDMS" in printed and "p99" in printed
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".out")] == []


def test_an_interrupted_demo_leaves_no_process_and_no_result(demo, tmp_path):
    process = demo("--duration", "60")
    children = []
    end = time.monotonic() + 90
    while len(children) < 3 and time.monotonic() < end:
        children = children_of(process.pid)
        time.sleep(0.1)
    assert len(children) == 3, (tmp_path / "demo.log").read_text()
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert all(parent_and_state(child)[1] in "XZ" for child in children)
    assert {path.name for path in tmp_path.iterdir()} == {"demo.log"}


def test_a_planner_that_cannot_start_ends_the_demo_with_the_reason(demo, tmp_path):
    arguments = ("--planner", "parallel", "--checkpoint", str(tmp_path / "none.safetensors"))
    assert demo(*arguments).wait(150) == 1
    (line,) = [text for text in (tmp_path / "demo.log").read_text().splitlines() if text.startswith("demo: ")]
    assert "planner ended with exit code 2" in line and "none.safetensors" in line
    assert not (tmp_path / "out").exists()
