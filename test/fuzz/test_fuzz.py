"""Readers of strangers' bytes under mutated files, for 20 s; `run.py --minutes 10` beside this does it for longer."""

import dataclasses
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

HERE = Path(__file__).resolve().parent
SECONDS = 20
KINDS = (
    *("log", "second-stage scene", "metric cache", "pcd", "map", "packed scene", "cache index", "checkpoint", "jpeg"),
    *("cloud message", "image message", "compressed image message", "parameter file", "split file"),
    *("recording mcap", "recording db3"),
)


@pytest.mark.timeout(600)
def test_no_reader_crashes_or_takes_more_than_its_file_is_worth():
    command = [sys.executable, str(HERE / "run.py"), "--minutes", str(SECONDS / 60), "--seed", "0"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert [line[:26].rstrip() for line in result.stdout.splitlines()[1:]] == list(KINDS)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    sys.path.insert(0, str(HERE))
    try:
        spec = importlib.util.spec_from_file_location("fuzz_run", HERE / "run.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module.readers = module.all_readers(tmp_path_factory.mktemp("valid"))
    finally:
        sys.path.remove(str(HERE))
    return module


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "message" not in kind])
def test_any_bytes_give_a_value_or_a_clear_error(run, tmp_path_factory, kind):
    reader, folder = run.readers[kind], tmp_path_factory.mktemp("any")

    @settings(max_examples=25, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(st.binary(max_size=200), st.integers(0, 200), st.booleans())
    def check(noise, cut, behind):
        start = reader.seeds[0][:cut] if behind else b""
        run.verdict(reader, start + noise, folder)

    check()


@pytest.mark.parametrize(
    ("raises", "says"), [("MemoryError", "MemoryError"), ("os.abort", "signal 6"), ("value", "got str")]
)
def test_the_driver_sees_what_must_not_happen(run, tmp_path, raises, says):

    def read(content, folder):
        if content == b"seed":
            return b"fine"
        if raises == "MemoryError":
            raise MemoryError
        return os.abort() if raises == "os.abort" else "text"

    reader = dataclasses.replace(run.readers["pcd"], read=read, seeds=(b"seed",), value=bytes, errors=())
    number, _, _, problem = run.fuzz(reader, 0, 10.0, 100, tmp_path)
    assert number < 100
    assert says in problem
