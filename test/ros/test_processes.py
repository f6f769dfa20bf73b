"""Children end with their parent."""

import os
import signal
import subprocess
import sys
import time

import pytest

from pair_drive_ros.domain import reserved_domain
from pair_drive_ros.processes import ChildError, Children

STUBBORN = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
SLEEPER = "import time; print('up', flush=True); time.sleep(60)"


def wait_for_output(child, timeout_s=10):
    end = time.monotonic() + timeout_s
    while "up" not in child.log.read_text() and time.monotonic() < end:
        time.sleep(0.02)


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_all_children_are_gone_after_the_context_even_stubborn_ones(tmp_path):
    with Children(tmp_path, {}) as children:
        started = [children.start(str(i), [sys.executable, "-c", code]) for i, code in enumerate((SLEEPER, STUBBORN))]
        for child in started:
            wait_for_output(child)
        children.stop_all(timeout_s=0.3)
    assert not any(is_alive(child.process.pid) for child in started)


def test_a_child_that_dies_is_named_with_its_last_words(tmp_path):
    with Children(tmp_path, {}) as children:
        child = children.start("planner", [sys.executable, "-c", "print('no checkpoint'); raise SystemExit(3)"])
        child.process.wait(10)
        with pytest.raises(ChildError, match="planner ended with exit code 3: no checkpoint"):
            children.require_running(child)
        with pytest.raises(ChildError, match="exit code 3"):
            children.stop(child, 1.0)


def test_children_see_the_given_environment(tmp_path):
    with Children(tmp_path, {"ROS_DOMAIN_ID": "42"}) as children:
        child = children.start("c", [sys.executable, "-c", "import os; print(os.environ['ROS_DOMAIN_ID'])"])
        child.process.wait(10)
    assert child.log.read_text() == "42\n"


def test_children_die_when_their_parent_is_killed(tmp_path):
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time; from pathlib import Path; from pair_drive_ros.processes import Children\n"
            f"c = Children(Path({str(tmp_path)!r}), {{}}).start('c', [sys.executable, '-c', {SLEEPER!r}])\n"
            "print(c.process.pid, flush=True); time.sleep(60)",
        ],
        stdout=subprocess.PIPE,
    )
    pid = int(parent.stdout.readline())
    assert is_alive(pid)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    end = time.monotonic() + 5
    while is_alive(pid) and time.monotonic() < end:
        time.sleep(0.02)
    assert not is_alive(pid)


def test_two_holders_never_get_the_same_domain():
    with reserved_domain() as first, reserved_domain() as second:
        assert first != second


def test_each_use_takes_another_domain_and_gives_it_back():
    used = []
    for _ in range(300):
        with reserved_domain() as domain:
            used.append(domain)
    assert len(set(used)) > 90, "others may hold a few, all the rest come by"
    assert used[0] in used[1:], "a domain is free again when its holder is done"
