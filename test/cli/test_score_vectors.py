"""The command `pair-drive score-vectors`."""

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from pair_drive_core.cli.main import main

GOLDEN = Path(__file__).parents[1] / "golden" / "vectors"
TWO = [GOLDEN / "scene_0055.npz", GOLDEN / "scene_0165.npz"]


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def pair_drive(monkeypatch, capsys):
    """Run the command as the shell would, within this process."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["pair-drive", "score-vectors", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        out, err = capsys.readouterr()
        return Done(stop.value.code or 0, out, err)

    return run


@pytest.mark.parametrize("metric", ["v1", "v2"])
def test_results_are_written_under_the_stems(pair_drive, tmp_path, metric):
    out = tmp_path / "folder" / "results.npz"
    done = pair_drive(*TWO, "--metric", metric, "--out", out)
    assert done.returncode == 0, done.stderr
    assert "agreement" in done.stdout and "TTC" in done.stdout
    results = np.load(out, allow_pickle=False)
    assert sorted(results.files) == sorted(f"{p.stem}/{key}" for p in TWO for key in ("sub", "score", "sim_states"))
    for path in TWO:
        official = np.load(path)
        sub, total = ("v11_sub", "v11_score") if metric == "v1" else ("v2_sub", "v2_score_ec_nan")
        np.testing.assert_allclose(results[f"{path.stem}/sub"], official[sub], rtol=0, atol=1e-6)
        np.testing.assert_allclose(results[f"{path.stem}/score"], official[total], rtol=0, atol=1e-6)
        states = results[f"{path.stem}/sim_states"]
        np.testing.assert_allclose(states[..., :2], official["sim_states"][..., :2], rtol=0, atol=1e-6)
    assert [p.name for p in out.parent.iterdir()] == ["results.npz"]


def test_a_folder_with_a_broken_file_and_other_archives(pair_drive, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    shutil.copy(TWO[0], folder)
    shutil.copy(GOLDEN / "ec_pairs.npz", folder)
    (folder / "cut.npz").write_bytes(TWO[1].read_bytes()[:1000])
    done = pair_drive(folder, "--metric", "v2", "--out", tmp_path / "out.npz", "--dtype", "float32")
    assert done.returncode == 2
    assert "cut.npz" in done.stderr and "Traceback" not in done.stderr
    assert "ec_pairs.npz" in done.stdout
    assert "scene_0055/score" in np.load(tmp_path / "out.npz").files, "the good file is scored all the same"


def test_inputs_alone_are_enough(pair_drive, tmp_path):
    with np.load(TWO[0]) as archive:
        inputs = {key: archive[key] for key in archive.files}
    keep = {k: v for k, v in inputs.items() if not (k.startswith(("v2_", "v11_")) and not k.endswith("_pdm_ref"))}
    del keep["sim_states"]
    np.savez(tmp_path / "bare.npz", **keep)
    done = pair_drive(tmp_path / "bare.npz", "--out", tmp_path / "out.npz")
    assert done.returncode == 0, done.stderr
    assert "no official results" in done.stdout
    np.testing.assert_allclose(np.load(tmp_path / "out.npz")["bare/score"], inputs["v2_score_ec_nan"], atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing_folder"], "missing_folder"),
        ([GOLDEN / "ec_pairs.npz"], "ec_pairs.npz"),
        ([TWO[0], TWO[0]], "different file names"),
        ([TWO[0], "--dtype", "float16"], "float64 or float32"),
        ([TWO[0], "--device", "tpu"], "cpu or cuda"),
    ],
)
def test_bad_requests_end_with_one_line_and_code_two(pair_drive, tmp_path, arguments, message):
    done = pair_drive(*arguments, "--out", tmp_path / "out.npz")
    assert done.returncode == 2
    assert message in done.stderr and len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out.npz").exists()
