"""Makes small mistakes and sees whether the tests notice: `python test/mutation/run.py --room driving -n 20 --seed 0`.

The tests of the rooms run once on the tree as it is, which tells the time that each takes and the lines that it runs.
Then mutants are drawn by the seed, spread over the modules; of each, those tests run in a copy of the tree that run the
mutated line, the quickest first, until one fails; test files written since then go before them. Nodes run as
processes, which the lines are not known of: theirs are the tests that name the module. A verdict speaks of these tests
alone, not of the type checker. Results are kept in out/mutation/: a run that was interrupted goes on; `--again` tries
those anew that survived. `equivalent.txt` names mutants that behave as the code does, and why; they do not count.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import coverage
import pytest
import torch  # noqa: F401 - loaded once, for all that is forked
from mutants import mutants_of

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "out" / "mutation"
ROOMS = {
    "training": ("pair_drive_core/training", ("test/training",)),
    "policies": ("pair_drive_core/policies", ("test/policies", "test/driving/test_guarded_planner.py")),
    "driving": (
        "pair_drive_core/driving",
        ("test/driving", "test/ros/test_messages.py", "test/evaluation/test_bag_eval.py"),
    ),
    "nodes": ("pair_drive_ros/nodes", ("test/ros", "test/faults")),
}
"""Folder of a room's modules, and the tests that belong to it."""
BY_NAME = ("nodes",)
"""Rooms whose modules run in processes of their own."""
COPIED = ("pair_drive_core", "pair_drive_ros", "test", "config", "launch", "msg", "pyproject.toml", "setup.py")
LINKED = (
    *(".venv", "install", "docs", "requirements", "scripts"),
    *("README.md", "CMakeLists.txt", "package.xml", "Makefile", "LICENSE"),
)
PATIENCE_S = 15.0
KILLED, SURVIVED, TIMED_OUT = "killed", "survived", "timed out"
PYTEST = ("-q", "-p", "no:xdist", "-p", "no:cacheprovider", "--timeout=0")


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


class Diary:
    """A plugin that keeps the seconds of each test function and the first that failed."""

    def __init__(self):
        self.seconds, self.failed = {}, None

    def pytest_runtest_logreport(self, report):
        name = report.nodeid.split("[")[0]
        self.seconds[name] = self.seconds.get(name, 0.0) + report.duration
        if report.failed and self.failed is None:
            self.failed = report.nodeid


def run_tests(arguments, tree, limit_s, **environment):
    """Run tests in a child that has the libraries loaded already.

    Returns:
        Exit status (None when the time ran out), seconds, and the `Diary`'s notes (empty when it was not written).
    """
    notes = OUT / "notes.json"
    notes.unlink(missing_ok=True)
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        status = 99
        try:
            os.setsid()
            path = [str(tree), *(p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p and p != str(ROOT))]
            os.environ.update(PYTHONPATH=os.pathsep.join(path), OMP_NUM_THREADS="1", **environment)
            os.chdir(tree)
            sys.path[:] = [*path, *(p for p in sys.path if p not in (*path, str(ROOT)) and not p.endswith("mutation"))]
            sys.dont_write_bytecode = True
            null = os.open(os.devnull, os.O_RDWR)
            for stream in (0, 1, 2):
                os.dup2(null, stream)
            diary = Diary()
            status = int(pytest.main([*PYTEST, *arguments], plugins=[diary]))
            notes.write_text(json.dumps(vars(diary)))
        finally:
            os._exit(status)
    while time.monotonic() - started < limit_s:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            told = json.loads(notes.read_text()) if notes.exists() else {}
            return os.waitstatus_to_exitcode(status), time.monotonic() - started, told
        time.sleep(0.05)
    # First politely, so that the fixtures end the processes that they have started.
    os.kill(child, signal.SIGINT)
    time.sleep(PATIENCE_S)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None, time.monotonic() - started, {}


def digest_of(text):
    """Tells whether a module is still what the tests ran."""
    return hashlib.sha256(text.encode()).hexdigest()


def know_tests(rooms, tree, kept):
    """Seconds of each test function, by module and line those that run it, and the test files written since then."""
    places = sorted({place for room in rooms if room not in BY_NAME for place in ROOMS[room][1]})
    if kept.exists():
        files = [
            file
            for place in places
            for file in ((ROOT / place).rglob("test_*.py") if (ROOT / place).is_dir() else [ROOT / place])
        ]
        since = [str(file.relative_to(ROOT)) for file in files if file.stat().st_mtime > kept.stat().st_mtime]
        return {**json.loads(kept.read_text()), "since": since}
    database = OUT / "lines.db"
    arguments = ["--cov=pair_drive_core", "--cov-context=test", "--cov-report=", *places]
    status, seconds, told = run_tests(arguments, tree, 3600.0, COVERAGE_FILE=str(database)) if places else (0, 0.0, {})
    if status != 0:
        raise SystemExit(f"the tests fail without any mistake: {told.get('failed')} (status {status})")
    print(f"{len(told.get('seconds', ()))} test functions, {seconds:.0f} s", flush=True)
    lines, texts = {}, {}
    if places:
        data = coverage.CoverageData(str(database))
        data.read()
        for path in data.measured_files():
            contexts = data.contexts_by_lineno(path)
            name = Path(path).relative_to(tree).as_posix()
            texts[name] = digest_of(Path(path).read_text(encoding="utf-8"))
            lines[name] = {
                line: sorted({context.split("|")[0].split("[")[0] for context in run if context})
                for line, run in contexts.items()
            }
    known = {"seconds": told.get("seconds", {}), "lines": lines, "texts": texts}
    kept.write_text(json.dumps(known))
    return {**json.loads(kept.read_text()), "since": []}


def tests_of(room, mutant, tree, known):
    """Tests that may notice, the quickest first."""
    if room in BY_NAME:
        return tests_by_name(room, mutant.path, tree)
    lines = known["lines"].get(mutant.path, {})
    found = {test for line in mutant.lines for test in lines.get(str(line), ())}
    if not found or known["texts"].get(mutant.path) != digest_of(mutant.text):
        # The line runs when the module is loaded, or lay elsewhere: whatever uses the module may notice.
        found = {test for tests in lines.values() for test in tests}
    return [*known["since"], *sorted(found, key=lambda test: known["seconds"].get(test, 0.0))]


def tests_by_name(room, module, tree):
    """Test files that name a node, those named after it first."""
    stem = Path(module).stem
    files = [file for place in ROOMS[room][1] for file in sorted((tree / place).rglob("test_*.py"))]
    words = (stem, stem.replace("_node", "_process"), f'"{stem.removesuffix("_node")}"')
    near = [f for f in files if stem in f.stem or any(word in f.read_text(encoding="utf-8") for word in words)]
    return [str(f.relative_to(tree)) for f in sorted(near, key=lambda f: (stem not in f.stem, f.name))]


def draw(rooms, count, seed, equivalent):
    """Mutants spread over the modules: one of each in turn, in an order and a choice of the seed's.

    What is drawn of a module hangs on that module and the seed alone.
    """
    queues = []
    for room in rooms:
        for path in sorted((ROOT / ROOMS[room][0]).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            mutants = [m for m in mutants_of(name, path.read_text(encoding="utf-8")) if m.key not in equivalent]
            random.Random(f"{seed} {name}").shuffle(mutants)
            if mutants:
                queues.append([(room, mutant) for mutant in mutants])
    random.Random(seed).shuffle(queues)
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


def verdict_of(room, mutant, tree, known, limit_s):
    """What the tests say of one mutant."""
    target = tree / mutant.path
    whole = target.read_text(encoding="utf-8")
    tests = tests_of(room, mutant, tree, known)
    if not tests:
        return {"key": mutant.key, "verdict": SURVIVED, "seconds": 0.0, "by": "no test runs it"}
    try:
        target.write_text(mutant.source, encoding="utf-8")
        status, seconds, told = run_tests(["-x", *tests], tree, limit_s)
    finally:
        target.write_text(whole, encoding="utf-8")
    verdict = TIMED_OUT if status is None else SURVIVED if status == 0 else KILLED
    return {"key": mutant.key, "verdict": verdict, "seconds": round(seconds, 1), "by": told.get("failed") or ""}


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--room", action="append", choices=list(ROOMS), help="all of them by default")
    parser.add_argument("-n", "--number", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit-s", type=float, default=600.0, help="for the tests of one mutant")
    parser.add_argument("--list", action="store_true", help="only say which mutants would be made")
    parser.add_argument("--again", action="store_true", help="try those anew that survived")
    chosen = parser.parse_args(arguments)
    rooms = chosen.room or list(ROOMS)
    drawn = draw(rooms, chosen.number, chosen.seed, equivalents())
    if chosen.list:
        print("\n".join(mutant.key for _, mutant in drawn))
        return 0
    name = f"{'-'.join(rooms)}-{chosen.seed}"
    results_path = OUT / f"results-{name}.jsonl"
    OUT.mkdir(parents=True, exist_ok=True)
    results = {}
    if results_path.exists():
        results = {(r := json.loads(line))["key"]: r for line in results_path.read_text().splitlines()}
    if chosen.again:
        results = {key: r for key, r in results.items() if r["verdict"] != SURVIVED}
    tree = OUT / "tree"
    copy_tree(tree)
    known = know_tests(rooms, tree, OUT / f"tests-{name}.json")
    print(f"{'verdict':10s} {'s':>6s}  mutant", flush=True)
    verdicts = []
    for room, mutant in drawn:
        result = results.get(mutant.key)
        if result is None:
            result = verdict_of(room, mutant, tree, known, chosen.limit_s)
            with results_path.open("a") as file:
                file.write(json.dumps(result) + "\n")
        verdicts.append(result["verdict"])
        print(f"{result['verdict']:10s} {result['seconds']:6.1f}  {mutant.key}  [{result['by']}]", flush=True)
    killed = len(verdicts) - verdicts.count(SURVIVED)
    print(f"{killed} of {len(verdicts)} noticed ({verdicts.count(TIMED_OUT)} by running out of time)")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
