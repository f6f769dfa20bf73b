"""Makes small mistakes and sees whether the tests notice: `python test/mutation/run.py --room driving -n 20 --seed 0`.

Mutants are drawn by the seed, spread over the modules; of each, the tests of its room run in a copy of the tree until
the first fails. Results are kept in out/mutation/: a run that was interrupted goes on. `equivalent.txt` names mutants
that behave as the code does, with the reason; they do not count.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from mutants import mutants_of

ROOT = Path(__file__).resolve().parents[2]
ROOMS = {
    "training": ("pair_drive_core/training", ("test/training",)),
    "policies": ("pair_drive_core/policies", ("test/policies", "test/driving/test_guarded_planner.py")),
    "driving": ("pair_drive_core/driving", ("test/driving", "test/evaluation/test_bag_eval.py")),
    "nodes": ("pair_drive_ros/nodes", ("test/ros", "test/faults")),
}
"""Folder of a room's modules, and the tests that belong to it."""
COPIED = ("pair_drive_core", "pair_drive_ros", "test", "config", "launch", "msg", "pyproject.toml", "setup.py")
LINKED = (
    *(".venv", "install", "docs", "requirements", "scripts"),
    *("README.md", "CMakeLists.txt", "package.xml", "Makefile", "LICENSE"),
)
KILLED, SURVIVED, TIMED_OUT = "killed", "survived", "timed out"


def copy_tree(target):
    """The tree that is mutated; the checkout itself is never touched."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    skip = shutil.ignore_patterns("__pycache__", "*.partial")
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=skip)
        elif source.exists():
            shutil.copy2(source, target / name)
    for name in LINKED:
        if (ROOT / name).exists():
            (target / name).symlink_to(ROOT / name)


def tests_of(room, module, tree):
    """Tests that may notice: those named after the module first, then the room's others."""
    places = [tree / place for place in ROOMS[room][1]]
    files = [f for place in places for f in ([place] if place.is_file() else sorted(place.rglob("test_*.py")))]
    stem = Path(module).stem
    near = [
        file for file in files if stem in file.stem or stem.replace("_node", "") in file.read_text(encoding="utf-8")
    ]
    rest = [file for file in files if file not in near]
    return [str(file.relative_to(tree)) for file in (*near, *rest)]


def run_tests(tests, tree, limit_s):
    """What the tests say of a mutant, and the seconds that it took."""
    path = os.pathsep.join([str(tree), *(p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p)])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:xdist", "-p", "no:cacheprovider", *tests]
    started = time.monotonic()
    process = subprocess.Popen(
        command, cwd=tree, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        status = process.wait(timeout=limit_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return TIMED_OUT, time.monotonic() - started
    return (SURVIVED if status == 0 else KILLED), time.monotonic() - started


def draw(rooms, count, seed, equivalent):
    """Mutants spread over the modules: one of each in turn, in an order and a choice of the seed's."""
    rng = random.Random(seed)
    queues = []
    for room in rooms:
        for path in sorted((ROOT / ROOMS[room][0]).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            mutants = [m for m in mutants_of(name, path.read_text(encoding="utf-8")) if m.key not in equivalent]
            rng.shuffle(mutants)
            if mutants:
                queues.append([(room, mutant) for mutant in mutants])
    rng.shuffle(queues)
    chosen = []
    while queues and len(chosen) < count:
        for queue in queues:
            if len(chosen) < count:
                chosen.append(queue.pop())
        queues = [queue for queue in queues if queue]
    return chosen


def equivalents():
    """Mutants that behave as the code does: `key | reason` a line."""
    lines = (Path(__file__).parent / "equivalent.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split(" | ", 1) for line in lines if line and not line.startswith("#"))


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--room", action="append", choices=list(ROOMS), help="all of them by default")
    parser.add_argument("-n", "--number", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit-s", type=float, default=300.0, help="for the tests of one mutant")
    parser.add_argument("--list", action="store_true", help="only say which mutants would be made")
    chosen = parser.parse_args(arguments)
    rooms = chosen.room or list(ROOMS)
    drawn = draw(rooms, chosen.number, chosen.seed, equivalents())
    if chosen.list:
        print("\n".join(mutant.key for _, mutant in drawn))
        return 0
    results_path = ROOT / "out" / "mutation" / f"results-{'-'.join(rooms)}-{chosen.seed}.jsonl"
    results_path.parent.mkdir(parents=True, exist_ok=True)
    known = {}
    if results_path.exists():
        known = {(r := json.loads(line))["key"]: r for line in results_path.read_text().splitlines()}
    tree = ROOT / "out" / "mutation" / "tree"
    copy_tree(tree)
    print(f"{'verdict':10s} {'s':>6s}  mutant", flush=True)
    verdicts = []
    for room, mutant in drawn:
        result = known.get(mutant.key)
        if result is None:
            target = tree / mutant.path
            whole = target.read_text(encoding="utf-8")
            try:
                target.write_text(mutant.source, encoding="utf-8")
                verdict, seconds = run_tests(tests_of(room, mutant.path, tree), tree, chosen.limit_s)
            finally:
                target.write_text(whole, encoding="utf-8")
            result = {"key": mutant.key, "verdict": verdict, "seconds": round(seconds, 1)}
            with results_path.open("a") as file:
                file.write(json.dumps(result) + "\n")
        verdicts.append(result["verdict"])
        print(f"{result['verdict']:10s} {result['seconds']:6.1f}  {mutant.key}", flush=True)
    killed = len(verdicts) - verdicts.count(SURVIVED)
    print(f"{killed} of {len(verdicts)} noticed ({verdicts.count(TIMED_OUT)} by running out of time)")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
