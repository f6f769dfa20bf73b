"""Vector files: what is read, and what is refused."""

from pathlib import Path

import numpy as np
import pytest

from pair_drive_core.datasets.vectors import read_vector_file
from pair_drive_core.scene import SceneError
from pair_drive_core.scoring import Metric

GOLDEN = Path(__file__).parents[1] / "golden" / "vectors" / "scene_0055.npz"


@pytest.fixture
def arrays():
    with np.load(GOLDEN) as archive:
        return {key: archive[key] for key in archive.files}


def write(path, arrays):
    np.savez(path, **arrays)
    return path


def test_a_file_becomes_a_scene_with_candidates_and_results(arrays):
    file = read_vector_file(GOLDEN)
    scene = file.scene(Metric.V2)
    assert file.candidates.shape == arrays["cands"].shape
    assert scene.token == "scene_0055" and scene.time_us == int(arrays["t0_us"])
    np.testing.assert_array_equal(scene.ego.pose, arrays["hist_pose"][-1])
    np.testing.assert_array_equal(scene.reference, arrays["v2_pdm_ref"])
    np.testing.assert_array_equal(file.scene(Metric.V1).reference, arrays["v11_pdm_ref"])
    np.testing.assert_array_equal(scene.objects.present, ~np.isnan(arrays["key_state"]).any(-1))
    assert file.official(Metric.V1).sub.shape == (len(arrays["cands"]), 6)


def test_results_are_optional(arrays, tmp_path):
    inputs = {key: value for key, value in arrays.items() if not key.startswith(("v2_s", "v11_s"))}
    file = read_vector_file(write(tmp_path / "inputs.npz", inputs))
    assert file.official(Metric.V2) is None and file.official(Metric.V1) is None
    assert file.scene(Metric.V2).reference is not None


def test_a_missing_input_is_named(arrays, tmp_path):
    del arrays["centerline"]
    with pytest.raises(SceneError, match="missing centerline"):
        read_vector_file(write(tmp_path / "broken.npz", arrays))


@pytest.mark.parametrize(
    ("key", "change"),
    [
        ("cands", lambda a: a[..., :2]),
        ("map_layer", lambda a: a[:-1]),
        ("key_state", lambda a: a[:, :-1]),
        ("hist_vel", lambda a: a[:-1]),
        ("centerline", lambda a: a.astype(str)),
        ("obj_type", lambda a: a.astype(np.float64)),
        ("red_on", lambda a: a.astype(np.int8).reshape(-1)),
    ],
)
def test_arrays_of_other_shapes_or_types_are_named(arrays, tmp_path, key, change):
    arrays[key] = change(arrays[key])
    with pytest.raises(SceneError, match=f"broken.npz: {key}: expected"):
        read_vector_file(write(tmp_path / "broken.npz", arrays))


def test_unknown_tracks_and_infinite_states_are_named(arrays, tmp_path):
    tokens = arrays["key_token"].copy()
    arrays["key_token"] = np.array(["nobody", *tokens[1:]])
    with pytest.raises(SceneError, match="nobody"):
        read_vector_file(write(tmp_path / "a.npz", arrays)).scene(Metric.V2)
    arrays["key_token"] = tokens
    arrays["key_state"] = np.full_like(arrays["key_state"], np.inf)
    with pytest.raises(SceneError, match=r"TrackedObjects\.states"):
        read_vector_file(write(tmp_path / "b.npz", arrays)).scene(Metric.V2)


def test_pickled_objects_are_refused(arrays, tmp_path):
    arrays["cands"] = np.array([{"a": 1}], dtype=object)
    with pytest.raises(SceneError, match="without pickled objects"):
        read_vector_file(write(tmp_path / "pickle.npz", arrays))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", b"plain text"])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "other.npz"
    path.write_bytes(content)
    with pytest.raises(SceneError, match=r"other\.npz: expected a NumPy archive"):
        read_vector_file(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.npz"):
        read_vector_file(tmp_path / "nothing.npz")
