"""The official results of the golden vectors, reproduced by both backends."""

from pathlib import Path

import numpy as np
import pytest
import torch

from pair_drive_core.datasets.vectors import read_vector_file
from pair_drive_core.scoring import HumanFilter, Metric, extended_comfort, prepare_scenes, score
from pair_drive_core.scoring.ego_areas import ego_areas
from pair_drive_core.scoring.rollouts import Rollouts

GOLDEN = Path(__file__).parents[1] / "golden" / "vectors"
FILES = sorted(GOLDEN.glob("scene_*.npz"))
WHOLE = [GOLDEN / "scene_0098.npz", GOLDEN / "scene_0119.npz"]
"""Those with all 32 candidates, results of batches and areas."""
BACKENDS = ["torch", "auto"]


def compare(file, metric, dtype, backend):
    scores = score([file.scene(metric)], file.candidates[None].to(dtype), metric, backend=backend)
    return scores, file.official(metric)


def test_there_are_golden_files():
    assert len(FILES) == 12


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("metric", list(Metric))
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_float64_equals_the_official_results(path, metric, backend):
    file = read_vector_file(path)
    scores, official = compare(file, metric, torch.float64, backend)
    names = scores.names
    discrete = [i for i, name in enumerate(names) if name != "EP"]
    np.testing.assert_array_equal(scores.sub[0][:, discrete], official.sub[:, discrete])
    np.testing.assert_allclose(scores.sub[0], official.sub, rtol=0, atol=1e-8)
    np.testing.assert_allclose(scores.total[0], official.total, rtol=0, atol=1e-8)
    np.testing.assert_array_equal(scores.step[0, :, names.index("NC")], official.collision_index)
    np.testing.assert_array_equal(scores.step[0, :, names.index("TTC")], official.ttc_index)
    key = "v11_comfort6" if metric is Metric.V1 else "v2_comfort6"
    np.testing.assert_array_equal(scores.comfort[0], file.arrays[key])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_simulated_states_are_the_official_ones(path, backend):
    file = read_vector_file(path)
    prepared = prepare_scenes([file.scene(Metric.V2)], Metric.V2, torch.float64)
    scores = score(prepared, file.candidates[None], Metric.V2, backend=backend)
    states = scores.states[0].clone()
    states[..., :2] += prepared.origin[0]
    error = np.abs(states.numpy() - file.arrays["sim_states"])
    error[..., 2] = np.minimum(error[..., 2], np.abs(error[..., 2] - 2 * np.pi))
    assert error.max() < 1e-6


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("metric", list(Metric))
def test_float32_changes_no_discrete_sub_score(metric, backend):
    different = 0
    for path in FILES:
        scores, official = compare(read_vector_file(path), metric, torch.float32, backend)
        apart = np.abs(scores.sub[0].numpy() - official.sub)
        different += int((apart > 1e-3).sum())
        assert np.abs(scores.total[0].numpy() - official.total)[(apart <= 1e-3).all(-1)].max() < 1e-3
    assert different == 0


@pytest.mark.parametrize("metric", list(Metric))
@pytest.mark.parametrize("path", WHOLE, ids=lambda path: path.stem)
def test_batch_normalisation_equals_one_official_call_for_all(path, metric):
    file = read_vector_file(path)
    plans = file.candidates[None]
    scores = score([file.scene(metric)], plans, metric, normalisation="batch", human_filter=HumanFilter.OFF)
    key = "v11_batch" if metric is Metric.V1 else "v2_batch"
    np.testing.assert_allclose(scores.sub[0], file.arrays[f"{key}_sub"][1:], rtol=0, atol=1e-8)
    np.testing.assert_allclose(scores.total[0], file.arrays[f"{key}_score"][1:], rtol=0, atol=1e-8)


@pytest.mark.parametrize("path", WHOLE, ids=lambda path: path.stem)
def test_ego_areas_equal_the_official_ones(path):
    file = read_vector_file(path)
    prepared = prepare_scenes([file.scene(Metric.V2)], Metric.V2, torch.float64)
    states = torch.from_numpy(file.arrays["sim_states"]).clone()
    states[..., :2] -= prepared.origin[0]
    areas = ego_areas(Rollouts.from_states(states[None], prepared.vehicle), prepared, prepared.polygon_index)
    ours = torch.stack((areas.multiple_lanes, areas.non_drivable, areas.oncoming), dim=-1)[0].numpy()
    official = np.unpackbits(file.arrays["areas"])[: ours.size].reshape(ours.shape).astype(bool)
    np.testing.assert_array_equal(ours, official)


def test_extended_comfort_equals_the_official_one():
    data = np.load(GOLDEN / "ec_pairs.npz")
    now, before = torch.from_numpy(data["states_now"]), torch.from_numpy(data["states_prev"])
    for pair, interval, comfortable, rms in zip(data["pair"], data["dt"], data["ec"], data["rms"], strict=True):
        good, ours = extended_comfort(now[[pair]], before[[pair]], float(interval))
        assert float(good[0]) == comfortable
        np.testing.assert_allclose(ours[0], rms, rtol=0, atol=1e-8)
