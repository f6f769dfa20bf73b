"""Closed loop in towns: what is counted, what is kept, and pictures of what went wrong."""

import json
import math

import cv2
import numpy as np
import pytest

from pair_drive_core.evaluation.closed_loop import ClosedLoop, drive_towns, film_strip, summary
from pair_drive_core.models import save_checkpoint


@pytest.fixture
def checkpoint(model, tmp_path):
    """Random weights: it leaves the road within seconds."""
    path = tmp_path / "tiny.safetensors"
    save_checkpoint(path, model, {})
    return path


def test_a_drive_is_measured_filmed_where_it_fails_and_not_driven_twice(checkpoint, tmp_path, monkeypatch):
    loop = ClosedLoop((50_002,), 0, 6.4, checkpoint, False, 96, tmp_path / "drives")
    (town,) = drive_towns(loop)
    assert 0.0 <= town.pdms <= 1.0 and town.guarded == 0
    assert town.on_road == pytest.approx(1.0 - town.measures.off_road_s / 6.5)
    assert town.human_progress_m > 0.0 and math.isfinite(town.jump_p95_m[0])
    assert bool(town.strips) == (town.measures.off_road_s > 0 or town.measures.at_fault_collisions > 0)
    for name in town.strips:
        assert cv2.imread(str(loop.folder / name)).shape[1] % 96 == 0
    monkeypatch.setattr("pair_drive_core.evaluation.closed_loop.TownDrive", None)
    assert drive_towns(loop) == [town]


def test_a_drive_by_other_settings_is_another_drive(checkpoint, tmp_path):
    loops = [ClosedLoop((1,), 0, 10.0, checkpoint, guard, 480, tmp_path) for guard in (True, False)]
    assert loops[0].recipe() != loops[1].recipe()
    kept = tmp_path / f"town_00001_{loops[0].recipe()}.json"
    measures = dict.fromkeys(
        ("duration_s", "distance_m", "progress_m", "off_road_s", "comfortable_share", "standing_s"), 1.0
    )
    counts = {"at_fault_collisions": 2, "other_collisions": 0, "red_lights": 1}
    row = {"layout": 1, "pdms": 0.5, "on_road": 1.0, "speed_mps": 3.0, "measures": {**measures, **counts}}
    row |= {"human_progress_m": 2.0, "jump_p95_m": [1.0, 2.0, 3.0], "guarded": 4, "strips": []}
    kept.write_text(json.dumps(row))
    results = drive_towns(loops[0])
    means = summary([*results, *results])["means"]
    assert (means["at_fault_collisions"], means["red_lights_run"], means["guarded"]) == (4, 2, 8), "counts in all"
    assert (means["PDMS"], means["route_progress"], means["jump_p95_m_at_3s"]) == (0.5, 0.5, 3.0)


def test_film_strips_show_the_frames_in_order():
    frames = [np.full((10, 30, 3), shade, np.uint8) for shade in (10, 200)]
    picture = cv2.imdecode(np.frombuffer(film_strip(frames, "town"), np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (32, 60, 3)
    assert (picture[-1, 0, 0], picture[-1, -1, 0]) == (10, 200)


def test_drives_too_short_to_score_are_refused(tmp_path):
    with pytest.raises(ValueError, match="seconds: expected at least"):
        ClosedLoop((1,), 0, 5.0, tmp_path / "x", True, 480, tmp_path)
