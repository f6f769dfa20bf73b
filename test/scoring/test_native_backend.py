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
from pair_drive_core.scoring.native import build, library, recipe

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
def foreign(tmp_path):
    """A library of somebody else, which leaves a mark when it is loaded."""
    source, mark = tmp_path / "foreign.c", tmp_path / "was_loaded"
    source.write_text(
        "#include <stdio.h>\n__attribute__((constructor)) static void run(void) "
        f'{{ fclose(fopen("{mark}", "w")); }}\nint pair_drive_abi(void) {{ return 3; }}\n',
        encoding="utf-8",
    )
    path = tmp_path / "made" / build.LIBRARY
    path.parent.mkdir()
    subprocess.run([build.find_compiler(), "-shared", "-fPIC", "-x", "c", source, "-o", path], check=True)
    return path


@pytest.fixture
def stale(tmp_path):
    """A kernel that bears another stamp: a whole library of sources that are not these any more."""
    path = tmp_path / "made" / build.LIBRARY
    path.parent.mkdir()
    own = next(p for p in library.candidates_of_path(build.FOLDER) if p.exists() and build.is_current(p)).read_bytes()
    path.write_bytes(own.replace(recipe.stamp().encode(), b"0" * 64))
    return path


@pytest.mark.parametrize("which", ["foreign", "stale", "empty"])
def test_a_kernel_of_other_sources_is_refused_without_loading_it(which, request, tmp_path):
    if which == "empty":
        path = tmp_path / "empty.so"
        path.touch()
    else:
        path = request.getfixturevalue(which)
    got = "'000000000000'" if which == "stale" else "none"
    with pytest.raises(OSError, match=f"expected a kernel of these sources.*got {got}; build it anew"):
        library.open_library(path)
    assert not (tmp_path / "was_loaded").exists()


@pytest.mark.parametrize("which", ["foreign", "stale"])
def test_a_kernel_of_other_sources_is_built_anew_and_without_a_compiler_torch_serves(
    which, request, monkeypatch, caplog
):
    path = request.getfixturevalue(which)
    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setattr(shutil, "which", lambda name: None)
        assert library.find(path.parent) is None
    assert [text in caplog.records[0].getMessage() for text in ("torch path", "these sources", "no C++ compiler")]
    assert len(caplog.records) == 1
    caplog.clear()
    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setattr(build, "FLAGS", ("-O0", *build.FLAGS))  # quicker; the stamp is of the recipe's flags
        found = library.find(path.parent)
    assert found is not None
    assert found.pair_drive_score is not None
    assert [record.getMessage().startswith("built the native kernel anew") for record in caplog.records] == [True]
    caplog.clear()
    assert library.find(path.parent) is not None
    assert not caplog.records


def test_the_stamp_is_of_every_source_flag_and_the_interface(tmp_path, monkeypatch):
    copy = tmp_path / "native"
    shutil.copytree(recipe.FOLDER, copy, ignore=shutil.ignore_patterns("*.so", "*.py", "__pycache__"))
    monkeypatch.setattr(recipe, "FOLDER", copy)
    before = recipe.stamp()
    stamps = {before, recipe.stamp(["-g"])}
    for path in sorted(copy.iterdir()):
        path.write_text(path.read_text() + "\n")
        stamps.add(recipe.stamp())
    monkeypatch.setattr(recipe, "ABI", recipe.ABI + 1)
    stamps.add(recipe.stamp())
    assert len(stamps) == 3 + len(list(copy.iterdir()))


def test_the_build_makes_a_library_that_loads_and_keeps_it_while_it_is_current(tmp_path):
    path = build.compile_library(tmp_path, ["-O0"])
    assert library.open_library(path, recipe.stamp(["-O0"])).pair_drive_score is not None
    built = path.stat().st_mtime_ns
    assert build.compile_library(tmp_path, ["-O0"]).stat().st_mtime_ns == built
    assert [p.name for p in tmp_path.iterdir()] == [build.LIBRARY]
    with pytest.raises(OSError, match="expected a kernel of these sources"):
        library.open_library(path)


def test_a_failing_build_says_what_the_compiler_said_and_leaves_nothing(tmp_path, monkeypatch):
    with pytest.raises(build.BuildError, match="--no-such-flag"):
        build.compile_library(tmp_path, ["--no-such-flag"])
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(build.BuildError, match=r"no C\+\+ compiler: looked for .*g\+\+"):
        build.compile_library(tmp_path)
