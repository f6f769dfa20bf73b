"""The native backend gives what the torch backend gives and what the official scorer gave."""

import logging
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from pair_drive_core.datasets.vectors import read_vector_file
from pair_drive_core.scene import SceneError
from pair_drive_core.scoring import HumanFilter, Metric, prepare_scenes, score
from pair_drive_core.scoring.backends import sub_scores_of
from pair_drive_core.scoring.candidates import CandidateKind
from pair_drive_core.scoring.native import build, library

GOLDEN = sorted((Path(__file__).parent.parent / "golden" / "vectors").glob("scene_*.npz"))
EXACT = ("step", "cause", "comfort", "valid")
NEAR = ("sub", "unfiltered", "human_sub", "total", "progress_m", "reference_progress_m")


def assert_same(native, torch_scores, tolerance, states_tolerance):
    assert (native.backend, torch_scores.backend) == ("native", "torch")
    for name in EXACT:
        a, b = getattr(native, name), getattr(torch_scores, name)
        assert a.dtype == b.dtype, name
        assert torch.equal(a, b), name
    for name in NEAR:
        torch.testing.assert_close(
            getattr(native, name),
            getattr(torch_scores, name),
            atol=tolerance,
            rtol=0.0,
            msg=lambda m, n=name: f"{n}: {m}",
        )
    torch.testing.assert_close(native.states, torch_scores.states, atol=states_tolerance, rtol=0.0)


@pytest.mark.parametrize("metric", list(Metric))
def test_golden_vectors_score_as_the_official_code_scored_them(metric):
    assert len(GOLDEN) >= 8
    for path in GOLDEN:
        file = read_vector_file(path)
        official = file.official(metric)
        for dtype, tolerance in ((torch.float64, 1e-6), (torch.float32, 1e-3)):
            scores = score([file.scene(metric)], file.candidates[None].to(dtype), metric, backend="native")
            names = list(metric.sub_score_names)
            discrete = [i for i, name in enumerate(names) if name != "EP"]
            assert np.array_equal(scores.sub[0][:, discrete].numpy(), official.sub[:, discrete]), path.name
            assert (
                np.abs(scores.sub[0][:, names.index("EP")].numpy() - official.sub[:, names.index("EP")]).max()
                < tolerance
            )
            assert np.abs(scores.total[0].numpy() - official.total).max() < tolerance


@pytest.mark.parametrize("metric", list(Metric))
def test_golden_vectors_score_alike_on_both_backends(metric):
    for path in GOLDEN[::3]:
        file = read_vector_file(path)
        prepared = prepare_scenes([file.scene(metric)], metric, dtype=torch.float64)
        plans = file.candidates[None]
        assert_same(
            score(prepared, plans, metric, backend="native"),
            score(prepared, plans, metric, backend="torch"),
            1e-9,
            1e-7,
        )


@pytest.mark.parametrize("metric", list(Metric))
def test_random_scenes_of_different_sizes_score_alike_on_both_backends(made, metric):
    sizes = ((0, 0), (3, 1), (40, 12), (80, 40))
    poses = ((0.0, 0.0, 0.0), (664_000.0, 3_997_000.0, 2.5), (-300.0, 20.0, -1.0), (5.0, 5.0, 3.1))
    seen = []
    for seed in (0, 10, 20, 30):
        scenes = [
            made.random_scene(seed + i, pose, polygons, agents)
            for i, ((polygons, agents), pose) in enumerate(zip(sizes, poses, strict=True))
        ]
        prepared = prepare_scenes(scenes, metric, dtype=torch.float64)
        plans = torch.cat([made.random_plans(seed + i, 30) for i in range(len(scenes))])
        for normalisation in ("single", "batch"):
            arguments = {"normalisation": normalisation, "human_filter": HumanFilter.FIXED}
            native = score(prepared, plans, metric, backend="native", **arguments)
            assert_same(native, score(prepared, plans, metric, backend="torch", **arguments), 1e-9, 1e-6)
        seen.append(native.unfiltered)
    for name, column in zip(metric.sub_score_names, torch.cat(seen).unbind(-1), strict=True):
        assert column.unique().numel() > 1, f"{name} should vary over these scenes"


def test_float32_scenes_score_as_float64_ones_but_for_rounding(made):
    scenes = [made.random_scene(i) for i in range(6)]
    plans = torch.cat([made.random_plans(40 + i, 60) for i in range(6)])
    exact = score(scenes, plans, backend="native")
    single = score(scenes, plans.float(), backend="native")
    assert single.sub.dtype == single.states.dtype == torch.float32
    differing = (single.unfiltered.double() - exact.unfiltered).abs() > 1e-3
    assert differing.float().mean() < 1e-3


def test_bad_plans_are_invalid_on_both_backends_and_change_no_other(made):
    scenes = [made.random_scene(3)]
    plans = made.random_plans(5, 6)
    clean = score(scenes, plans, backend="native")
    plans[0, 1, 3, 0], plans[0, 3, 0, 2], plans[0, 5, 7, 1] = float("nan"), float("inf"), 1e7
    native, reference = score(scenes, plans, backend="native"), score(scenes, plans, backend="torch")
    assert native.valid[0].tolist() == [True, False] * 3
    assert_same(native, reference, 1e-9, 1e-6)
    assert not native.sub[0, 1::2].any()
    assert torch.equal(native.sub[0, ::2], clean.sub[0, ::2])


def test_rollouts_that_leave_the_world_are_judged_as_standing_still(made):
    prepared = prepare_scenes([made.random_scene(4)], dtype=torch.float64)
    states = sub_scores_of(prepared, made.random_plans(6, 4)).states
    states[0, 1, 30:, 0] = 2e5
    states[0, 2, 5, 4] = float("nan")
    parts = [sub_scores_of(prepared, states, CandidateKind.STATES, backend) for backend in ("native", "torch")]
    assert parts[0].valid[0].tolist() == [True, False, False, True]
    for name in ("values", "steps", "causes", "comfort", "multiplier", "valid", "states"):
        assert torch.equal(getattr(parts[0], name), getattr(parts[1], name)), name


def test_plans_of_another_sampling_score_alike_on_both_backends(made):
    scenes = [made.random_scene(8)]
    plans = made.random_plans(9, 12)[:, :, 1::2]
    native = score(scenes, plans, interval_s=1.0, backend="native")
    assert_same(native, score(scenes, plans, interval_s=1.0, backend="torch"), 1e-9, 1e-6)


def test_a_chosen_backend_is_used_and_an_unknown_one_is_named(made):
    scenes, plans = [made.random_scene(1)], made.random_plans(1, 2)
    assert score(scenes, plans).backend == "native"
    assert score(scenes, plans, backend="torch").backend == "torch"
    with pytest.raises(SceneError, match="expected 'auto', 'torch' or 'native', got 'cuda'"):
        score(scenes, plans, backend="cuda")


def test_without_a_kernel_scoring_warns_once_and_runs_on_torch(made, monkeypatch, caplog, tmp_path):
    monkeypatch.setattr(library, "candidates_of_path", lambda folder: (tmp_path / "kernel.so",))
    library.load.cache_clear()
    try:
        with caplog.at_level(logging.WARNING):
            scenes, plans = [made.random_scene(1)], made.random_plans(1, 2)
            assert score(scenes, plans).backend == score(scenes, plans).backend == "torch"
        assert [r.getMessage() for r in caplog.records if "pair_drive_core.scoring.native.build" in r.getMessage()]
        assert len(caplog.records) == 1
        with pytest.raises(SceneError, match="no compiled kernel"):
            score(scenes, plans, backend="native")
    finally:
        library.load.cache_clear()


@pytest.fixture
def old_kernel(tmp_path):
    """A library that says it is of interface -1."""
    source = tmp_path / "old.c"
    source.write_text("#include <stdint.h>\nint64_t pair_drive_abi(void) { return -1; }\n", encoding="utf-8")
    path = tmp_path / "old.so"
    subprocess.run([build.find_compiler(), "-shared", "-fPIC", "-x", "c", source, "-o", path], check=True)
    return path


def test_a_kernel_of_another_version_is_refused(old_kernel):
    with pytest.raises(OSError, match="got -1; build it anew"):
        library.open_library(old_kernel)


def test_an_old_kernel_is_passed_over_for_one_that_fits_and_named_where_there_is_none(old_kernel, monkeypatch, caplog):
    present = library.candidates_of_path(Path(library.__file__).parent)
    try:
        monkeypatch.setattr(library, "candidates_of_path", lambda folder: (old_kernel, *present))
        library.load.cache_clear()
        with caplog.at_level(logging.WARNING):
            assert library.load() is not None
        assert not caplog.records
        monkeypatch.setattr(library, "candidates_of_path", lambda folder: (old_kernel,))
        library.load.cache_clear()
        with caplog.at_level(logging.WARNING):
            assert library.load() is None
        assert "got -1; build it anew" in caplog.records[0].getMessage()
    finally:
        library.load.cache_clear()


def test_the_build_makes_a_library_that_loads_and_keeps_it_while_it_is_current(tmp_path):
    path = build.compile_library(tmp_path, ["-O0"])
    assert library.open_library(path).pair_drive_abi() > 0
    built = path.stat().st_mtime_ns
    assert build.compile_library(tmp_path).stat().st_mtime_ns == built
    assert [p.name for p in tmp_path.iterdir()] == [build.LIBRARY]


def test_a_failing_build_says_what_the_compiler_said_and_leaves_nothing(tmp_path, monkeypatch):
    with pytest.raises(build.BuildError, match="--no-such-flag"):
        build.compile_library(tmp_path, ["--no-such-flag"])
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(build.BuildError, match=r"no C\+\+ compiler: looked for .*g\+\+"):
        build.compile_library(tmp_path)
